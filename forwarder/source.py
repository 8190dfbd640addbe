"""Kafka side of the forwarder: alerts in order with a committed position, and messages to Kafka."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition

from runtime.errors import FailureError
from runtime.granted import denied
from runtime.kafka import consumer_config, producer_config
from runtime.reading_errors import REFUSED
from runtime.settings import KafkaSettings
from schemas.dead_letters import DeadLetter, DeadLetterReason, Source
from schemas.topics import DEAD_LETTERS

LOGGER: Final = logging.getLogger("nexova.forwarder")
_ANSWER_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.2
_FLUSH_SECONDS: Final = 30.0
_MOST_MESSAGES: Final = 500
_NO_END: Final = 2**62


class AlertSource:
    """A member of the forwarders' group on one topic.

    `assignments` grows by one whenever partitions come or go: what was read and not committed before is then another's,
    or comes again.
    """

    def __init__(self, kafka: KafkaSettings, *, group: str, topic: str) -> None:
        self.topic = topic
        self.assignments = 0
        self._kafka = kafka
        self._group = group
        self._consumer = Consumer(
            consumer_config(kafka, group) | {"max.poll.interval.ms": 300_000, "session.timeout.ms": 10_000}
        )
        self._consumer.subscribe([topic], on_assign=self._moved, on_revoke=self._moved)

    def _moved(self, _: Consumer, __: list[TopicPartition]) -> None:
        self.assignments += 1

    def gather(self, *, wait_seconds: float, stopped: Callable[[], bool]) -> list[Message]:
        """Return the messages within `wait_seconds` of the first one; empty after a while without any.

        Raises:
            BrokerRefused: our user lacks a right.
        """
        found: list[Message] = []
        moves = self.assignments
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline and len(found) < _MOST_MESSAGES and not stopped():
            message = self._consumer.poll(_POLL_SECONDS)
            if self.assignments != moves:
                # partitions moved: begin from what is committed
                return []
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.code() in REFUSED:
                    raise denied("forwarder", f"may not read {self.topic} with group {self._group} ({error.str()})")
                LOGGER.warning("%s: %s", self.topic, error.str())
                continue
            if not found:
                deadline = time.monotonic() + wait_seconds
            found.append(message)
        return found

    def idle(self, seconds: float, *, stopped: Callable[[], bool]) -> bool:
        """Stay in the group for `seconds` without reading on; False where reading has to begin at what is committed."""
        moves = self.assignments
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not stopped() and self.assignments == moves:
            if self._consumer.poll(_POLL_SECONDS) is not None:
                # it was on its way when the partitions were paused: dropped here, it must not be committed over
                self.assignments += 1
        if self.assignments == moves:
            self._consumer.resume(assigned)
        return self.assignments == moves

    def commit(self, messages: Sequence[Message]) -> None:
        """Commit the position after these messages.

        Raises:
            KafkaException: the commit failed; the messages will be read again.
        """
        after: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition() or 0, message.offset() or 0
            after[partition] = max(after.get(partition, 0), offset + 1)
        offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in after.items()]
        self._consumer.commit(offsets=offsets, asynchronous=False)

    def lag(self) -> int:
        """Return the number of waiting messages in the assigned partitions, as far as the client knows."""
        total = 0
        for place in self._consumer.position(self._consumer.assignment()):
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            total += max(0, end - max(0, place.offset))
        return total

    def rewind(self) -> Iterator[Message]:
        """Restart at the committed position, and yield the records before it, oldest first in each partition.

        What was read beyond it and not committed comes again; a record may come with the very call that tells of an
        assignment.
        """
        committed = self._consumer.committed(self._consumer.assignment(), timeout=_ANSWER_SECONDS)
        self._consumer.assign(
            [TopicPartition(one.topic, one.partition, max(one.offset, 0) or OFFSET_BEGINNING) for one in committed]
        )
        return read_until(self._kafka, {(one.topic, one.partition): one.offset for one in committed if one.offset > 0})

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


def read_until(kafka: KafkaSettings, ends: dict[tuple[str, int], int]) -> Iterator[Message]:
    """Yield the records of partitions from their beginning to the given offsets, without a group.

    Raises:
        FailureError: the brokers fell silent on the way.
    """
    left = dict(ends)
    if not left:
        return
    reader = Consumer(consumer_config(kafka) | {"enable.partition.eof": True})
    try:
        reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in left])
        heard = time.monotonic()
        while left:
            message = reader.poll(_POLL_SECONDS)
            if message is None:
                if time.monotonic() - heard > _ANSWER_SECONDS:
                    raise FailureError(
                        f"{sorted(left)} could not be read: no answer for {_ANSWER_SECONDS:g} s; check the broker"
                    )
                continue
            heard = time.monotonic()
            place = (message.topic() or "", message.partition() or 0)
            if message.error() is not None or (message.offset() or 0) >= left.get(place, 0):
                # the end of the partition, or beyond what was asked for
                left.pop(place, None)
                continue
            yield message
            if (message.offset() or 0) + 1 >= left[place]:
                left.pop(place)
    finally:
        reader.close()


def ends_of(kafka: KafkaSettings, topic: str) -> dict[tuple[str, int], int]:
    """Return for each partition of a topic that holds anything where `read_until` is to stop: at its end."""
    reader = Consumer(consumer_config(kafka))
    try:
        known: Any = reader.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions
        places = [TopicPartition(topic, partition) for partition in known]
        ends = {(topic, one.partition): reader.get_watermark_offsets(one, timeout=_ANSWER_SECONDS)[1] for one in places}
    finally:
        reader.close()
    # the client reports the end of a partition when it is reached; the embedded broker's answer here is too low
    return {place: _NO_END for place, end in ends.items() if end > 0}


class Writer:
    """Producer of the forwarder's few messages, each acknowledged before the next."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = Producer(producer_config(kafka) | {"linger.ms": 0})

    def write(self, topic: str, *, key: str, value: bytes) -> None:
        """Write a message, and wait until all replicas have it.

        Raises:
            FailureError: the message was not acknowledged.
        """
        failures: list[str] = []

        def report(error: Any, _: Message) -> None:
            if error is not None:
                failures.append(error.str())

        try:
            self._producer.produce(topic, value, key, on_delivery=report)
        except (KafkaException, BufferError) as error:
            failures.append(str(error))
        if self._producer.flush(_FLUSH_SECONDS) or failures:
            reason = failures[0] if failures else f"no answer within {_FLUSH_SECONDS:g} s"
            raise FailureError(f"a message to {topic} was not taken: {reason}; check the broker and our rights")

    def bury(self, message: Message, *, reason: DeadLetterReason, detail: str) -> None:
        """Write a dead letter for a message that cannot be forwarded; raises as `write` does."""
        source = Source(topic=message.topic() or "", partition=message.partition() or 0, offset=message.offset() or 0)
        letter = DeadLetter.of(
            source, reason=reason, detail=detail, payload=message.value(), failed_at=datetime.now(UTC)
        )
        self.write(DEAD_LETTERS, key=letter.key, value=letter.encode())
