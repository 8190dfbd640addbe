"""History from Kafka: readings, alerts and feedback, from a given time to the end at the start of reading.

Readings are kept as columns, and only the newest of them: memory is bounded however long the topic is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from core.batch import ReadingBatch, decode_records
from core.plant import Plant
from runtime.errors import FailureError
from runtime.kafka import list_topics
from runtime.settings import KafkaSettings
from runtime.topic_reader import Record, Start, read_to_end
from schemas.alerts import Alert
from schemas.codec import ReadingDecoder
from schemas.feedback import Feedback
from schemas.message import Message
from schemas.topics import ALERTS, CATALOGUE, FEEDBACK, READINGS
from trainer.candidate import Progress
from trainer.cleaning import FeedbackHistory

MOST_READINGS: Final = 2_000_000
_SLACK: Final = 1.25  # so much more than is kept may be held before the oldest are let go
Kind = TypeVar("Kind", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Content of Kafka. refused: messages and rows that are no readings. too_old: readings dropped for newer ones."""

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
    """Read the newest `most` readings measured at `since` or later (None: all), and all alerts and feedback.

    clock: decides which readings lie ahead of their time.

    Raises:
        BrokerUnavailable: no broker answered, or it stopped answering.
        FailureError: a topic does not exist.
    """
    wanted = tuple(topic for topic in CATALOGUE if topic.name in {READINGS, ALERTS, FEEDBACK})
    for topic in list_topics(kafka, wanted):
        if topic.problem:
            raise FailureError(topic.problem)
    held = _NewestReadings(plant=plant, since=-np.inf if since is None else since.timestamp(), most=most, clock=clock)
    # a device may be ahead of the clock that stamps its records
    begin = None if since is None else since.timestamp() - plant.readings.latest_ahead_seconds
    for records, share in read_to_end(kafka, READINGS, start=Start(since=begin)):
        held.take(records)
        progress("readings from Kafka", share)
    statements = FeedbackHistory(alerts=_parsed(kafka, ALERTS, Alert), feedback=_parsed(kafka, FEEDBACK, Feedback))
    return held.history(statements)


@dataclass(slots=True, kw_only=True)
class _NewestReadings:
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

    def take(self, records: list[Record]) -> None:
        decoded = decode_records(
            [record.offset for record in records],
            [record.value for record in records],
            decoder=self._decoder,
            plant=self.plant,
            now=self.clock(),
            max_message_bytes=max((len(record.value or b"") for record in records), default=0),
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
        """Keep the newest readings; at the time of the cut, those that arrived first."""
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


def _parsed(kafka: KafkaSettings, topic: str, kind: type[Kind]) -> tuple[Kind, ...]:
    """Return all valid messages of a topic; invalid ones are skipped, as they had no effect."""
    found = []
    for records, _ in read_to_end(kafka, topic):
        for record in records:
            if record.value is None:
                continue
            try:
                found.append(kind.model_validate_json(record.value))
            except ValidationError:
                continue
    return tuple(found)
