"""Changelog topics of the state, and the reading of their partitions.

A worker that adopts a partition reads its changelogs itself, a whole partition at a time: Faust's tables would read
them record by record and keep a second copy in memory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from core.state.records import END, FORMAT, Record, UnknownStateFormat, refusal
from processor.fenced_producer import Outgoing
from runtime.errors import BrokerUnavailable, FailureError
from runtime.kafka import consumer_config, create_topics
from runtime.settings import KafkaSettings
from schemas.message import Message
from schemas.topics import Topic

MACHINES: Final = "machines"
SERIES: Final = "series"
_LARGEST_RECORD: Final = 8 * 1_048_576
_AT_ONCE: Final = 10_000
_PATIENCE_SECONDS: Final = 30.0
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001  public in all but name
_TRANSIENT: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Last record of a checkpoint, with the source offset up to which readings are assessed.

    offset: of the first source record that is not in it. topic_id: identity of the source topic; empty in records of
    older versions.
    """

    format: int = FORMAT
    offset: int
    topic_id: str = ""

    def reaches(self, topic_id: str | None) -> int:
        """Return the next offset to read in a topic of this identity; 0 if the topic was recreated."""
        return 0 if self.is_of_another(topic_id) else self.offset

    def is_of_another(self, topic_id: str | None) -> bool:
        """Return whether the topic was recreated since, so that its offsets start again."""
        return bool(self.topic_id and topic_id) and self.topic_id != topic_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Content of a changelog partition: its records in order, and its end record."""

    records: list[Record]
    end: End | None


def changelog_of(kafka: KafkaSettings, table: str) -> str:
    """Return the topic of a table's changelog."""
    return f"{kafka.group}-{table}-changelog"


def end_record(kafka: KafkaSettings, table: str, *, offset: int, topic_id: str | None) -> Outgoing:
    """Return the end record of a checkpoint of a partition."""
    return Outgoing(
        changelog_of(kafka, table), END, msgspec.msgpack.encode(End(offset=offset, topic_id=topic_id or ""))
    )


def read_changelog(
    kafka: KafkaSettings,
    table: str,
    partition: int,
    *,
    patience: float = _PATIENCE_SECONDS,
    on_progress: Callable[[str, int, float], None] = lambda *_: None,
) -> Restored:
    """Read a partition of a table's changelog from its beginning to its end; blocks.

    Only the partition's owner may call it, so that nothing is written meanwhile. on_progress: called in this thread
    with table, partition, and the share read so far, 1 at the end.

    Raises:
        BrokerUnavailable: the end was not reached within `patience` seconds without a record.
        FailureError: the topic cannot be read, or was written by another version.
    """
    topic = changelog_of(kafka, table)
    consumer = Consumer(
        consumer_config(kafka)
        | {
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "check.crcs": False,
            "fetch.wait.max.ms": 10,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    records: list[Record] = []
    end: bytes | None = None
    place = TopicPartition(topic, partition, 0)
    on_progress(table, partition, 0.0)
    try:
        consumer.assign([place])
        answered_at = time.monotonic()
        while True:
            messages = consumer.consume(_AT_ONCE, 0.05)
            if messages:
                answered_at = time.monotonic()
                on_progress(table, partition, _share_read(consumer, place, messages[-1].offset()))
            elif time.monotonic() - answered_at > patience:
                raise BrokerUnavailable(f"no record of {topic}/{partition} for {patience:g} s; check the broker")
            for message in messages:
                error = message.error()
                if error is None:
                    key = message.key() or b""
                    if key == END:
                        end = message.value()
                    else:
                        records.append((key, message.value()))
                elif error.code() == _EOF:
                    on_progress(table, partition, 1.0)
                    return Restored(records=records, end=end_of(topic, end))
                elif error.code() not in _TRANSIENT:
                    raise FailureError(
                        f"{topic}/{partition} cannot be read ({error.str()}); grant our user the rights that "
                        "`nexova topics acl processor` prints, on the topic and on groups of readers"
                    )
    except KafkaException as error:
        raise FailureError(f"{topic}/{partition} cannot be read ({error.args[0].str()}); check the broker") from None
    finally:
        consumer.close()


def _share_read(consumer: Consumer, place: TopicPartition, offset: int | None) -> float:
    """Return the share of a partition read up to `offset`, below 1, by the ends in the last fetch."""
    low, high = consumer.get_watermark_offsets(place, cached=True)
    if offset is None or high <= low:
        return 0.0
    return min(0.99, max(0.0, (offset - low) / (high - low)))


def end_of(topic: str, value: bytes | None) -> End | None:
    """Return the end record of a changelog's partition; None for an empty one.

    Raises:
        UnknownStateFormat: another version wrote it.
    """
    if value is None:
        return None
    try:
        end = msgspec.msgpack.decode(value, type=End)
    except msgspec.MsgspecError as error:
        raise UnknownStateFormat(refusal(f"an end record in {topic} that is none ({error})")) from None
    if end.format != FORMAT:
        raise UnknownStateFormat(refusal(f"an end record in {topic} of format {end.format}"))
    return end


def newest_values(records: list[Record]) -> list[bytes]:
    """Return the newest value under each key."""
    return [value for value in dict(records).values() if value is not None]


def create_changelogs(kafka: KafkaSettings) -> None:
    """Create missing changelogs, and return once the brokers know them.

    Raises:
        FailureError: one exists with another number of partitions.
        BrokerUnavailable, BrokerRefused: as of `runtime.kafka.create_topics`.
    """
    topics = [
        Topic(
            name=changelog_of(kafka, table),
            title=f"State: {table}",
            key="part/machine",
            message=Message,
            cleanup="compact",
            retention_hours=None,
            max_message_bytes=_LARGEST_RECORD,
            description="State of the processor.",
        )
        for table in (MACHINES, SERIES)
    ]
    for topic in create_topics(kafka, topics):
        if topic.problem:
            raise FailureError(topic.problem)
