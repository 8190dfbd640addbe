"""Reads what the processor publishes into the tally of a demo run."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from cli.demo_tally import TOPICS, Tally
from runtime.errors import BrokerUnavailable, FailureError
from runtime.kafka import client_config, consumer_config, partitions_of
from runtime.settings import KafkaSettings
from schemas.topics import CATALOGUE

_AT_ONCE: Final = 2_000
_ANSWER_SECONDS: Final = 5.0
_WILL_MEND: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001  public but in name


@dataclass(slots=True)
class Follower:
    """Feeds a tally with all messages of the output topics, from their beginnings."""

    consumer: Consumer
    admin: AdminClient
    tally: Tally
    partitions: Sequence[TopicPartition]

    def poll(self, seconds: float) -> int:
        """Take in what has come, waiting at most `seconds` for more; return how many messages there were."""
        messages = self.consumer.consume(_AT_ONCE, seconds)
        for message in messages:
            error = message.error()
            if error is not None:
                if error.code() in _WILL_MEND:
                    continue
                raise FailureError(f"the demo cannot read {message.topic()} ({error.str()})")
            value, topic = message.value(), message.topic()
            if value is not None and topic is not None:
                self.tally.take(
                    topic, key=message.key() or b"", value=value, written_at=message.timestamp()[1] / 1000.0
                )
        return len(messages)

    def to_the_end(self, *, timeout_seconds: float) -> None:
        """Take in all that is there now.

        Raises:
            BrokerUnavailable: the broker did not give all of it in time.
        """
        deadline = time.monotonic() + timeout_seconds
        latest = {one: OffsetSpec.latest() for one in self.partitions}
        found = self.admin.list_offsets(latest, request_timeout=_ANSWER_SECONDS)
        ends = {(one.topic, one.partition): future.result().offset for one, future in found.items()}
        while any(
            ends[one.topic, one.partition] > max(0, one.offset) for one in self.consumer.position(list(self.partitions))
        ):
            self.poll(0.1)
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"the demo could not read all results within {timeout_seconds:g} s")


@contextmanager
def following(kafka: KafkaSettings, tally: Tally) -> Iterator[Follower]:
    """A follower of all output topics of the tally while the block runs."""
    partitions = [
        TopicPartition(topic.name, number, OFFSET_BEGINNING)
        for topic in CATALOGUE
        if topic.name in TOPICS
        for number in range(partitions_of(kafka, topic))
    ]
    # a result is to be seen at once: the broker must not wait for more of them before it answers
    consumer = Consumer(consumer_config(kafka) | {"fetch.wait.max.ms": 50})
    try:
        consumer.assign(partitions)
        yield Follower(consumer, AdminClient(client_config(kafka)), tally, partitions)
    finally:
        consumer.close()


@dataclass(slots=True)
class Meter:
    """A count's rate over the last few seconds."""

    window_seconds: float = 5.0
    clock: Callable[[], float] = time.monotonic
    _points: list[tuple[float, int]] | None = None

    def rate(self, count: int) -> float:
        """Note the count as it is now; return how much it grew a second, over the window."""
        now = self.clock()
        points = [point for point in self._points or [] if now - point[0] <= self.window_seconds]
        points.append((now, count))
        self._points = points
        (first, before), (last, after) = points[0], points[-1]
        return (after - before) / (last - first) if last > first else 0.0
