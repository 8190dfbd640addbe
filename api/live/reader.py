"""Reads the output topics into the live view: three readers in threads, one view in the event loop's thread.

    changes    alerts, recommendations, machines, energy, forecasts, feedback: the view is complete once these are
    rings      readings and scores, only the newest, at a tenth of a core at most; what is too much is skipped
    baselines  the processor's state, from its table's changelog, for scores against a machine's own baseline

A thread hands over what one fetch brought and waits until it was taken in, so that memory stays bounded.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from api.live.baselines import Baselines
from api.live.events import Hub
from api.live.records import KINDS, Record, read_record
from api.live.view import View
from runtime.errors import NexovaError
from runtime.kafka import consumer_config
from runtime.metrics import ApiMetrics
from runtime.settings import Settings
from schemas.topics import ALERTS, ENERGY, FEEDBACK, FORECASTS, MACHINES, MODELS, READINGS, RECOMMENDATIONS, SCORES

LOGGER: Final = logging.getLogger("nexova.api.live")
CHANGES: Final = (ALERTS, RECOMMENDATIONS, FEEDBACK, FORECASTS, ENERGY, MACHINES, MODELS)
_AT_ONCE: Final = 500
_POLL_SECONDS: Final = 0.1
_QUIET_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 3.0
_AGAIN_SECONDS: Final = 1.0
_MOST_BEHIND: Final = 20_000
_PAUSE_SECONDS: Final = 0.005
_REST: Final = 9.0  # seconds of rest for each second of work
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001  public in all but name
_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001

Apply = Callable[[list[Record]], None]


@dataclass(slots=True)
class Follow:
    """How a reader reads. newest: begin so many records before the end of each partition; None: at the beginning.

    hours: begin with what was written in so many hours, for topics named here. gentle: rest after work, and skip.
    """

    name: str
    topics: tuple[str, ...]
    newest: int | None = None
    hours: dict[str, float] = field(default_factory=dict)
    gentle: bool = False
    optional: bool = False


class Reader(threading.Thread):
    """Follows topics until it is stopped; whatever happens to the brokers, it tries again.

    hand_over: takes records, in the order of each partition, and returns when they are taken in.
    changed: called when `up`, `complete` or `problem` changes. unreadable: called for each record that breaks its
    contract.
    """

    def __init__(
        self,
        settings: Settings,
        follow: Follow,
        *,
        hand_over: Apply,
        changed: Callable[[], None],
        unreadable: Callable[[], None],
    ) -> None:
        super().__init__(name=f"live-{follow.name}", daemon=True)
        self.up = False
        self.complete = False
        self.problem: str | None = "the brokers have not answered yet"
        self._settings = settings
        self._follow = follow
        self._hand_over = hand_over
        self._changed = changed
        self._unreadable = unreadable
        self._ended = threading.Event()
        self._next: dict[tuple[str, int], int] = {}
        self._begun: set[tuple[str, int]] = set()

    def stop(self) -> None:
        """Asks the thread to end."""
        self._ended.set()

    def run(self) -> None:
        """The thread's work."""
        while not self._ended.is_set():
            try:
                self._read()
            except (KafkaException, NexovaError) as error:
                text = error.message if isinstance(error, NexovaError) else str(error.args[0].str())
                servers = self._settings.kafka.bootstrap_servers
                self._note(up=False, problem=f"Kafka does not answer at {servers} ({text})")
            except RuntimeError:
                if not self._ended.is_set():
                    raise  # else: the event loop ended while something was handed over
            self._ended.wait(_AGAIN_SECONDS)

    def _read(self) -> None:
        consumer = Consumer(
            consumer_config(self._settings.kafka)
            | {
                "error_cb": self._hear,
                # who may skip need not have much at hand: the broker has better things to do than to send it
                "queued.max.messages.kbytes": 2_048 if self._follow.gentle else 16_384,
                "fetch.message.max.bytes": 262_144 if self._follow.gentle else 1_048_576,
                "fetch.wait.max.ms": 100,
                "topic.metadata.refresh.interval.ms": 30_000,
            }
        )
        try:
            partitions = self._partitions(consumer)
            if partitions is None:
                return
            ends = self._assign(consumer, partitions)
            self._note(up=True, problem=None)
            self._loop(consumer, ends)
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer) -> list[TopicPartition] | None:
        """All partitions of all topics; None, and a problem noted, where a topic does not exist."""
        known = consumer.list_topics(timeout=_ANSWER_SECONDS).topics
        missing = [name for name in self._follow.topics if name not in known or not known[name].partitions]
        if missing:
            words = f"{', '.join(missing)} does not exist at the brokers; run `nexova topics create`"
            self._note(up=True, problem=None if self._follow.optional else words)
            return None
        return [TopicPartition(name, number) for name in self._follow.topics for number in known[name].partitions]

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> dict[tuple[str, int], int]:
        """Begins to read; the end that each partition has now."""
        ends, starts = {}, []
        for one in partitions:
            place = (one.topic, one.partition)
            low, high = consumer.get_watermark_offsets(one, timeout=_ANSWER_SECONDS)
            start = low if self._follow.newest is None else max(low, high - self._follow.newest)
            # after a break, go on where we were; a broker that was made anew has less than that
            start = self._next[place] if low <= self._next.get(place, -1) <= high else start
            ends[place] = high
            starts.append(TopicPartition(one.topic, one.partition, start))
        for one in self._since(consumer, starts):
            self._next[one.topic, one.partition] = one.offset
        consumer.assign([TopicPartition(topic, number, self._next[topic, number]) for topic, number in ends])
        return ends

    def _since(self, consumer: Consumer, starts: list[TopicPartition]) -> list[TopicPartition]:
        """The starts, later where a topic counts from a time on only."""
        now = time.time()
        asked = [
            TopicPartition(one.topic, one.partition, int((now - self._follow.hours[one.topic] * 3600) * 1000))
            for one in starts
            if one.topic in self._follow.hours and (one.topic, one.partition) not in self._begun
        ]
        self._begun |= {(one.topic, one.partition) for one in asked}
        found = consumer.offsets_for_times(asked, timeout=_ANSWER_SECONDS) if asked else []
        later = {(one.topic, one.partition): one.offset for one in found if one.error is None and one.offset > 0}
        return [
            TopicPartition(one.topic, one.partition, max(one.offset, later.get((one.topic, one.partition), 0)))
            for one in starts
        ]

    def _loop(self, consumer: Consumer, ends: dict[tuple[str, int], int]) -> None:
        waiting = {place for place, end in ends.items() if self._next[place] < end}
        looked = quiet_since = time.monotonic()
        while not self._ended.is_set():
            begun = time.monotonic()
            # `consume` alone would wait for as many as it may bring, so the first one is waited for
            first = consumer.poll(_POLL_SECONDS)
            messages = [] if first is None else [first, *consumer.consume(_AT_ONCE - 1, 0)]
            taken = time.monotonic()
            records = [record for message in messages if (record := self._read_one(message)) is not None]
            if records:
                self._hand_over(records)
                quiet_since = time.monotonic()
            waiting -= {place for place in waiting if self._next[place] >= ends[place]}
            # the embedded broker reports an end that leaves out most of the last batch, which one fetch brings whole
            if not self.complete and not waiting and (not messages or begun - quiet_since > _QUIET_SECONDS):
                self.complete = True
                self._changed()
            if time.monotonic() - looked > _LOOK_SECONDS:
                self._look(consumer)
                looked = time.monotonic()
            if records:
                # what comes in the next moment is handed over at once
                self._ended.wait(max(_PAUSE_SECONDS, _REST * (time.monotonic() - taken) * self._follow.gentle))

    def _look(self, consumer: Consumer) -> None:
        """Sees whether the brokers answer, and leaves out what there is too much of."""
        consumer.list_topics(self._follow.topics[0], timeout=_ANSWER_SECONDS)
        self._note(up=True, problem=None)
        if self._follow.newest is None:
            return
        for (topic, number), position in list(self._next.items()):
            _, high = consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
            if high - position > _MOST_BEHIND:
                self._next[topic, number] = high - self._follow.newest
                consumer.seek(TopicPartition(topic, number, high - self._follow.newest))

    def _read_one(self, message: Message) -> Record | None:
        error = message.error()
        if error is not None:
            if error.code() in _MISSING:
                raise KafkaException(error)
            if error.code() not in {_EOF, _DOWN}:
                LOGGER.debug("%s: %s", message.topic(), error.str())
            return None
        # the client's types allow None, the client never gives it
        topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
        self._next[topic, partition] = offset + 1
        record = read_record(
            topic,
            partition=partition,
            offset=offset,
            at=message.timestamp()[1] / 1000.0,
            key=message.key(),
            value=message.value(),
        )
        if record is None:
            self._unreadable()
            LOGGER.warning("%s/%d at %d breaks its contract; left out", topic, partition, offset)
        return record

    def _hear(self, error: KafkaError) -> None:
        if error.code() == _DOWN:
            self._note(up=False, problem=f"Kafka does not answer at {self._settings.kafka.bootstrap_servers}")

    def _note(self, *, up: bool, problem: str | None) -> None:
        if (up, problem) == (self.up, self.problem):
            return
        if up != self.up:
            LOGGER.log(logging.INFO if up else logging.WARNING, "%s: %s", self.name, "connected" if up else problem)
        self.up, self.problem = up, problem
        self._changed()


