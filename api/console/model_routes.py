"""The models page, and the two steps of a promotion or a rollback: what will happen, and that it has."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.console import overview
from api.console.actions import first_of, form_of
from api.console.alarms import alarm_rows
from api.console.model_desk import MOST_REASON, ModelAction, ModelDesk
from api.console.quality import quality
from api.console.rendering import Pages, Reader, back_to, sign_in_needed
from api.problems import Problem
from api.services import Services
from runtime.errors import NexovaError

PAGE: Final = "/console/models"
_ACTIONS: Final[dict[str, ModelAction]] = {"promote": "promote", "rollback": "rollback"}
Name = Annotated[str, Query(max_length=64)]


def add_to(routes: APIRouter, services: Services, pages: Pages) -> None:  # noqa: C901  a table of routes
    """Add the routes of models."""
    inference = services.inference
    desk = ModelDesk(root=inference.model_dir, kafka=services.settings.kafka, trust=inference.trust)

    @routes.get(PAGE)
    async def models(request: Request) -> Response:
        reader = Reader.of(request)
        if (ready := pages.ready(request, reader)) is not None:
            return ready
        formats = pages.formats(reader)
        return pages.page(
            request,
            reader,
            "models.html",
            models=await asyncio.to_thread(overview.running_models, services),
            repository=await asyncio.to_thread(desk.page),
            quality=quality(services.live.view, alarm_rows(services.live.view, formats.now), formats.now),
            problems=services.inference.problems,
            may_change=reader.caller.may("admin"),
        )

    @routes.get("/console/models/change")
    async def confirm(request: Request, action: ModelAction, name: Name, version: Name) -> Response:
        reader = Reader.of(request)
        if not reader.caller.may("read"):
            return sign_in_needed(request)
        _refuse_others(reader)
        page = await asyncio.to_thread(desk.page)
        model = next((one for one in page.models if one.name == name), None)
        chosen = (
            None if model is None else next((one for one in model.versions if one.manifest.version == version), None)
        )
        if model is None or chosen is None:
            return pages.page(
                request, reader, "missing.html", status=404, name=f"{name} {version}", reason="unknown_version"
            )
        return pages.page(
            request, reader, "model_change.html", action=action, model=model, chosen=chosen, most_reason=MOST_REASON
        )

    @routes.post("/console/models/change")
    async def change(request: Request) -> Response:
        reader = Reader.of(request)
        form = await form_of(request)
        if reader.caller.scope is None:
            return back_to("/console/sign-in", then=PAGE)
        _refuse_others(reader)
        action = _ACTIONS.get(first_of(form, "action"))
        name, version = first_of(form, "name")[:64], first_of(form, "version")[:64]
        if action is None:
            raise Problem(422, "bad-input", f"action = {first_of(form, 'action')[:40]!r}: choose promote or rollback")
        reason = " ".join(first_of(form, "reason").split())[:MOST_REASON] or f"{action} on the console"
        reason = f"{reason} ({reader.caller.name})"
        try:
            trouble = await asyncio.to_thread(desk.change, action, name, version, reason=reason, caller=reader.caller)
        except NexovaError as error:
            return back_to(PAGE, done="failed", why=error.message[:300])
        finally:
            pages.forget()
        request.app.state.promoted.set()
        if trouble is not None:
            return back_to(PAGE, done="not_told", why=trouble[:300])
        return back_to(PAGE, done=f"{action}d" if action == "promote" else "rolled_back")


def _refuse_others(reader: Reader) -> None:
    if not reader.caller.may("admin"):
        raise Problem(
            403,
            "scope-too-small",
            f"the token {reader.caller.name} has scope {reader.caller.scope}, changing models needs admin; "
            "use another token",
        )
