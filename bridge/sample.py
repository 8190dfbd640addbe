"""Conversion of sample messages with a line of text for each reading, value or refusal (`nexova source try`)."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import Message

from core.batch import decode_records
from core.plant import Plant, Source
from core.sources.gather import Gatherer
from core.sources.mapping import long_columns
from core.sources.record import Mapped, MappedReading, Raw
from core.sources.standard import encode_reading
from runtime.errors import UsageError
from runtime.kafka import headers_of
from runtime.settings import KafkaSettings
from runtime.sources.formats import mapping_of
from runtime.sources.settings import RegistrySettings
from runtime.topic_reader import Start, read_to_end
from schemas.codec import ReadingDecoder, Refusal

_MOST_SKIPPED: Final = 10_000  # offsets without a record, such as those of aborted transactions, before the end
_MOST_BYTES: Final = 8_388_608
_MOST_FILE_BYTES: Final = 256 * 1_048_576


def records_of_file(path: Path, *, text: bool, topic: str, key: str | None) -> Iterator[Raw]:
    """Yield the records of a sample file: each line of a text, else the whole JSON document or payload as one.

    Raises:
        UsageError: the file cannot be read or is too large.
    """
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise UsageError(f"{path}: more than {_MOST_FILE_BYTES:,} bytes is no sample; give its first lines")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a file of messages") from None
    lines = [content]
    if text:
        try:
            msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            lines = [line for line in content.splitlines() if line.strip()]
    written_at = datetime.now(UTC).timestamp()
    for line in lines:
        yield Raw(line, None if key is None else key.encode(), (), topic, written_at)


def newest_of_topic(kafka: KafkaSettings, topic: str, *, limit: int) -> Iterator[Raw]:
    """Yield the newest records of a topic, at most `limit` of each partition.

    Raises:
        TopicMissing: the topic does not exist.
        BrokerUnavailable: no record arrived for half a minute before the end of the topic.
    """
    newest: dict[int, deque[Raw]] = {}
    for records, _ in read_to_end(kafka, topic, start=Start(newest=limit + _MOST_SKIPPED)):
        for record in records:
            raw = Raw(record.value, record.key, _texts(record.headers), record.topic, record.written_at)
            newest.setdefault(record.partition, deque(maxlen=limit)).append(raw)
    yield from chain.from_iterable(newest[number] for number in sorted(newest))


def raw_of(message: Message) -> Raw:
    """Return a client's message as a record."""
    headers = _texts(headers_of(message))
    return Raw(message.value(), message.key(), headers, message.topic() or "", message.timestamp()[1] / 1000.0)


def _texts(headers: Iterable[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    return [(name, value or b"") for name, value in headers]


class Sampler:
    """Converter of sample records to lines of text. source: None for readings in Nexova's own format."""

    def __init__(self, plant: Plant, source: Source | None, registry: RegistrySettings) -> None:
        self.readings = 0
        self.refused = 0
        self._plant = plant
        self._decoder = ReadingDecoder(plant.sensor_names)
        self._read = None if source is None else mapping_of(source, plant, registry)
        self._gatherer = None
        if source is not None and source.form == "long":
            columns = [column for column, *_ in long_columns(source, plant).values()]
            self._gatherer = Gatherer(
                width=len(plant.sensors), columns=columns, within=source.gather_seconds, wait=math.inf
            )

    def lines(self, records: Iterable[Raw]) -> Iterator[str]:
        """Yield a line for each reading, value and refusal, with the number of its record."""
        for number, raw in enumerate(records, start=1):
            if self._read is None:
                yield from (f"{number}: {line}" for line in self._decoded(raw.value))
                continue
            found = self._read(raw)
            yield from (f"{number}: {line}" for line in self._mapped(found, raw))
        for reading in self._gatherer.flush() if self._gatherer is not None else ():
            value = encode_reading(reading, self._plant.sensor_names)
            yield from (f"gathered: {line}" for line in self._decoded(value))

    def _mapped(self, found: Mapped, raw: Raw) -> Iterator[str]:
        for reading in found.readings:
            yield from self._decoded(encode_reading(reading, self._plant.sensor_names))
        for value in found.values:
            sensor = self._plant.sensors[value.column]
            shown = "missing" if math.isnan(value.value) else f"{value.value:.10g} {sensor.unit}"
            at = datetime.fromtimestamp(value.seconds, UTC).isoformat()
            yield f"value    {value.machine_id} {at} {sensor.name}={shown}"
        for refusal in found.refused:
            yield self._refusal(refusal)
        for tag in found.ignored:
            yield f"ignored  tag {tag!r:.80} is no sensor of the source"
        if found.bad:
            yield f"quality  {found.bad} values are of bad quality and count as missing"
        if self._gatherer is not None:
            self._gatherer.add(found.values, written_at=raw.written_at, now=raw.written_at)

    def _decoded(self, value: bytes | None) -> Iterator[str]:
        """Yield lines on what the processor would decode from a message on the readings topic."""
        decoded = decode_records(
            [0], [value], decoder=self._decoder, plant=self._plant, now=datetime.now(UTC), max_message_bytes=_MOST_BYTES
        )
        batch = decoded.batch
        for row in range(len(batch)):
            self.readings += 1
            machine_id = batch.machine_ids[batch.machine[row]]
            reading = MappedReading(machine_id, float(batch.timestamps[row]), batch.values[row].tolist())
            yield f"reading  {_shown(reading, self._plant)}"
        for name in self._decoder.new_unknown_names():
            yield f"ignored  {name}"
        for _, refusal in decoded.refused:
            yield self._refusal(refusal)

    def _refusal(self, refusal: Refusal) -> str:
        self.refused += refusal.count
        return f"refused  {refusal.reason}: {refusal.detail}"


def _shown(reading: MappedReading, plant: Plant) -> str:
    values = " ".join(
        f"{name}={value:.10g}"
        for name, value in zip(plant.sensor_names, reading.values, strict=True)
        if not math.isnan(value)
    )
    at = datetime.fromtimestamp(reading.seconds, UTC).isoformat()
    return f"{reading.machine_id} {at} {values or '(no values)'}"
