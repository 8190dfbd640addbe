"""The live view's readers: three threads that read topics, one view that the event loop's thread owns.

    changes    alerts, recommendations, machines, energy, forecasts, feedback: the view is complete once these are
    rings      readings and scores, only the newest, at a tenth of a core at most; what is too much is skipped
    baselines  the processor's state, from its table's changelog, for scores against a machine's own baseline

A thread delivers the records of one fetch and waits until they are applied, so that memory stays bounded.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.live.baselines import Baselines
from api.live.events import Hub
from api.live.records import KINDS, ViewRecord, read_record
from api.live.view import View
from runtime import topic_reader
from runtime.errors import NexovaError, TopicMissing
from runtime.metrics import ApiMetrics
from runtime.settings import Settings
from runtime.topic_reader import BEGINNING, Start, follow
from schemas.topics import ALERTS, ENERGY, FEEDBACK, FORECASTS, MACHINES, MODELS, READINGS, RECOMMENDATIONS, SCORES

LOGGER: Final = logging.getLogger("nexova.api.live")
CHANGES: Final = (ALERTS, RECOMMENDATIONS, FEEDBACK, FORECASTS, ENERGY, MACHINES, MODELS)
_MOST_BEHIND: Final = 20_000
_NEWEST: Final = 2_000
_PAUSE_SECONDS: Final = 0.005
_REST: Final = 9.0  # seconds of rest for each second of work

Apply = Callable[[list[ViewRecord]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Topics that one thread of the live view reads. newest: number of records to skip to when it is far behind.

    gentle: rest after work, and fetch little ahead. optional: a missing topic is no problem.
    """

    name: str
    topics: Mapping[str, Start]
    newest: int | None = None
    gentle: bool = False
    optional: bool = False


