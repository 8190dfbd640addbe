"""History from Kafka: readings, alerts and feedback, from a moment to what was there when reading began.

Readings are kept as columns, and only the newest of them: memory is bounded however long the topic is.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import ValidationError

from core.batch import ReadingBatch, decode_records
from core.plant import Plant
from runtime.errors import BrokerUnavailable, FailureError
from runtime.kafka import consumer_config, list_topics
from runtime.settings import KafkaSettings
from schemas.alerts import Alert
from schemas.codec import ReadingDecoder
from schemas.feedback import Feedback
from schemas.message import Message as Record
from schemas.topics import ALERTS, CATALOGUE, FEEDBACK, READINGS
from trainer.candidate import Progress
from trainer.cleaning import FeedbackHistory

MOST_READINGS: Final = 2_000_000
_SLACK: Final = 1.25  # so much more than is kept may be held before the oldest are let go
_AT_ONCE: Final = 4096
_POLL_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 10.0
_AT_END: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - public in all but name
_PATIENCE_SECONDS: Final = 30.0
Kind = TypeVar("Kind", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What Kafka had. refused: messages and rows that are no readings. too_old: readings let go for newer ones."""

    batch: ReadingBatch
    statements: FeedbackHistory
    refused: int
    too_old: int


def read_history(
    kafka: KafkaSettings,
    *,
    plant: Plant,
    since: datetime | None,
    most: int = MOST_READINGS,
    progress: Progress,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> History:
    """Read the readings measured at `since` or later (None: all), the newest `most` of them, and all that was said.

    clock: decides which readings lie ahead of their time.

    Raises:
        BrokerUnavailable: no broker answered, or it stopped answering.
        FailureError: a topic does not exist.
    """
    wanted = tuple(topic for topic in CATALOGUE if topic.name in {READINGS, ALERTS, FEEDBACK})
    for topic in list_topics(kafka, wanted):
        if topic.problem:
            raise FailureError(topic.problem)
    held = _Held(plant=plant, since=-np.inf if since is None else since.timestamp(), most=most, clock=clock)
    # a device may be ahead of the clock that stamps its records
    begin = None if since is None else since.timestamp() - plant.readings.latest_ahead_seconds
    consumer = Consumer(consumer_config(kafka) | {"enable.partition.eof": True})
    try:
        for messages, share in _to_the_end(consumer, READINGS, begin=begin, kafka=kafka):
            held.take(messages)
            progress("readings from Kafka", share)
        statements = FeedbackHistory(
            alerts=_parsed(consumer, ALERTS, Alert, kafka=kafka),
            feedback=_parsed(consumer, FEEDBACK, Feedback, kafka=kafka),
        )
    finally:
        consumer.close()
    return held.history(statements)


@dataclass(slots=True, kw_only=True)
class _Held:
    """The newest readings so far, in pieces: machine (n,), moment (n,), values (n, S), place of arrival (n,)."""

    plant: Plant
    since: float
    most: int
    clock: Callable[[], datetime]
    refused: int = 0
    too_old: int = 0
    arrived: int = 0
    machines: dict[str, int] = field(default_factory=dict)
    pieces: list[tuple[npt.NDArray[Any], ...]] = field(default_factory=list)
    _decoder: ReadingDecoder = field(init=False)

    def __post_init__(self) -> None:
        self._decoder = ReadingDecoder(self.plant.sensor_names)

    def take(self, messages: list[Message]) -> None:
        decoded = decode_records(
            [message.offset() or 0 for message in messages],
            [message.value() for message in messages],
            decoder=self._decoder,
            plant=self.plant,
            now=self.clock(),
            max_message_bytes=max((len(message.value() or b"") for message in messages), default=0),
        )
        self.refused += len(decoded.refused)
        batch = decoded.batch.take(decoded.batch.timestamps >= self.since)
        if not len(batch):
            return
        known = [self.machines.setdefault(machine_id, len(self.machines)) for machine_id in batch.machine_ids]
        place = np.arange(self.arrived, self.arrived + len(batch))
        self.arrived += len(batch)
        self.pieces.append((np.array(known, dtype=np.int64)[batch.machine], batch.timestamps, batch.values, place))
        if sum(len(piece[0]) for piece in self.pieces) > _SLACK * self.most:
            self._let_go()

    def _let_go(self) -> None:
        """Keeps the newest; of readings at the moment where the cut falls, those that came first."""
        joined = tuple(np.concatenate(columns) for columns in zip(*self.pieces, strict=True))
        over = len(joined[0]) - self.most
        if over > 0:
            self.too_old += over
            keep = np.sort(np.argsort(-joined[1], kind="stable")[: self.most])
            joined = tuple(column[keep] for column in joined)
        self.pieces = [joined]

    def history(self, statements: FeedbackHistory) -> History:
        if self.pieces:
            self._let_go()
            machine, moments, values, place = self.pieces[0]
        else:
            machine, moments, place = np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64)
            values = np.zeros((0, len(self.plant.sensors)))
        batch = ReadingBatch(
            machine_ids=tuple(self.machines), machine=machine, timestamps=moments, values=values, offsets=place
        )
        return History(batch=batch, statements=statements, refused=self.refused, too_old=self.too_old)


