"""Export of a topic as Parquet: one row a message, with nested values, timestamps, and the source position."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.errors import FailureError, UsageError
from runtime.kafka import consumer_config
from runtime.settings import KafkaSettings
from schemas.topics import CATALOGUE

_ANSWER_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.5
_ROWS_A_GROUP: Final = 50_000
_MOMENT: Final = pa.timestamp("us", tz="UTC")
_PLACE: Final = ("kafka_partition", "kafka_offset", "kafka_timestamp", "kafka_key")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Result of an export. unreadable: messages that are no JSON object, and tombstones."""

    topic: str
    rows: int
    unreadable: int
    files: tuple[str, ...]


def export_topic(kafka: KafkaSettings, topic: str, to: str, *, since: datetime | None = None) -> Exported:
    """Write the current messages of a topic to `to`/<topic>/part-NNNNN.parquet, a file for each partition.

    Arrays of readings become a row each. A file appears when it is whole. The rows are held in memory: of a topic that
    is larger than that, export what came `since`.

    Raises:
        UsageError: the address is of no known kind.
        FailureError: the brokers fell silent, or the storage refused.
    """
    try:
        storage, root = fsspec.core.url_to_fs(to)
    except (ValueError, ImportError) as error:
        raise UsageError(f"--to {to}: {error}; give a folder, or install the fsspec package of that storage") from error
    read = _read(kafka, topic, since)
    every = [row for rows, _ in read.values() for row in rows]
    # one schema for all files, so that they are one table
    schema = _schema(topic, every)
    folder = f"{root.rstrip('/')}/{topic}"
    files = []
    try:
        for partition, (rows, _) in read.items():
            if not rows:
                continue
            file = f"{folder}/part-{partition:05}.parquet"
            storage.makedirs(folder, exist_ok=True)
            with storage.open(f"{file}.unfinished", "wb") as output:
                pq.write_table(_table(rows, schema), output, row_group_size=_ROWS_A_GROUP, compression="zstd")
            storage.mv(f"{file}.unfinished", file)
            files.append(file)
    except OSError as error:
        raise FailureError(f"{to} could not be written: {error}; check that there is room, and our rights") from error
    left_out = sum(unreadable for _, unreadable in read.values())
    return Exported(topic=topic, rows=len(every), unreadable=left_out, files=tuple(files))


def _read(kafka: KafkaSettings, topic: str, since: datetime | None) -> dict[int, tuple[list[Row], int]]:
    """Return the rows of each partition, and how many of its messages were left out."""
    consumer = Consumer(consumer_config(kafka) | {"enable.partition.eof": True})
    try:
        known = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
        if known.error is not None or not known.partitions:
            raise FailureError(f"{topic} does not exist at the brokers; run `nexova topics create`")
        found = {}
        for partition in sorted(known.partitions):
            rows: list[Row] = []
            unreadable = 0
            for message in _messages(consumer, TopicPartition(topic, partition), since):
                some = _rows(message)
                unreadable += some is None
                rows += some or []
            found[partition] = (rows, unreadable)
    except KafkaException as error:
        reason = error.args[0].str()
        raise FailureError(f"{topic} could not be read: {reason}; check the broker and our rights") from error
    finally:
        consumer.close()
    return found


def _messages(consumer: Consumer, place: TopicPartition, since: datetime | None) -> Iterator[Message]:
    low, high = consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
    start = low
    if since is not None:
        asked = TopicPartition(place.topic, place.partition, int(since.timestamp() * 1000))
        (found,) = consumer.offsets_for_times([asked], timeout=_ANSWER_SECONDS)
        start = high if found.offset < 0 else found.offset
    if start >= high:
        return
    began = time.time() * 1000
    consumer.assign([TopicPartition(place.topic, place.partition, start)])
    heard = time.monotonic()
    while True:
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            if time.monotonic() - heard > _ANSWER_SECONDS:
                where = f"{place.topic}/{place.partition}"
                raise FailureError(f"{where}: no answer for {_ANSWER_SECONDS:g} s; check the broker")
            continue
        heard = time.monotonic()
        if message.partition() != place.partition:
            continue  # the end of the partition before, told late
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  public in all but name
                return
            raise KafkaException(error)
        if (message.offset() or 0) >= high and message.timestamp()[1] > began:
            return  # a topic that is written to all the time has no end; the embedded broker's `high` is too low
        yield message


def _rows(message: Message) -> list[Row] | None:
    """Return the objects in a message; None where it holds anything else."""
    try:
        value = json.loads(message.value() or b"null")
    except ValueError:
        return None
    elements = value if isinstance(value, list) else [value]
    if not elements or not all(isinstance(element, dict) for element in elements):
        return None
    key = message.key()
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
    place = dict(zip(_PLACE, (message.partition(), message.offset(), message.timestamp()[1], text), strict=True))
    return [element | place for element in elements]


def _schema(topic: str, rows: list[Row]) -> pa.Schema:
    """Return the columns of all rows: times as timestamps, and as JSON text what has no common type."""
    (message,) = [one.message for one in CATALOGUE if one.name == topic]
    moments = {name for name, field in message.model_json_schema()["properties"].items() if "date-time" in str(field)}
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.schema([(name, _type([row.get(name) for row in rows], moment=name in moments)) for name in names])


def _type(values: list[Any], *, moment: bool) -> pa.DataType:
    if moment:
        return _MOMENT
    try:
        found = pa.array(values).type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()
    # of what is always missing nothing is known; a number does least harm
    return pa.float64() if pa.types.is_null(found) else found


def _table(rows: list[Row], schema: pa.Schema) -> pa.Table:
    columns = [_column([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.table(columns, schema=schema)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == _MOMENT:
        return pa.array([_instant(value) for value in values], kind)
    if kind == pa.string():
        return pa.array([one if one is None or isinstance(one, str) else json.dumps(one) for one in values], kind)
    return pa.array(values, kind)


def _instant(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
