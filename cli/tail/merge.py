"""Reading of a topic in order of time across its partitions, then in order of arrival."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from runtime.errors import BrokerUnavailable
from runtime.settings import KafkaSettings
from runtime.topic_reader import BEGINNING, END, Record, TopicReader

Item = TypeVar("Item")

_AT_ONCE: Final = 500
_POLL_SECONDS: Final = 0.2
_WAITING: Final = 2_000
_SILENCE_SECONDS: Final = 15.0


@dataclass(slots=True)
class Merger(Generic[Item]):
    """Merger of the items of several partitions in order of time, up to the end of each.

    An item is ready once every partition has a later item or is at its end. The order within a partition is kept.
    """

    partitions: int
    _waiting: dict[int, deque[tuple[float, Item]]] = field(default_factory=dict)
    _ended: set[int] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """Whether all partitions are at their end."""
        return len(self._ended) >= self.partitions

    def add(self, partition: int, at: float, item: Item) -> None:
        """Add the next item of a partition; at: its time."""
        self._waiting.setdefault(partition, deque()).append((at, item))

    def end(self, partition: int) -> None:
        """Mark a partition as read to its end."""
        self._ended.add(partition)

    def waiting(self, partition: int) -> int:
        """Return the number of items of a partition that wait for other partitions."""
        return len(self._waiting.get(partition, ()))

    def ready(self) -> Iterator[Item]:
        """Return the items that are ready, in order."""
        while True:
            filled = {number for number, items in self._waiting.items() if items}
            if not filled or len(filled | self._ended) < self.partitions:
                return
            first = min(filled, key=lambda number: self._waiting[number][0][0])
            yield self._waiting[first].popleft()[1]


def read_in_order(
    kafka: KafkaSettings,
    topic: str,
    *,
    decode: Callable[[Record], tuple[float, Item] | None],
    from_start: bool = True,
    follow: bool = False,
) -> Iterator[Item]:
    """Yield the decoded records of `topic`; without `follow`, up to its current end.

    decode: returns the time to order by and the item, or None to skip the record.

    Raises:
        TopicMissing, BrokerRefused, FailureError: as `TopicReader` does.
        BrokerUnavailable: the broker was lost before the end.
    """
    with TopicReader(kafka, {topic: BEGINNING if from_start else END}) as reader:
        merger: Merger[Item] = Merger(partitions=len(reader.places))
        answered_at = time.monotonic()
        while follow or not merger.done:
            records = reader.read(_POLL_SECONDS, most=_AT_ONCE)
            if records:
                answered_at = time.monotonic()
            for record in records:
                decoded = decode(record)
                if decoded is not None and (follow or reader.was_in_log(record)):
                    merger.add(record.partition, *decoded)
            for _, partition in reader.passed:
                merger.end(partition)
            yield from merger.ready()
            # partitions far ahead of the others are not fetched, so that memory stays bounded
            reader.hold(place for place in reader.places if merger.waiting(place[1]) > _WAITING)
            if not merger.done and time.monotonic() - answered_at > _SILENCE_SECONDS:
                raise BrokerUnavailable(
                    f"{topic} could not be read to its end: the broker did not answer for {_SILENCE_SECONDS:g} s; "
                    "check it with `nexova doctor`"
                )