def _parsed(consumer: Consumer, topic: str, kind: type[Kind], *, kafka: KafkaSettings) -> tuple[Kind, ...]:
    """All messages of a topic that are of its kind; what is none was nothing that anybody could act upon."""
    found = []
    for messages, _ in _to_the_end(consumer, topic, begin=None, kafka=kafka):
        for message in messages:
            value = message.value()
            if value is None:
                continue
            try:
                found.append(kind.model_validate_json(value))
            except ValidationError:
                continue
    return tuple(found)


def _to_the_end(
    consumer: Consumer, topic: str, *, begin: float | None, kafka: KafkaSettings
) -> Iterator[tuple[list[Message], float]]:
    """The records of a topic up to its ends of now, and the share of it that is read.

    begin: epoch s; records stamped before are not looked at. The embedded broker states ends that leave out most of a
    last batch: what was stamped before now and comes at once after the end is taken too.
    """
    try:
        reach = _Reach.of(consumer, topic, begin=begin)
    except KafkaException as raised:
        raise _silent(kafka, topic, raised.args[0]) from None
    consumer.assign([TopicPartition(topic, number, offset) for number, offset in reach.first.items()])
    heard = time.monotonic()
    while reach.first:
        opening = consumer.poll(_POLL_SECONDS)
        messages = [] if opening is None else [opening, *consumer.consume(_AT_ONCE - 1, 0)]
        failures = [error for message in messages if (error := message.error()) is not None]
        for failure in failures:
            if failure.code() != _AT_END and not failure.retriable():
                raise _silent(kafka, topic, failure)
        usable = [message for message in messages if reach.take(message)]
        if usable:
            heard = time.monotonic()
            yield usable, reach.share
        elif reach.whole:
            break
        elif time.monotonic() - heard > _PATIENCE_SECONDS:
            raise _silent(kafka, topic, None)
    consumer.unassign()


@dataclass(slots=True, kw_only=True)
class _Reach:
    """How far each partition is to be read, and is: offsets. begun: epoch s, when its end was looked at."""

    first: dict[int, int]
    end: dict[int, int]
    position: dict[int, int]
    begun: float

    @classmethod
    def of(cls, consumer: Consumer, topic: str, *, begin: float | None) -> Self:
        begun = time.time()
        numbers = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions
        places = [TopicPartition(topic, number) for number in numbers]
        bounds = {place.partition: consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS) for place in places}
        first = {number: low for number, (low, high) in bounds.items() if high > low}
        if begin is not None and first:
            asked = [TopicPartition(topic, number, int(begin * 1000)) for number in first]
            for found in consumer.offsets_for_times(asked, timeout=_ANSWER_SECONDS):
                if found.error is None and found.offset > first[found.partition]:
                    first[found.partition] = found.offset
        end = {number: bounds[number][1] for number in first}
        return cls(first=first, end=end, position=dict(first), begun=begun)

    def take(self, message: Message) -> bool:
        """Whether this is a record that was there when reading began."""
        number = message.partition() or 0
        error = message.error()
        if error is not None:
            if error.code() == _AT_END:
                self.position[number] = max(self.position[number], self.end[number])
            return False
        offset = message.offset() or 0
        self.position[number] = offset + 1
        return offset < self.end[number] or message.timestamp()[1] <= self.begun * 1000

    @property
    def whole(self) -> bool:
        return all(self.position[number] >= end for number, end in self.end.items())

    @property
    def share(self) -> float:
        read = sum(min(self.position[number], end) - self.first[number] for number, end in self.end.items())
        return read / max(1, sum(end - self.first[number] for number, end in self.end.items()))


def _silent(kafka: KafkaSettings, topic: str, error: KafkaError | None) -> BrokerUnavailable:
    why = "nothing came any more" if error is None else error.str()
    return BrokerUnavailable(f"{topic} could not be read to its end from {kafka.bootstrap_servers} ({why}); try again")
