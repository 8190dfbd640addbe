"""The topics that hold the state, and how a partition of them is read.

A worker that takes a partition over reads its changelogs itself, whole partitions at a time: Faust's tables would
read them record by record and keep every record a second time in memory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from core.state.records import END, FORMAT, Record, UnknownStateFormat
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
_MENDS_ITSELF: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The record that ends a checkpoint: how far the state of its partition reaches.

    offset: of the first source record that is not in it. topic_id: identity of the topic of these records; empty in
    what older versions wrote.
    """

    format: int = FORMAT
    offset: int
    topic_id: str = ""

    def reaches(self, topic_id: str | None) -> int:
        """Return the offset that the state reaches in a topic of this identity: 0 where it was created anew."""
        return 0 if self.is_of_another(topic_id) else self.offset

    def is_of_another(self, topic_id: str | None) -> bool:
        """Return whether the topic was created anew since: its offsets begin again."""
        return bool(self.topic_id and topic_id) and self.topic_id != topic_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A changelog partition as it was read: its records in order, and its end."""

    records: list[Record]
    end: End | None


def changelog_of(kafka: KafkaSettings, table: str) -> str:
    """Return the topic of a table's changelog."""
    return f"{kafka.group}-{table}-changelog"


def end_record(kafka: KafkaSettings, table: str, *, offset: int, topic_id: str | None) -> Outgoing:
    """Return the record that says how far the state of a partition reaches."""
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

    To be called by the partition's owner: nothing is written meanwhile. on_progress: called in this thread with table,
    partition, and the share that was read, 1 at the end.

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
        heard = time.monotonic()
        while True:
            messages = consumer.consume(_AT_ONCE, 0.05)
            if messages:
                heard = time.monotonic()
                on_progress(table, partition, _share_read(consumer, place, messages[-1].offset()))
            elif time.monotonic() - heard > patience:
                raise BrokerUnavailable(f"{topic}/{partition} gave nothing for {patience:g} s; check the broker")
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
                    return Restored(records=records, end=_end(topic, end))
                elif error.code() not in _MENDS_ITSELF:
                    raise FailureError(f"{topic}/{partition} cannot be read ({error.str()}); check our rights")
    except KafkaException as error:
        raise FailureError(f"{topic}/{partition} cannot be read ({error.args[0].str()}); check the broker") from None
    finally:
        consumer.close()


def _share_read(consumer: Consumer, place: TopicPartition, offset: int | None) -> float:
    """Return the share of a partition up to `offset`, by what the last fetch said of its ends; below 1."""
    low, high = consumer.get_watermark_offsets(place, cached=True)
    if offset is None or high <= low:
        return 0.0
    return min(0.99, max(0.0, (offset - low) / (high - low)))


def _end(topic: str, value: bytes | None) -> End | None:
    if value is None:
        return None
    try:
        end = msgspec.msgpack.decode(value, type=End)
    except msgspec.MsgspecError as error:
        raise UnknownStateFormat(f"{topic} ends with what this version cannot read ({error})") from None
    if end.format != FORMAT:
        raise UnknownStateFormat(f"{topic} is of format {end.format}, and this version reads {FORMAT}")
    return end


def newest_values(records: list[Record]) -> list[bytes]:
    """Return the newest value under each key."""
    return [value for value in dict(records).values() if value is not None]


def create_changelogs(kafka: KafkaSettings) -> None:
    """Create the changelogs that are missing, and return once brokers know them.

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
            description="What the processor remembers.",
        )
        for table in (MACHINES, SERIES)
    ]
    for topic in create_topics(kafka, topics):
        if topic.problem:
            raise FailureError(topic.problem)
