"""Micro-batches of readings as columns, and their decoding from Kafka values."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Self

import msgspec
import numpy as np

from core.arrays import Bools, Floats, Ints
from core.plant import Plant
from schemas.bounds import MOST_ID_LENGTH, machine_id_fault
from schemas.codec import DecodedReading, ReadingDecoder, Refusal

_TIMESTAMP: Final[Any] = attrgetter("timestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingBatch:
    """Readings of one partition in arrival order; n rows of S sensors.

    machine_ids: distinct machines; machine: index into them, (n,). timestamps: epoch seconds, (n,). values: of the
    sensors in the plant's order, NaN where missing, (n, S). offsets: source offset of each row, (n,), the same for all
    rows of one message.
    """

    machine_ids: tuple[str, ...]
    machine: Ints
    timestamps: Floats
    values: Floats
    offsets: Ints

    def __len__(self) -> int:
        return len(self.timestamps)

    @classmethod
    def from_columns(
        cls,
        machine_ids: Sequence[str],
        timestamps: Floats,
        values: Floats,
        offsets: Ints | None = None,
    ) -> Self:
        """Return a batch of equally long columns; without `offsets`, rows are numbered from 0."""
        distinct = tuple(dict.fromkeys(machine_ids))
        index = {machine_id: position for position, machine_id in enumerate(distinct)}
        machine = np.fromiter(map(index.__getitem__, machine_ids), dtype=np.int64, count=len(machine_ids))
        return cls(
            machine_ids=distinct,
            machine=machine,
            timestamps=np.ascontiguousarray(timestamps, dtype=np.float64),
            values=np.ascontiguousarray(values, dtype=np.float64),
            offsets=np.arange(len(machine_ids), dtype=np.int64) if offsets is None else offsets,
        )

    def without(self, machine_ids: Collection[str]) -> tuple["ReadingBatch", list[tuple[int, str]]]:
        """Return the batch without the readings of these machines, and offset and machine of each removed reading."""
        excluded = np.array([name in machine_ids for name in self.machine_ids], dtype=np.bool_)[self.machine]
        removed = [
            (offset, self.machine_ids[machine])
            for offset, machine in zip(self.offsets[excluded].tolist(), self.machine[excluded].tolist(), strict=True)
        ]
        rest = ~excluded
        names = [self.machine_ids[machine] for machine in self.machine[rest].tolist()]
        batch = ReadingBatch.from_columns(names, self.timestamps[rest], self.values[rest], self.offsets[rest])
        return batch, removed

    def take(self, rows: Bools) -> "ReadingBatch":
        """Return the rows where `rows` is true; machines keep their indices."""
        return ReadingBatch(
            machine_ids=self.machine_ids,
            machine=self.machine[rows],
            timestamps=self.timestamps[rows],
            values=self.values[rows],
            offsets=self.offsets[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A reading that was refused because of its time, epoch s; offset: of its message."""

    machine_id: str
    timestamp: float
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Result of decoding a fetch: usable readings, refusals with their source offset, and ignored unknown fields.

    strays: readings that were refused because of their time.
    """

    batch: ReadingBatch
    refused: tuple[tuple[int, Refusal], ...]
    unknown_fields: int
    strays: tuple[Stray, ...] = ()


def decode_records(
    offsets_of: Sequence[int],
    values_of: Sequence[bytes | None],
    *,
    decoder: ReadingDecoder,
    plant: Plant,
    now: datetime,
    max_message_bytes: int,
) -> Decoded:
    """Return columns from records with these offsets and values.

    Never raises: unusable messages become refusals with a reason.
    """
    refused: list[tuple[int, Refusal]] = []
    unknown = 0
    readings = decoder.decode_all(values_of)
    offsets = list(offsets_of)
    if readings is None or max(map(len, filter(None, values_of)), default=0) > max_message_bytes:
        readings, offsets, refused, unknown = _decode_one_by_one(offsets_of, values_of, decoder, max_message_bytes)
    timestamps = np.fromiter(map(datetime.timestamp, map(_TIMESTAMP, readings)), np.float64, len(readings))
    plausible = _plausible(timestamps, plant, now)
    strays: tuple[Stray, ...] = ()
    if not plausible.all():
        strays = tuple(
            Stray(machine_id=readings[row].machine_id, timestamp=float(timestamps[row]), offset=offsets[row])
            for row in np.flatnonzero(~plausible)
        )
        for row in np.flatnonzero(~plausible):
            refused.append((offsets[row], _out_of_range(readings[row], plant, now)))
        readings = [reading for reading, keep in zip(readings, plausible, strict=True) if keep]
        offsets = [offset for offset, keep in zip(offsets, plausible, strict=True) if keep]
        timestamps = timestamps[plausible]
    batch = ReadingBatch.from_columns(
        [reading.machine_id for reading in readings],
        timestamps,
        _values(readings, decoder),
        np.array(offsets, dtype=np.int64),
    )
    faults = {name: fault for name in batch.machine_ids if (fault := machine_id_fault(name)) is not None}
    if faults:
        batch, misnamed = batch.without(faults)
        refused += [(offset, _misnamed(name, faults[name])) for offset, name in misnamed]
    return Decoded(batch=batch, refused=tuple(refused), unknown_fields=unknown, strays=strays)


def _values(readings: Sequence[DecodedReading], decoder: ReadingDecoder) -> Floats:
    shape = len(readings), len(decoder.sensors)
    try:
        flat = np.fromiter(chain.from_iterable(map(decoder.columns, readings)), np.float64, shape[0] * shape[1])
    except TypeError:  # a sensor is missing: None becomes NaN, at twice the cost
        flat = np.array(list(map(decoder.columns, readings)), dtype=np.float64)
    return flat.reshape(shape)


def _decode_one_by_one(
    offsets_of: Sequence[int], values_of: Sequence[bytes | None], decoder: ReadingDecoder, max_message_bytes: int
) -> tuple[list[DecodedReading], list[int], list[tuple[int, Refusal]], int]:
    """Return readings with their offsets, refusals with theirs, and unknown fields, one message after another."""
    readings: list[DecodedReading] = []
    offsets: list[int] = []
    refused: list[tuple[int, Refusal]] = []
    unknown = 0
    for offset, value in zip(offsets_of, values_of, strict=True):
        if value is not None and len(value) <= max_message_bytes:
            # most messages of a batch with a bad one are good
            try:
                readings.append(decoder.decode_one(value))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass
            else:
                offsets.append(offset)
                continue
        elif value is not None:
            detail = f"{len(value)} bytes is above the limit of {max_message_bytes}; send fewer readings a message"
            refused.append((offset, Refusal(reason="too_large", detail=detail, payload=value)))
            continue
        good, bad, unknown_fields = decoder.decode(value)
        readings += good
        offsets += [offset] * len(good)
        refused += [(offset, refusal) for refusal in bad]
        unknown += unknown_fields
    return readings, offsets, refused, unknown


def _plausible(timestamps: Floats, plant: Plant, now: datetime) -> Bools:
    latest = now.timestamp() + plant.readings.latest_ahead_seconds
    return (timestamps >= plant.readings.earliest.timestamp()) & (timestamps <= latest)


def _misnamed(machine_id: str, fault: str) -> Refusal:
    shown = f"machine_id = {machine_id!r:.80}: a machine's name {fault}"
    detail = f"{shown}; send 1 to {MOST_ID_LENGTH} printable characters without spaces around them"
    return Refusal(reason="machine_id_invalid", detail=detail, payload=machine_id.encode())


def _out_of_range(reading: DecodedReading, plant: Plant, now: datetime) -> Refusal:
    rules = plant.readings
    detail = (
        f"timestamp = {reading.timestamp.isoformat()}: must lie between {rules.earliest.isoformat()} and "
        f"{rules.latest_ahead_seconds:g} s after {now.isoformat(timespec='seconds')}; set the device's clock"
    )
    return Refusal(reason="timestamp_out_of_range", detail=detail, payload=msgspec.json.encode(reading))
