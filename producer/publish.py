"""Publishing of readings to Kafka at a given pace, with counts of deliveries."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec
import numpy as np
from confluent_kafka import KafkaError, Message, Producer

from core.arrays import Floats
from runtime.kafka import producer_config
from runtime.settings import KafkaSettings
from schemas.topics import READINGS

FLUSH_SECONDS: Final = 30.0
_FULL_QUEUE_SECONDS: Final = 0.1
_POLL_EVERY: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Readings in the order of sending; n rows of S sensors.

    machine_ids (n,). timestamps (n,): epoch s. values (n, S): in the plant's order, NaN where missing.
    """

    machine_ids: Sequence[str]
    timestamps: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.timestamps)


class Pace(Protocol):
    """Interface that decides when a reading of a given event time is sent."""

    def wait(self, timestamp: float) -> None:
        """Wait until the reading of `timestamp`, epoch seconds, is due."""


class FullSpeed:
    """Pace without waiting."""

    def wait(self, timestamp: float) -> None:
        """Return at once."""


class Paced:
    """Pace of `speed` times event time, from the first reading on; late readings are not skipped."""

    def __init__(
        self,
        speed: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._origin: tuple[float, float] | None = None

    def wait(self, timestamp: float) -> None:
        """Sleep until the reading is due."""
        if self._origin is None:
            self._origin = (self._clock(), timestamp)
        began, first = self._origin
        due = began + (timestamp - first) / self._speed
        left = due - self._clock()
        if left > 0:
            self._sleep(left)


def encoded(readings: Readings, sensors: Sequence[str]) -> Iterator[tuple[str, float, bytes]]:
    """Yield each reading as (machine_id, timestamp, JSON), without missing values."""
    encode = msgspec.json.Encoder().encode
    rows = zip(readings.machine_ids, readings.timestamps.tolist(), readings.values.tolist(), strict=True)
    for machine_id, timestamp, values in rows:
        document: dict[str, object] = {
            "machine_id": machine_id,
            "timestamp": datetime.fromtimestamp(timestamp, UTC),
        }
        # NaN, the missing value, differs from itself
        document |= {name: value for name, value in zip(sensors, values, strict=True) if value == value}  # noqa: PLR0124
        yield machine_id, timestamp, encode(document)


class Publisher:
    """Publisher to the readings topic, keyed by machine; `delivered` and `failed` count acknowledged messages."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = Producer(producer_config(kafka))
        self.sent = 0
        self.delivered = 0
        self.failed = 0
        self.failure: str | None = None

    def publish(
        self,
        readings: Readings,
        sensors: Sequence[str],
        *,
        pace: Pace | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Send `readings` at their pace, until all are sent or `stopped` returns True."""
        due = pace or FullSpeed()
        for machine_id, timestamp, value in encoded(readings, sensors):
            due.wait(timestamp)
            if stopped():
                return
            self.send(machine_id, value)

    def send(self, machine_id: str, value: bytes | None) -> None:
        """Send one message unchanged; wait only if the queue is full."""
        while True:
            try:
                self._producer.produce(READINGS, value, machine_id, on_delivery=self._report)
                break
            except BufferError:
                self._producer.poll(_FULL_QUEUE_SECONDS)
        self.sent += 1
        if self.sent % _POLL_EVERY == 0:
            self._producer.poll(0)

    def poll(self) -> None:
        """Handle delivery reports; call it while nothing is sent."""
        self._producer.poll(0)

    def flush(self, seconds: float = FLUSH_SECONDS) -> int:
        """Wait for all acknowledgements, `seconds` at most; count missing ones as failed and return how many."""
        left = self._producer.flush(seconds)
        if left:
            self.failed += left
            self.failure = f"{left} messages were not acknowledged within {seconds:g} s; check the broker"
        return left

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.delivered += 1
            return
        self.failed += 1
        self.failure = error.str()


def merged(parts: Iterable[Readings]) -> Readings:
    """Return all readings in order of time; readings of the same time are in the order of `parts`."""
    known = list(parts)
    timestamps = np.concatenate([part.timestamps for part in known])
    order = np.argsort(timestamps, kind="stable")
    machine_ids = [machine_id for part in known for machine_id in part.machine_ids]
    return Readings(
        machine_ids=[machine_ids[index] for index in order],
        timestamps=timestamps[order],
        values=np.concatenate([part.values for part in known])[order],
    )