class ViewReader(threading.Thread):
    """Follower of topics until stopped, which recovers from all failures of the brokers.

    hand_over: takes records, in the order of each partition, and returns when they are applied.
    changed: called when `up`, `complete` or `problem` changes. unreadable: called for each record that breaks its
    contract.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        *,
        hand_over: Apply,
        changed: Callable[[], None],
        unreadable: Callable[[], None],
    ) -> None:
        super().__init__(name=f"live-{source.name}", daemon=True)
        self.up = False
        self.complete = False
        self.problem: str | None = "the brokers have not answered yet"
        self._settings = settings
        self._source = source
        self._hand_over = hand_over
        self._changed = changed
        self._unreadable = unreadable
        self._ended = threading.Event()

    def stop(self) -> None:
        """Request the end of the thread."""
        self._ended.set()

    def run(self) -> None:
        """Read, deliver and pause until stopped."""
        try:
            self._follow()
        except RuntimeError:
            if not self._ended.is_set():
                raise  # else: the event loop ended while something was handed over

    def _follow(self) -> None:
        source = self._source
        for reader, found in follow(
            self._settings.kafka,
            source.topics,
            stopped=self._ended.is_set,
            on_state=self._note,
            wait=self._ended.wait,
            buffer_kib=2_048 if source.gentle else 16_384,
        ):
            begun = time.monotonic()
            records = [record for one in found if (record := self._decoded(one)) is not None]
            if records:
                self._hand_over(records)
            if reader.caught_up and not self.complete:
                self.complete = True
                self._changed()
            if source.newest is not None:
                reader.skip(behind=_MOST_BEHIND, newest=source.newest)
            if records:
                # what comes in the next moment is handed over at once
                self._ended.wait(max(_PAUSE_SECONDS, _REST * (time.monotonic() - begun) * source.gentle))

    def _decoded(self, found: topic_reader.Record) -> ViewRecord | None:
        record = read_record(found)
        if record is None:
            self._unreadable()
            LOGGER.warning("%s/%d at %d breaks its contract; skipped", found.topic, found.partition, found.offset)
        return record

    def _note(self, failure: NexovaError | None) -> None:
        missing = isinstance(failure, TopicMissing)
        up = failure is None or missing
        problem = None if failure is None or (missing and self._source.optional) else failure.message
        if (up, problem) == (self.up, self.problem):
            return
        if up != self.up:
            LOGGER.log(logging.INFO if up else logging.WARNING, "%s: %s", self.name, "connected" if up else problem)
        self.up, self.problem = up, problem
        self._changed()


class Live:
    """The live view, maintained by three readers; everything but the readers runs on the event loop's thread.

    promoted: called when a model was promoted, with its name.
    """

    def __init__(
        self, settings: Settings, baselines: Baselines, metrics: ApiMetrics, promoted: Callable[[], None]
    ) -> None:
        self.view = View(settings.api)
        self.hub = Hub(self.view, metrics)
        self.baselines = baselines
        self.complete = asyncio.Event()
        self._metrics = metrics
        self._promoted = promoted
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awaited: dict[asyncio.Event, tuple[str, int, int]] = {}
        unreadable = metrics.view_unreadable.inc
        changelog = f"{settings.kafka.group}-machines-changelog"
        starts = dict.fromkeys(CHANGES, BEGINNING)
        starts[ENERGY] = Start(since=time.time() - 3600.0 * (settings.api.recent_hours + 1.0))
        newest = dict.fromkeys((READINGS, SCORES), Start(newest=_NEWEST))

        def reader(source: Source, take: Callable[[Sequence[ViewRecord]], None]) -> ViewReader:
            return ViewReader(
                settings, source, hand_over=self._handing(take), changed=self._tell, unreadable=unreadable
            )

        self._changes = reader(Source(name="changes", topics=starts), self._take_changes)
        self._others = (
            reader(Source(name="rings", topics=newest, newest=_NEWEST, gentle=True), self._take_rings),
            reader(
                Source(name="baselines", topics={changelog: BEGINNING}, gentle=True, optional=True),
                self.baselines.take,
            ),
        )

    @property
    def up(self) -> bool:
        """Whether the brokers are reachable."""
        return self._changes.up

    @property
    def problem(self) -> str | None:
        """Problem and remedy; None without a problem."""
        return self._changes.problem

    def start(self) -> None:
        """Start reading; call it on the event loop."""
        self._loop = asyncio.get_running_loop()
        for reader in (self._changes, *self._others):
            reader.start()

    async def close(self) -> None:
        """End the streams and the readers."""
        self.hub.close()
        for reader in (self._changes, *self._others):
            reader.stop()
        for reader in (self._changes, *self._others):
            if reader.is_alive():
                await asyncio.to_thread(reader.join, 10.0)

    async def wait_for(self, topic: str, partition: int, offset: int, *, seconds: float) -> bool:
        """Wait until the record at that place is in the view; return False if it is not after `seconds`."""
        if self.hub.reached(topic, partition, offset):
            return True
        reached = asyncio.Event()
        self._awaited[reached] = (topic, partition, offset)
        try:
            async with asyncio.timeout(seconds):
                await reached.wait()
        except TimeoutError:
            return False
        finally:
            del self._awaited[reached]
        return True

    def _handing(self, take: Callable[[Sequence[ViewRecord]], None]) -> Apply:
        """Return a function for a reader's thread that applies records on the loop's thread, and waits for it."""

        def hand_over(records: list[ViewRecord]) -> None:
            done = threading.Event()

            def taking() -> None:
                try:
                    take(records)
                finally:
                    done.set()

            loop = self._loop
            if loop is None or loop.is_closed():
                raise RuntimeError("the event loop has ended")
            loop.call_soon_threadsafe(taking)
            while not done.wait(1.0):
                if loop.is_closed():
                    raise RuntimeError("the event loop has ended")

        return hand_over

    def _take_changes(self, records: Sequence[ViewRecord]) -> None:
        for record in records:
            self.view.apply(record)
            if KINDS[record.topic].event is not None:
                self.hub.publish(record)
        self._count(records)
        if any(record.topic == MODELS for record in records) and self.complete.is_set():
            self._promoted()
        for reached, place in self._awaited.items():
            if self.hub.reached(*place):
                reached.set()

    def _take_rings(self, records: Sequence[ViewRecord]) -> None:
        for record in records:
            self.view.apply(record)
        self._count(records)

    def _count(self, records: Sequence[ViewRecord]) -> None:
        counts: dict[str, int] = {}
        for record in records:
            counts[record.topic] = counts.get(record.topic, 0) + 1
        for topic, number in counts.items():
            self._metrics.view_records.labels(topic=topic).inc(number)

    def _tell(self) -> None:
        """Apply a reader's change of state; called in its thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._metrics.kafka_up.set(self.up)
        if self._changes.complete and not self.complete.is_set():
            self.complete.set()
            self._metrics.view_ready.set(1)
            LOGGER.info("the view is complete: %s", self.view.sizes())

    def measure(self) -> None:
        """Update the gauges."""
        for kind, number in self.view.sizes().items():
            self._metrics.view_items.labels(kind=kind).set(number)
        self._metrics.view_items.labels(kind="baselines").set(len(self.baselines))
        self._metrics.streams.set(self.hub.streams)
