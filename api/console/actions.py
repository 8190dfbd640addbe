"""What a reader can do on the console's pages: sign in, answer alerts, choose language and colours."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from api.console.rendering import Pages, Reader, back_to
from api.console.texts import LANGUAGES
from api.problems import Problem
from api.requests import FeedbackRequest
from api.routes.changes import record_feedback
from api.security import TOKEN_COOKIE, Guard, WrongToken, audit
from api.services import Services
from core.feedback import LONGEST_SHELVING_SECONDS

SESSION_SECONDS: Final = 12 * 3600
_YEAR: Final = 31_536_000
_MOST_AT_ONCE: Final = 200
_MOST_FIELDS: Final = 1_000


async def form_of(request: Request) -> Mapping[str, list[str]]:
    """Return the fields of an urlencoded form."""
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return parse_qs(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Problem(422, "bad-input", f"the form has more than {_MOST_FIELDS} fields; select fewer") from None


def add_to(routes: APIRouter, services: Services, pages: Pages) -> None:  # noqa: C901  a table of routes
    """Add the routes that forms post to."""
    guard = Guard(services.settings.api)

    @routes.get("/console/sign-in")
    async def sign_in_page(request: Request, then: Annotated[str, Query(max_length=2_000)] = "/") -> Response:
        return pages.page(request, Reader.of(request), "sign_in.html", wrong=False, then=then)

    @routes.post("/console/sign-in")
    async def sign_in(request: Request) -> Response:
        form = await form_of(request)
        token, then = first_of(form, "token").strip(), first_of(form, "then") or "/"
        address = request.client.host if request.client else "unknown"
        try:
            caller = guard.identify(b"Bearer " + token.encode(), address)
        except WrongToken:
            services.metrics.refused.labels(reason="token").inc()
            return pages.page(request, Reader.of(request), "sign_in.html", status=401, wrong=True, then=then)
        audit(caller, "signed in")
        answer = back_to(then)
        answer.set_cookie(
            TOKEN_COOKIE,
            token,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @routes.post("/console/sign-out")
    async def sign_out() -> Response:
        answer = back_to("/")
        answer.delete_cookie(TOKEN_COOKIE, httponly=True, samesite="strict")
        return answer

    @routes.post("/console/choose")
    async def choose(request: Request) -> Response:
        form = await form_of(request)
        answer = back_to(first_of(form, "then") or "/")
        language, theme = first_of(form, "language"), first_of(form, "theme")
        if language in LANGUAGES:
            answer.set_cookie("nexova_language", language, max_age=_YEAR, samesite="strict", httponly=True)
        if theme in {"light", "dark"}:
            answer.set_cookie("nexova_theme", theme, max_age=_YEAR, samesite="strict", httponly=True)
        return answer

    @routes.post("/console/answer")
    async def answer_alerts(request: Request) -> Response:
        reader = Reader.of(request)
        form = await form_of(request)
        if reader.caller.scope is None:
            return back_to("/console/sign-in", then=first_of(form, "then"))
        if not reader.caller.may("operate"):
            raise Problem(
                403,
                "scope-too-small",
                f"the token {reader.caller.name} has scope {reader.caller.scope}, answering needs operate; "
                "use another token",
            )
        then, alerts = first_of(form, "then") or "/console/alerts", form.get("alert_id", [])[:_MOST_AT_ONCE]
        try:
            body = _statement(form, zone=ZoneInfo(services.plant.timezone))
            for alert_id in alerts:
                await record_feedback(services, alert_id, body, reader.caller)
        except (Problem, ValidationError) as error:
            why = error.detail if isinstance(error, Problem) else str(error.errors()[0]["msg"])
            return back_to(then, done="failed", why=why[:300])
        finally:
            pages.forget()
        if len(alerts) == 1:
            return back_to(then, done=body.kind)
        return back_to(then, done="many", count=str(len(alerts)))


def _statement(form: Mapping[str, list[str]], *, zone: ZoneInfo) -> FeedbackRequest:
    """Return the statement of a form; an end without a zone is in the plant's, and wins over a number of hours."""
    kind, hours, end = first_of(form, "kind"), first_of(form, "hours"), first_of(form, "until").strip()
    until = None
    if kind in {"snoozed", "expected"} and end:
        until = _moment(end, zone)
    elif kind == "snoozed" and hours.isdecimal():
        until = datetime.now(UTC) + timedelta(hours=min(int(hours[:6]), LONGEST_SHELVING_SECONDS / 3600))
    note = first_of(form, "comment").strip()
    return FeedbackRequest.model_validate({"kind": kind, "comment": note or None, "until": until})


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(422, "bad-input", f"until = {text[:40]!r} is no time; write it like 2026-03-01T14:30") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    latest = datetime.now(UTC) + timedelta(seconds=LONGEST_SHELVING_SECONDS)
    if moment > latest:
        raise Problem(422, "bad-input", f"until = {text[:40]}: the end is more than 31 days away; choose a nearer one")
    return moment


def first_of(form: Mapping[str, list[str]], name: str) -> str:
    """Return the first value of a field; an empty one where the form has none."""
    return form.get(name, [""])[0]
