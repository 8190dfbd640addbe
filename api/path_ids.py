"""Ids in paths: any text, also with a slash, where it is percent-encoded as one segment."""

from typing import Final
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

_ENCODED: Final = (b"%2f", b"%25")


class _IdConvertor(Convertor[str]):
    """One segment of a path whose slashes and percent signs are still encoded."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """Return the decoded id."""
        return unquote(value)

    def to_string(self, value: str) -> str:
        """Return the id as a segment of a path."""
        return quote(value, safe="")


def register_ids() -> None:
    """Register `{name:id}` for paths; idempotent."""
    register_url_convertor("id", _IdConvertor())


class SegmentedPath:
    """ASGI middleware that keeps encoded slashes apart from separators, which servers decode before routing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, its path with slashes and percent signs of segments still encoded."""
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and any(encoded in raw.lower() for encoded in _ENCODED):
            segments = raw.partition(b"?")[0].decode("latin-1").split("/")
            # changed in place: others look there for the route that was taken
            scope["path"] = "/".join(unquote(one).replace("%", "%25").replace("/", "%2F") for one in segments)
        await self._app(scope, receive, send)
