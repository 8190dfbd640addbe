"""Access control: bearer tokens known by their hash, scopes, rates, and security headers."""

import hashlib
import hmac
import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, get_args

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.problems import Problem
from runtime.errors import UsageError
from runtime.logging import AUDIT
from runtime.settings import ApiSettings, Scope

LOGGER: Final = logging.getLogger(AUDIT)
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
BEARER: Final = HTTPBearer(
    auto_error=False, description="A token made with `nexova token`; not needed where none are set."
)
_MOST_CALLERS: Final = 10_000
_NOBODY: Final = b"\0" * 32
TOKEN_COOKIE: Final = "nexova_token"  # noqa: S105  its name, no secret
"""Name of the cookie with the token of a user who signed in to the console."""

HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # with no-referrer, browsers would send `Origin: null` with our own forms
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
CSP: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Swagger UI and ReDoc write their styles into the page and draw from data: addresses; scripts stay strict
CSP_OF_DOCS: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Caller of a request. scope: None for a caller without a token, if tokens are set."""

    name: str
    scope: Scope | None
    by_token: bool = False

    def may(self, scope: Scope) -> bool:
        """Return whether the caller has `scope`; operate includes read, admin includes both."""
        return self.scope is not None and SCOPES.index(self.scope) >= SCOPES.index(scope)


class WrongToken(Exception):
    """The token is unknown."""


class Guard:
    """Identification of callers by the hash of their token; without any tokens set, every caller is admin."""

    def __init__(self, api: ApiSettings) -> None:
        self._known = tuple((bytes.fromhex(token.sha256), token) for token in api.token_list)

    @property
    def open(self) -> bool:
        """Whether no tokens are set."""
        return not self._known

    def identify(self, authorization: bytes | None, address: str) -> Caller:
        """Return the caller with this Authorization header; raises WrongToken."""
        if self.open:
            return Caller(name="local", scope="admin")
        if authorization is None:
            return Caller(name=address, scope=None)
        scheme, _, token = authorization.partition(b" ")
        digest = hashlib.sha256(token.strip()).digest() if scheme.lower() == b"bearer" else _NOBODY
        found = None
        # all are compared, each in constant time: how long it takes tells nothing about any of them
        for known, entry in self._known:
            if hmac.compare_digest(digest, known):
                found = entry
        if found is None:
            raise WrongToken
        return Caller(name=found.name, scope=found.scope, by_token=True)


def token_in(cookies: bytes | None) -> bytes | None:
    """Return the token of a Cookie header; None where there is none."""
    for part in (cookies or b"").split(b";"):
        name, _, value = part.strip().partition(b"=")
        if name == TOKEN_COOKIE.encode() and value:
            return value
    return None


def require(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency that requires `scope`, and returns the caller."""

    async def check(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)] = None
    ) -> Caller:
        caller: Caller = request.scope["nexova.caller"]
        if caller.may(scope):
            return caller
        metrics = request.app.state.services.metrics
        if caller.scope is None:
            metrics.refused.labels(reason="token").inc()
            raise Problem(
                401,
                "token-needed",
                f"this needs a token with scope {scope}; send it as Authorization: Bearer …",
                headers={"WWW-Authenticate": "Bearer"},
            )
        metrics.refused.labels(reason="scope").inc()
        raise Problem(
            403,
            "scope-too-small",
            f"the token {caller.name} has scope {caller.scope}, this needs {scope}; use another token",
        )

    return check


@dataclass(slots=True)
class Rate:
    """Token buckets by caller: `per_second` on average, twice as many at once; old callers are forgotten."""

    per_second: float
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, caller: str) -> float:
        """Take one token of the caller's bucket; return 0, or the seconds to wait for the next."""
        now = self.clock()
        most = max(1.0, 2 * self.per_second)
        left, seen = self._buckets.pop(caller, (most, now))
        left = min(most, left + (now - seen) * self.per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self.per_second
        self._buckets[caller] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return wait


def too_many(wait: float) -> Problem:
    """Return the problem of a caller above its rate."""
    seconds = max(1, math.ceil(wait))
    return Problem(
        429,
        "too-many-requests",
        f"too many requests from here; wait {seconds} s, or raise the limits under NEXOVA_API__",
        headers={"Retry-After": str(seconds)},
    )


def is_loopback(host: str) -> bool:
    """Return whether `host` is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_door(api: ApiSettings) -> None:
    """Raise UsageError if the API would be open to the network without tokens."""
    if not is_loopback(api.host) and not api.token_list:
        raise UsageError(
            f"NEXOVA_API__HOST={api.host} is reached from other machines, and there are no tokens: set "
            "NEXOVA_API__TOKENS (`nexova token` makes one), or listen on 127.0.0.1"
        )


def audit(caller: Caller, action: str, **details: object) -> None:
    """Log one line for a change that a caller made."""
    shown = " ".join(f"{name}={value!r}" for name, value in details.items() if value is not None)
    LOGGER.info(
        "%s by %s: %s", action, caller.name, shown, extra={"action": action, "caller": caller.name, "details": details}
    )
