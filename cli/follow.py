"""Reads a topic for people: from its beginning in order of time across partitions, then as messages come in.

It belongs to no consumer group and commits nothing, so reading changes nothing for anybody.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, Message, TopicPartition

from runtime.errors import BrokerUnavailable, FailureError
from runtime.kafka import consumer_config, list_topics
from runtime.settings import KafkaSettings
from schemas.topics import Topic

Item = TypeVar("Item")

_AT_ONCE: Final = 500
_POLL_SECONDS: Final = 0.2
_WAITING: Final = 2_000
_SILENCE_SECONDS: Final = 15.0
_END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001  public in all but name
_WILL_MEND: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record: where it stands, when it was written (epoch seconds), and what it holds; None: a deletion."""

    partition: int
    offset: int
    written_at: float
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Merger(Generic[Item]):
    """Puts the items of several partitions in one order of time while their beginnings are read.

    An item may go out once every partition has shown its next one or its end. The order within a partition stays.
    """

    partitions: int
    _waiting: dict[int, deque[tuple[float, Item]]] = field(default_factory=dict)
    _ended: set[int] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """Whether all partitions came to their end."""
        return len(self._ended) >= self.partitions

    def add(self, partition: int, at: float, item: Item) -> None:
        """Take in the next item of a partition, whose time is `at`."""
        self._waiting.setdefault(partition, deque()).append((at, item))

    def end(self, partition: int) -> None:
        """Note that a partition has nothing more for now."""
        self._ended.add(partition)

    def waiting(self, partition: int) -> int:
        """How many items of a partition wait for others."""
        return len(self._waiting.get(partition, ()))

    def ready(self) -> Iterator[Item]:
        """The items that may go out, in order."""
        while True:
            filled = {number for number, items in self._waiting.items() if items}
            if not filled or len(filled | self._ended) < self.partitions:
                return
            first = min(filled, key=lambda number: self._waiting[number][0][0])
            yield self._waiting[first].popleft()[1]


def read_topic(
    kafka: KafkaSettings,
    topic: Topic,
    *,
    decode: Callable[[Record], tuple[float, Item] | None],
    from_start: bool = True,
    follow: bool = False,
) -> Iterator[Item]:
    """What `decode` makes of the records of `topic`; without `follow` it ends at the end that the topic has now.

    decode: gives the time to order by and the item, or None for a record that is to be left out.

    Raises:
        FailureError: there is no such topic, or the broker refuses to show it.
        BrokerUnavailable: the broker was lost on the way.
    """
    (state,) = list_topics(kafka, [topic])
    if not state.partitions:
        raise FailureError(f"{topic.name} does not exist at {kafka.bootstrap_servers}; run `nexova topics create`")
    consumer = Consumer(consumer_config(kafka) | {"enable.partition.eof": True})
    merger: Merger[Item] = Merger(partitions=state.partitions)
    try:
        start = OFFSET_BEGINNING if from_start else OFFSET_END
        consumer.assign([TopicPartition(topic.name, number, start) for number in range(state.partitions)])
        yield from _read(consumer, topic, decode, merger, follow=follow)
    finally:
        consumer.close()


def _read(
    consumer: Consumer,
    topic: Topic,
    decode: Callable[[Record], tuple[float, Item] | None],
    merger: Merger[Item],
    *,
    follow: bool,
) -> Iterator[Item]:
    heard_at = time.monotonic()
    paused: set[int] = set()
    while follow or not merger.done:
        messages = consumer.consume(_AT_ONCE, _POLL_SECONDS)
        if messages:
            heard_at = time.monotonic()
        for message in messages:
            _take(message, topic, decode, merger)
        yield from merger.ready()
        paused = _hold_back(consumer, topic, merger, paused)
        if not merger.done and time.monotonic() - heard_at > _SILENCE_SECONDS:
            raise BrokerUnavailable(
                f"{topic.name} could not be read to its end: the broker said nothing for {_SILENCE_SECONDS:g} s; "
                "check it with `nexova doctor`"
            )


def _take(
    message: Message, topic: Topic, decode: Callable[[Record], tuple[float, Item] | None], merger: Merger[Item]
) -> None:
    error = message.error()
    partition = message.partition() or 0  # the client's types allow None, the client never gives it
    if error is None:
        record = Record(
            partition=partition,
            offset=message.offset() or 0,
            written_at=message.timestamp()[1] / 1000.0,
            key=message.key(),
            value=message.value(),
        )
        decoded = decode(record)
        if decoded is not None:
            merger.add(partition, *decoded)
    elif error.code() == _END_OF_PARTITION:
        merger.end(partition)
    elif error.code() not in _WILL_MEND:
        raise FailureError(f"{topic.name} cannot be read ({error.str()}); check our rights with `nexova doctor`")


def _hold_back(consumer: Consumer, topic: Topic, merger: Merger[Item], paused: set[int]) -> set[int]:
    """Stop fetching partitions that are far ahead of the others, so that memory stays bounded."""
    held = {number for number in range(merger.partitions) if merger.waiting(number) > _WAITING}
    for change, numbers in ((consumer.pause, held - paused), (consumer.resume, paused - held)):
        if numbers:
            change([TopicPartition(topic.name, number) for number in numbers])
    return held
