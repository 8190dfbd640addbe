"""Event streams: every change in order to every client, without gaps for returning clients.

The id of an event is the position after it (`api.live.positions`). A client that returns with one gets what came since:
from the log of the newest events where that reaches back far enough, and before that from the view, where a thing
that changed several times comes once, as it is now.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from api.live.positions import LETTERS, decode, encode, encode_topic
from api.live.records import KINDS, ViewRecord
from api.live.view import View
from runtime.metrics import ApiMetrics
from schemas.topics import ALERTS, FEEDBACK, FORECASTS, MACHINES, RECOMMENDATIONS

TOPICS: Final = {kind.event: topic for topic, kind in KINDS.items() if kind.event}
DEFAULT: Final = (ALERTS, RECOMMENDATIONS, FEEDBACK, FORECASTS)
_LOG: Final = 5_000
_AT_ONCE: Final = 100
_QUEUE: Final = 5_000
_STILL_HERE_SECONDS: Final = 15.0
_LOADING_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 3.0
_LAG_SECONDS: Final = 0.05


@dataclass(slots=True, eq=False)
class Subscriber:
    """One client of a stream.

    seen: the position it comes with. backlog: what came after that, before now. until: the position now.
    lost: it was too slow, or the service ends. first: what is said before everything.
    """

    topics: tuple[str, ...]
    machine_id: str | None
    first: bytes
    until: str
    seen: dict[str, dict[int, int]] = field(default_factory=dict)
    backlog: list[ViewRecord] = field(default_factory=list)
    waiting: deque[bytes] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False

    def wants(self, record: ViewRecord) -> bool:
        """Return whether the client subscribed to this record."""
        return record.topic in self.topics and self.machine_id in {None, record.machine_id}

    def put(self, frame: bytes) -> bool:
        """Queue a frame; return False once too many wait, after which nothing more is queued."""
        if len(self.waiting) >= _QUEUE:
            self.lost = True
        else:
            self.waiting.append(frame)
        self.news.set()
        return not self.lost


class PositionAhead(ValueError):
    """The position is ahead of the topics' ends."""


class Source(Protocol):
    """Source of a stream."""

    @property
    def hub(self) -> "Hub":
        """Hub that distributes events."""

    @property
    def complete(self) -> asyncio.Event:
        """Event that is set once the view is complete."""


