"""Rendering of the console's pages: templates, the context that all of them share, and a short-lived cache."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.console import texts
from api.console.fleet import newest, stale_after
from api.console.formats import Formats
from api.requests import FeedbackVerb
from api.security import Caller
from api.services import Services

_FOLDER: Final = Path(str(files("api"))) / "console"
_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
ASSETS: Final = {path.name: path.read_bytes() for path in sorted((_FOLDER / "static").iterdir())}
VERSION: Final = hashlib.sha256(b"".join(ASSETS.values())).hexdigest()[:12]
"""Changes with the assets, so that browsers may keep them for good."""
_CACHE_SECONDS: Final = 1.0
_MOST_CACHED: Final = 128
_PASSING: Final = frozenset({"done", "count", "why", "page"})
"""Parameters that a link to the same page does not keep."""
_THEMES: Final = ("light", "dark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads a page, and how: caller, language, theme ("" follows the system)."""

    caller: Caller
    language: str
    theme: str

    @classmethod
    def of(cls, request: Request) -> "Reader":
        """Return the reader of a request."""
        theme = request.cookies.get("nexova_theme", "")
        return cls(
            caller=request.scope["nexova.caller"],
            language=texts.language_of(request.cookies.get("nexova_language"), request.headers.get("accept-language")),
            theme=theme if theme in _THEMES else "",
        )


class Pages:
    """Renders templates for readers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._zone = ZoneInfo(services.plant.timezone)
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["path"] = lambda text: quote(str(text), safe="")
        self._cached: OrderedDict[tuple[str, ...], tuple[float, bytes]] = OrderedDict()

    def formats(self, reader: Reader) -> Formats:
        """Return how values are written for a reader, now."""
        return Formats(language=reader.language, zone=self._zone, now=datetime.now(UTC))

    def ready(self, request: Request, reader: Reader) -> Response | None:
        """Return the sign-in page for a reader without rights, or the cached page; None if it must be rendered."""
        return self.cached(request, reader) if reader.caller.may("read") else sign_in_needed(request)

    def cached(self, request: Request, reader: Reader) -> Response | None:
        """Return the page if it was rendered within the last second for the same query, reader and rights."""
        found = self._cached.get(self._name(request, reader))
        if found is None or time.monotonic() - found[0] > _CACHE_SECONDS:
            return None
        return HTMLResponse(found[1])

    def page(
        self, request: Request, reader: Reader, template: str, *, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """Return the rendered page."""
        body = self._environment.get_template(template).render(self._context(request, reader) | context).encode()
        if status == 200:  # noqa: PLR2004  only successful pages are cached
            name = self._name(request, reader)
            self._cached[name] = (time.monotonic(), body)
            self._cached.move_to_end(name)
            if len(self._cached) > _MOST_CACHED:
                self._cached.popitem(last=False)
        return HTMLResponse(body, status_code=status)

    def forget(self) -> None:
        """Discard all cached pages, so that a change just made is shown."""
        self._cached.clear()

    @staticmethod
    def _name(request: Request, reader: Reader) -> tuple[str, ...]:
        who = reader.caller.name if reader.caller.by_token else ""
        return request.url.path, request.url.query, reader.language, reader.theme, who, str(reader.caller.scope)

    def _context(self, request: Request, reader: Reader) -> dict[str, Any]:
        services = self._services
        formats = self.formats(reader)
        live = services.live
        seen = newest(live.view)
        age = None if seen is None else max(0.0, formats.now.timestamp() - seen)

        def t(key: str, **values: object) -> str:
            return texts.text(reader.language, key, **values)

        def link(**changes: object) -> str:
            """The same page with some parameters changed; None takes one away."""
            asked = {name: value for name, value in request.query_params.items() if name not in _PASSING}
            kept = {name: value for name, value in (asked | changes).items() if value not in {None, ""}}
            return f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path

        return {
            "t": t,
            "f": formats,
            "link": link,
            "reader": reader,
            "guarded": bool(services.settings.api.token_list),
            "plant": services.plant,
            "path": request.url.path,
            "here": own_path(request),
            "version": VERSION,
            "position": live.hub.position() if live.complete.is_set() and reader.caller.may("read") else "",
            "kafka_up": live.up,
            "complete": live.complete.is_set(),
            "age": age,
            "stale": age is not None and age > stale_after(services.plant),
            "may_operate": reader.caller.may("operate"),
            "message": _message(request, t),
        }


def asset(name: str) -> Response | None:
    """Return a file of the console; None where there is none of this name."""
    content = ASSETS.get(name)
    if content is None:
        return None
    kind = _KINDS[Path(name).suffix]
    return Response(content, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})


def sign_in_needed(request: Request) -> Response:
    """Return a redirect to the sign-in page, which leads back here."""
    return RedirectResponse(f"/console/sign-in?{urlencode({'then': own_path(request)})}", status_code=303)


def back_to(path: str, **message: str) -> RedirectResponse:
    """Return a redirect to one of our own pages, with what was done."""
    own = path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
    separator = "&" if "?" in own else "?"
    target = f"{own}{separator}{urlencode(message)}" if message else own
    return RedirectResponse(target, status_code=303)


def own_path(request: Request) -> str:
    """Return the path and query of a request, without what a redirect added for a moment."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in _PASSING - {"page"}]
    return f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path


def _message(request: Request, t: Any) -> Mapping[str, str] | None:
    """What the page says of the last thing that its reader did."""
    done = request.query_params.get("done", "")
    if done in get_args(FeedbackVerb):
        return {"kind": "good", "text": t("recorded", kind=t(done))}
    if done == "many":
        return {"kind": "good", "text": t("recorded_many", count=request.query_params.get("count", "")[:6])}
    if done in {"promoted", "rolled_back"}:
        return {"kind": "good", "text": t(f"done_{done}")}
    if done == "not_told":
        return {"kind": "bad", "text": t("not_told", reason=request.query_params.get("why", "")[:300])}
    if done == "failed":
        return {"kind": "bad", "text": t("not_recorded", reason=request.query_params.get("why", "")[:300])}
    return None
