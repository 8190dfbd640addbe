"""Checks on every request: address, caller, rate, size and time; and the headers of every response."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, unexpected
from api.security import CSP, CSP_OF_DOCS, HEADERS, Caller, Guard, Rate, WrongToken, is_loopback, token_in, too_many
from runtime.metrics import ApiMetrics
from runtime.settings import ApiSettings

_DOCS: Final = frozenset({"/docs", "/redoc"})
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_STREAM: Final = "/events"
_CONSOLE: Final = "/console/"
_CLASSES: Final = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


class RequestGuard:
    """ASGI middleware that refuses requests before their body is read, without waiting for anything."""

    def __init__(self, app: ASGIApp, *, settings: ApiSettings, metrics: ApiMetrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._guard = Guard(settings)
        self._rate = Rate(settings.requests_per_second)
        self._failures = Rate(settings.failures_per_second)
        self._observe = metrics.request_duration.observe
        self._counters: dict[tuple[str, int], Callable[[], None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD" and scope["path"] != _STREAM:
            # as GET; the server leaves the body out
            scope = {**scope, "method": "GET"}
        head = _Head(scope, send, self._count)
        try:
            await self._handle(scope, receive, head)
        except Problem as problem:
            await problem.response()(scope, receive, head)
        except Exception as error:
            if head.sent:
                raise
            await unexpected(scope["method"], scope["path"], error).response()(scope, receive, head)

    async def _handle(self, scope: Scope, receive: Receive, head: "_Head") -> None:
        self._admit(scope)
        if scope["path"] == _STREAM:
            await self._app(scope, receive, head)
            return
        limited = _Limited(receive, self._settings.max_body_bytes, self._metrics)
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                await self._app(scope, limited, head)
        except TimeoutError:
            if head.sent:
                raise
            self._refused("time")
            detail = f"not done within {self._settings.request_seconds:g} s; ask for less, or try again later"
            raise Problem(503, "took-too-long", detail) from None

    def _admit(self, scope: Scope) -> None:
        """Raise a Problem if the request must not be handled."""
        headers = _interesting(scope)
        address = scope["client"][0] if scope.get("client") else "unknown"
        self._check_names(scope, headers)
        cookie = None if b"authorization" in headers else token_in(headers.get(b"cookie"))
        if scope["method"] not in _SAFE and (cookie is not None or scope["path"].startswith(_CONSOLE)):
            self._demand_own_page(headers)
        try:
            caller = self._identify(headers.get(b"authorization"), cookie, address)
        except WrongToken:
            wait = self._failures.wait(address)
            self._refused("rate" if wait else "token")
            if wait:
                raise too_many(wait) from None
            raise Problem(
                401,
                "token-unknown",
                "the token is not known here; check NEXOVA_API__TOKENS, or make one with `nexova token`",
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            ) from None
        wait = self._rate.wait(caller.name if caller.by_token else address)
        if wait:
            self._refused("rate")
            raise too_many(wait)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._settings.max_body_bytes:
            raise self._too_large(length.decode())
        scope["nexova.caller"] = caller

    def _identify(self, authorization: bytes | None, cookie: bytes | None, address: str) -> Caller:
        if cookie is None:
            return self._guard.identify(authorization, address)
        try:
            return self._guard.identify(b"Bearer " + cookie, address)
        except WrongToken:
            # a revoked token: the browser's user signs in again, and public pages stay readable
            return self._guard.identify(None, address)

    def _demand_own_page(self, headers: dict[bytes, bytes]) -> None:
        """Refuse requests that a browser sends on its own: a cookie alone does not identify the requesting page.

        `_check_names` has compared an Origin that is there with the host.
        """
        if b"origin" not in headers and headers.get(b"sec-fetch-site") != b"same-origin":
            self._refused("origin")
            raise Problem(
                403, "other-origin", "this is for the console's own pages; programs send Authorization: Bearer …"
            )

    def _check_names(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Without tokens, refuse requests that pages of other sites send through a user's browser."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self._guard.open and not is_loopback(_name(host)):
            self._refused("host")
            raise Problem(
                421,
                "other-host",
                f"Host {host[:80]!r} is not this machine, and no tokens are set; ask 127.0.0.1, or set "
                "NEXOVA_API__TOKENS",
            )
        origin = headers.get(b"origin")
        if origin is not None and scope["method"] not in _SAFE and urlsplit(origin.decode("latin-1")).netloc != host:
            self._refused("origin")
            raise Problem(
                403, "other-origin", "a page of another site may not change anything here; send it from a program"
            )

    def _too_large(self, length: str) -> Problem:
        self._refused("size")
        return _too_large(length, self._settings.max_body_bytes)

    def _refused(self, reason: str) -> None:
        self._metrics.refused.labels(reason=reason).inc()

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        if scope["path"] != _STREAM:
            self._observe(seconds)
        # a path that is no route of ours may be anything: one label for all of them
        key = (getattr(scope.get("route"), "path_format", "other"), status // 100)
        count = self._counters.get(key)
        if count is None:
            count = self._metrics.requests.labels(endpoint=key[0], status=_CLASSES[key[1]]).inc
            self._counters[key] = count
        count()


class _Head:
    """Sender that adds the common headers to a response, and reports its start."""

    def __init__(self, scope: Scope, send: Send, begun: Callable[[Scope, int, float], None]) -> None:
        self.sent = False
        self._scope = scope
        self._send = send
        self._begun = begun
        self._started = time.perf_counter()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.sent = True
            headers = [*message.get("headers", ()), *HEADERS]
            csp = CSP_OF_DOCS if self._scope["path"] in _DOCS else CSP
            headers.append((b"content-security-policy", csp))
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message["headers"] = headers
            self._begun(self._scope, message["status"], time.perf_counter() - self._started)
        await self._send(message)


class _Limited:
    """A request body that raises a Problem above the allowed size, whatever its headers state."""

    def __init__(self, receive: Receive, limit: int, metrics: ApiMetrics) -> None:
        self._receive = receive
        self._limit = limit
        self._metrics = metrics
        self._bytes = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            if self._bytes > self._limit:
                self._metrics.refused.labels(reason="size").inc()
                raise _too_large(f"more than {self._limit}", self._limit)
        return message


def _too_large(length: str, limit: int) -> Problem:
    return Problem(
        413, "too-large", f"a body of {length} bytes is above the limit of {limit}; send fewer rows a request"
    )


def _interesting(scope: Scope) -> dict[bytes, Any]:
    wanted = (b"authorization", b"content-length", b"cookie", b"host", b"origin", b"sec-fetch-site")
    return {name: value for name, value in scope["headers"] if name in wanted}


def _name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
