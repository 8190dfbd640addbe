"""Reads what the processor publishes into the tally of a demo run."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import LatestSpec, OffsetSpec

from cli.demo.tally import TOPICS, Tally
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
        latest: dict[TopicPartition, OffsetSpec] = dict.fromkeys(
            self.partitions,
            LatestSpec(),  # type: ignore[no-untyped-call]
        )
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
    """A count's growth a second, over the last few seconds."""

    window_seconds: float = 5.0
    clock: Callable[[], float] = time.monotonic
    _points: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, count: int) -> None:
        """Takes the count as it is now; to be called often."""
        now = self.clock()
        self._points.append((now, count))
        while now - self._points[0][0] > self.window_seconds:
            self._points.popleft()

    def rate(self) -> float:
        """How much the count grew a second."""
        if len(self._points) < 2:  # noqa: PLR2004  growth is between two points
            return 0.0
        (first, before), (last, after) = self._points[0], self._points[-1]
        return (after - before) / (last - first) if last > first else 0.0