class Hub:
    """Positions, log of recent events, and subscribers. Used on the event loop only."""

    def __init__(self, view: View, metrics: ApiMetrics) -> None:
        self._view = view
        self._metrics = metrics
        self._next: dict[str, dict[int, int]] = {topic: {} for topic in LETTERS}
        self._parts: dict[str, str] = {topic: encode_topic(topic, {}) for topic in LETTERS}
        # a status replaces the one before, every few seconds: those of now are all that a returning client needs
        self._log: dict[str, deque[ViewRecord]] = {t: deque(maxlen=0 if t == MACHINES else _LOG) for t in LETTERS}
        self._complete_from: dict[str, dict[int, int]] = {topic: {} for topic in LETTERS}
        self._subscribers: set[Subscriber] = set()
        self.closed = False
        self.streams = 0
        """Number of open streams, also of those that wait for the view and of lost ones whose client does not read."""

    @property
    def subscribers(self) -> int:
        """Number of clients that get events."""
        return len(self._subscribers)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a stream for as long as its connection is open."""
        self.streams += 1
        self._metrics.streams.set(self.streams)
        try:
            yield
        finally:
            self.streams -= 1
            self._metrics.streams.set(self.streams)

    def position(self, topics: Iterable[str] = LETTERS) -> str:
        """Return the position now, for `topics`."""
        return "~".join(self._parts[topic] for topic in topics)

    def reached(self, topic: str, partition: int, offset: int) -> bool:
        """Return whether the record at that place has been applied."""
        return self._next[topic].get(partition, 0) > offset

    def publish(self, record: ViewRecord) -> None:
        """Record a change that the view has applied, and send it to the streams."""
        topic, partition = record.topic, record.partition
        log = self._log[topic]
        if log.maxlen == 0:
            self._complete_from[topic][partition] = record.offset + 1
        elif len(log) == log.maxlen:
            self._complete_from[topic][log[0].partition] = log[0].offset + 1
        log.append(record)
        self._next[topic][partition] = record.offset + 1
        self._parts[topic] = encode_topic(topic, self._next[topic])
        frames: dict[tuple[str, ...], bytes] = {}
        for subscriber in tuple(self._subscribers):
            if not subscriber.wants(record):
                continue
            frame = frames.get(subscriber.topics)
            if frame is None:
                frame = frames[subscriber.topics] = _frame(record, self.position(subscriber.topics))
            self._metrics.events.inc()
            if not subscriber.put(frame):
                self._metrics.streams_lost.inc()
                self._subscribers.discard(subscriber)

    def subscribe(self, topics: tuple[str, ...], *, machine_id: str | None, since: str | None) -> Subscriber:
        """Return a new client that continues from position `since` (None: from now on; empty: from the beginning).

        An unknown position is answered by an event `reset`, after which the client reads the lists again.
        """
        first = b"retry: 1000\n\n"
        try:
            seen = self._position_of(since, topics)
        except ValueError as error:
            reason = json.dumps({"detail": f"{error}; read the lists again"})
            first += f"event: reset\ndata: {reason}\n\n".encode()
            seen = None
        subscriber = Subscriber(topics=topics, machine_id=machine_id, first=first, until=self.position(topics))
        if seen is not None:
            subscriber.seen = {topic: dict(seen.get(topic, {})) for topic in topics}
            subscriber.backlog = self._missed(subscriber)
        self._subscribers.add(subscriber)
        return subscriber

    def ahead(self, since: str, topics: tuple[str, ...]) -> bool:
        """Return whether a position is ahead of the applied records."""
        try:
            self._position_of(since, topics)
        except PositionAhead:
            return True
        except ValueError:
            return False
        return False

    def _position_of(self, since: str | None, topics: tuple[str, ...]) -> dict[str, dict[int, int]] | None:
        if since is None:
            return None
        seen = decode(since)
        for topic in topics:
            for partition, offset in seen.get(topic, {}).items():
                if offset > self._next[topic].get(partition, 0):
                    raise PositionAhead("the position is ahead of the topics' ends: the topics were recreated")
        return seen

    def _missed(self, subscriber: Subscriber) -> list[ViewRecord]:
        """Return all records after the client's position."""
        missed: list[ViewRecord] = []
        for topic in subscriber.topics:
            since, logged = subscriber.seen[topic], self._complete_from[topic]
            older = (
                record
                for record in self._view.items(topic)
                if since.get(record.partition, 0) <= record.offset < logged.get(record.partition, 0)
            )
            newer = (record for record in self._log[topic] if record.offset >= since.get(record.partition, 0))
            missed += [*older, *newer]
        return _in_order(missed)

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a client."""
        self._subscribers.discard(subscriber)

    def close(self) -> None:
        """End all streams; clients reconnect by themselves."""
        self.closed = True
        for subscriber in tuple(self._subscribers):
            subscriber.lost = True
            subscriber.news.set()


def _in_order(records: list[ViewRecord]) -> list[ViewRecord]:
    """Return records by time, but by offset within a partition, so that positions never skip any."""
    latest: dict[tuple[str, int], float] = {}
    keyed = []
    for record in sorted(records, key=lambda one: (one.topic, one.partition, one.offset)):
        place = (record.topic, record.partition)
        latest[place] = max(record.at, latest.get(place, record.at))
        keyed.append((latest[place], *place, record.offset, record))
    keyed.sort(key=lambda one: one[:4])
    return [one[-1] for one in keyed]


def _frame(record: ViewRecord, position: str) -> bytes:
    """Return one event in wire format."""
    name = KINDS[record.topic].event
    data = b"null" if record.value is None else record.value
    # a line break ends a field; within JSON it can only stand between values
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (position.encode(), str(name).encode(), data)


async def stream(
    source: Source,
    topics: tuple[str, ...],
    *,
    machine_id: str | None,
    since: str | None,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> AsyncIterator[bytes]:
    """Yield the frames for one client until it disconnects or is dropped; keep-alives before the view is complete."""
    hub = source.hub
    yield b": hello\n\n"
    while not source.complete.is_set():
        if hub.closed:
            return
        if not await _within(source.complete, _LOADING_SECONDS):
            yield b": still loading\n\n"
    # another process may have given this position, and be a moment ahead of us
    deadline = time.monotonic() + patience_seconds
    while since and not hub.closed and hub.ahead(since, topics) and time.monotonic() < deadline:  # noqa: ASYNC110  seldom
        await asyncio.sleep(_LAG_SECONDS)
    subscriber = hub.subscribe(topics, machine_id=machine_id, since=since)
    try:
        yield subscriber.first
        for begin in range(0, len(subscriber.backlog), _AT_ONCE):
            yield b"".join(_missed_frames(subscriber, subscriber.backlog[begin : begin + _AT_ONCE]))
        subscriber.backlog.clear()
        yield f"id: {subscriber.until}\nevent: position\ndata: {{}}\n\n".encode()
        while True:
            if subscriber.waiting:
                part = b"".join(subscriber.waiting)
                subscriber.waiting.clear()
                yield part
            if subscriber.lost or hub.closed:
                return
            subscriber.news.clear()
            if not await _within(subscriber.news, _STILL_HERE_SECONDS):
                yield b": still here\n\n"
    finally:
        hub.leave(subscriber)


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _missed_frames(subscriber: Subscriber, records: list[ViewRecord]) -> Iterator[bytes]:
    """Frames of missed records; each id is a position from which nothing is missed, should the line break there."""
    for record in records:
        subscriber.seen[record.topic][record.partition] = record.offset + 1
        if subscriber.machine_id in {None, record.machine_id}:
            yield _frame(record, encode(subscriber.seen))