class Live:
    """The live view, kept by three readers. Everything but the readers belongs to the event loop's thread.

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
        self._changes = Reader(
            settings,
            Follow("changes", CHANGES, hours={ENERGY: settings.api.recent_hours + 1.0}),
            hand_over=self._handing(self._take_changes),
            changed=self._tell,
            unreadable=unreadable,
        )
        self._others = (
            Reader(
                settings,
                Follow("rings", (READINGS, SCORES), newest=2_000, gentle=True),
                hand_over=self._handing(self._take_rings),
                changed=self._tell,
                unreadable=unreadable,
            ),
            Reader(
                settings,
                Follow("baselines", (changelog,), gentle=True, optional=True),
                hand_over=self._handing(self.baselines.take),
                changed=self._tell,
                unreadable=unreadable,
            ),
        )

    @property
    def up(self) -> bool:
        """Whether the brokers answer."""
        return self._changes.up

    @property
    def problem(self) -> str | None:
        """What is wrong and what to do, None where all is well."""
        return self._changes.problem

    def start(self) -> None:
        """Begins to read; call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        for reader in (self._changes, *self._others):
            reader.start()

    async def close(self) -> None:
        """Ends the streams and the readers."""
        self.hub.close()
        for reader in (self._changes, *self._others):
            reader.stop()
        for reader in (self._changes, *self._others):
            if reader.is_alive():
                await asyncio.to_thread(reader.join, 10.0)

    async def wait_for(self, topic: str, partition: int, offset: int, *, seconds: float) -> bool:
        """Waits until the record at that place is in the view; false where it is not after `seconds`."""
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

    def _handing(self, take: Callable[[Sequence[Record]], None]) -> Apply:
        """A function for a reader's thread that has records taken in by the loop's, and waits for that."""

        def hand_over(records: list[Record]) -> None:
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

    def _take_changes(self, records: Sequence[Record]) -> None:
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

    def _take_rings(self, records: Sequence[Record]) -> None:
        for record in records:
            self.view.apply(record)
        self._count(records)

    def _count(self, records: Sequence[Record]) -> None:
        counts: dict[str, int] = {}
        for record in records:
            counts[record.topic] = counts.get(record.topic, 0) + 1
        for topic, number in counts.items():
            self._metrics.view_records.labels(topic=topic).inc(number)

    def _tell(self) -> None:
        """Takes over what a reader has found; called in its thread."""
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
        """Brings the gauges up to date."""
        for kind, number in self.view.sizes().items():
            self._metrics.view_items.labels(kind=kind).set(number)
        self._metrics.view_items.labels(kind="baselines").set(len(self.baselines))
        self._metrics.streams.set(self.hub.streams)
