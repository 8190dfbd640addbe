"""Bounds on connections: their number, the time of a request's head, and clients that stop reading.

uvicorn bounds none of these, so a lost client of an event stream, or one that never ends its headers, would keep its
socket for ever, until the process has no file descriptor left and the kernel resets every further connection.
"""

import asyncio
import logging
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.metrics import ApiMetrics
from runtime.settings import ApiSettings

LOGGER: Final = logging.getLogger("nexova.api")
DOOR: Final = "door"
"""Key of the `Door` in the application's lifespan state."""
_SPARE: Final = 32
"""Connections above the limit that still get an answer; further ones are reset."""
_OTHER_DESCRIPTORS: Final = 128
"""File descriptors for everything else: Kafka, models, logs."""
_LEAST_BYTES: Final = 16_384
"""Bytes that a client must read within the time limit, where so many wait."""
_LOOK_SECONDS: Final = 0.5
_QUIET_SECONDS: Final = 10.0

Reason = Literal["head", "stuck", "full"]


class Door:
    """Connections of a process and their bounds. Used on the event loop only. clock: monotonic s."""

    def __init__(
        self, settings: ApiSettings, metrics: ApiMetrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.head_seconds = settings.head_seconds
        self.stuck_seconds = settings.stuck_seconds
        self.most = _within_descriptors(settings.most_connections)
        self.clock = clock
        self._metrics = metrics
        self._open: set[BoundedProtocol] = set()
        self._unreported: Counter[Reason] = Counter()
        self._reported_at: dict[Reason, float] = {}

    @property
    def connections(self) -> frozenset["BoundedProtocol"]:
        """The open connections."""
        return frozenset(self._open)

    def enter(self, connection: "BoundedProtocol") -> None:
        """Add a connection, which is refused above the limit."""
        self._open.add(connection)
        self._metrics.connections.set(len(self._open))
        excess = len(self._open) - self.most
        if excess > 0:
            self.count("full")
            connection.refused = True
        if excess > _SPARE:
            connection.transport.abort()

    def leave(self, connection: "BoundedProtocol") -> None:
        """Remove a connection."""
        self._open.discard(connection)
        self._metrics.connections.set(len(self._open))

    def count(self, reason: Reason) -> None:
        """Count a connection that a bound ended, and log it, at most one line in ten seconds for each bound."""
        self._metrics.connections_ended.labels(reason=reason).inc()
        self._unreported[reason] += 1
        now = self.clock()
        if now - self._reported_at.get(reason, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._report(reason, now)

    async def run(self) -> None:
        """Look at all connections again and again."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """End the connections that exceed a time limit, and log what was counted in the meantime."""
        now = self.clock()
        for connection in self.connections:
            reason = connection.overdue(now)
            if reason is not None:
                self.count(reason)
                connection.end()
        for reason in [one for one, number in self._unreported.items() if number]:
            if now - self._reported_at[reason] >= _QUIET_SECONDS:
                self._report(reason, now)

    def _report(self, reason: Reason, now: float) -> None:
        text = {
            "head": f"without a complete request head within {self.head_seconds:g} s (NEXOVA_API__HEAD_SECONDS)",
            "stuck": f"whose client read nothing for {self.stuck_seconds:g} s (NEXOVA_API__STUCK_SECONDS)",
            "full": f"above the limit of {self.most} (NEXOVA_API__MOST_CONNECTIONS, and the limit of open files)",
        }[reason]
        LOGGER.warning("connections ended: %d %s", self._unreported[reason], text)
        self._unreported[reason] = 0
        self._reported_at[reason] = now


@dataclass(slots=True)
class Unread:
    """Bytes that a client has not read, and since when it has read too few. seconds: time that it may take."""

    seconds: float
    _bytes: int = 0
    _since: float = 0.0

    def for_too_long(self, waiting: int, now: float) -> bool:
        """Return whether bytes wait, and too few were read for too long."""
        if waiting == 0 or self._bytes == 0 or waiting <= self._bytes - _LEAST_BYTES:
            self._bytes, self._since = waiting, now
            return False
        return now - self._since > self.seconds


class BoundedProtocol(HttpToolsProtocol):
    """HTTP protocol of uvicorn whose connections obey a `Door`; `uvicorn --http api.connections:BoundedProtocol`.

    refused: it is above the limit, and its request is answered with 503.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._door: Door = self.app_state[DOOR]
        self._head_since: float | None = None
        self._unread = Unread(self._door.stuck_seconds)
        self._timed_out = False
        self.refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for a request's head."""
        super().connection_made(transport)
        self._head_since = self._door.clock()
        _end_when_unacknowledged(transport, self._door.stuck_seconds)
        self._door.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave; the kernel reports with `exc` that a client's host has vanished."""
        if isinstance(exc, TimeoutError) and not self._timed_out:
            self._door.count("stuck")
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; bytes outside a request begin a head, whose time then runs."""
        if self.refused:
            self._answer(503, "too many connections; try again later")
            return
        super().data_received(data)
        if self._head_since is None and (self.cycle is None or self.cycle.response_complete):
            self._head_since = self._door.clock()

    def on_headers_complete(self) -> None:
        """Stop the time of the head."""
        self._head_since = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, for which uvicorn has a limit until its first byte."""
        self._head_since = None
        super().on_response_complete()

    def overdue(self, now: float) -> Reason | None:
        """Return the time limit that is exceeded, or None."""
        if self._unread.for_too_long(self.transport.get_write_buffer_size(), now):
            return "stuck"
        if self._head_since is not None and now - self._head_since > self._door.head_seconds:
            return "head"
        return None

    def end(self) -> None:
        """Close the connection, with an answer where the client still reads."""
        self._timed_out = True
        if self.cycle is None and not self.transport.get_write_buffer_size() and not self.transport.is_closing():
            self._answer(408, "the request's head was not complete in time")
        else:
            self.transport.abort()

    def _answer(self, status: int, text: str) -> None:
        content = text.encode()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: text/plain; charset=utf-8\r\nretry-after: 5\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n%s" % (len(content), content)
        )
        self.transport.close()


def _end_when_unacknowledged(transport: asyncio.Transport, seconds: float) -> None:
    """Let the kernel end a connection whose client acknowledges nothing, such as one whose host has lost power."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    connection = transport.get_extra_info("socket")
    if option is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.IPPROTO_TCP, option, max(1, round(1000 * seconds)))


def _within_descriptors(most: int) -> int:
    """Return the limit of connections, lowered to what the limit of open files allows, which is raised if it may be."""
    needed = most + _SPARE + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return most
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    if allowed >= needed:
        return most
    lowered = max(1, allowed - _SPARE - _OTHER_DESCRIPTORS)
    LOGGER.warning(
        "at most %d connections instead of %d, as only %d files may be open; raise the limit (ulimit -n)",
        lowered,
        most,
        allowed,
    )
    return lowered
