"""Changelog format of the state: one record for each machine, and separate records for parts that rarely change.

    machine/<id>          parts that change with every reading, and the open hours
    baseline/<id>         the learned baseline
    hours/<id>            published hours that may still be revised
    warm-up/<n>/<id>      readings of a machine in warm-up, in blocks

The record of a machine includes the source offset up to which it is assessed, so that with any mix of old and new
machines after a crash, replayed readings are recognised for each machine and change nothing. Parts of a machine precede
its own record and take effect with it: a part that no machine record follows belongs to an interrupted save.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.state.annotations import Annotation
from core.state.tables import Layout, row_type

FORMAT: Final = 3
"""Version of the format, raised when the meaning of a record changes; older records are refused, or converted here."""
WARM_UP_ROWS: Final = 32
"""Warm-up readings in one record; an incomplete block is part of the machine's record."""
MACHINE: Final = "machine"
BASELINE: Final = "baseline"
HOURS: Final = "hours"
WARM_UP: Final = "warm-up"
END: Final = b"end"
_NONE: Final[list[Any]] = [[], [], b"", None]
_HEAD: Final = struct.Struct("<BxHI8s")  # format, bytes of the own row, era, digest of the row types

Record = tuple[bytes, bytes | None]
"""Key and value; None deletes the record of the key."""


class UnknownStateFormat(ValueError):
    """The state is in the format of another version; the message has the remedy."""


class RowTypes(NamedTuple):
    """Row types of one plant's records; digest: of all of them, stored in each record to check compatibility."""

    common: np.dtype[Any]
    own: np.dtype[Any]
    baseline: np.dtype[Any]
    digest: bytes

    @classmethod
    def of(cls, layouts: dict[str, Layout], plant: str) -> "RowTypes":
        """Return the row types of these tables; plant: fingerprint of the plant file."""
        common, own, baseline = (row_type(layouts, part) for part in ("common", "own", "baseline"))
        text = f"{plant} {own.descr} {baseline.descr}"
        return cls(common, own, baseline, blake2b(text.encode(), digest_size=8).digest())


class Packed(NamedTuple):
    """One machine in the form of its records; own is None if the plant's sensors have changed."""

    machine_id: str
    era: int
    common: bytes
    own: bytes | None
    baseline: bytes | None
    alerts: list[bytes]
    hours: list[Any]
    learned: NDArray[np.float32]
    annotation: Annotation | None = None


def key_of(part: str, machine_id: str, number: int | None = None) -> bytes:
    """Return the key of a part of a machine; number: index of one of several."""
    return f"{part}/{machine_id}".encode() if number is None else f"{part}/{number}/{machine_id}".encode()


def machine_record(types: RowTypes, era: int, row: bytes, tail: list[Any]) -> bytes:
    """Return a machine's record.

    row: of `common` and `own`. tail: alerts, open hours, readings being learned, and annotation.
    """
    head = _HEAD.pack(FORMAT, types.own.itemsize, era, types.digest)
    return head + row + (msgspec.msgpack.encode(tail) if any(tail) else b"")


def part_record(types: RowTypes, body: bytes) -> bytes:
    """Return the record of a part other than the machine's own."""
    return _HEAD.pack(FORMAT, 0, 0, types.digest) + body


class Saved(NamedTuple):
    """The newest records of one machine; warm_ups: by number."""

    machine_id: str
    machine: bytes
    baseline: bytes | None
    hours: bytes | None
    warm_ups: dict[int, bytes]


def newest(records: Iterable[Record]) -> Iterator[Saved]:
    """Return the newest records of each machine in a changelog that is read from its beginning.

    A record with lower offsets than an earlier one was written by a worker that no longer owned the partition, on a
    broker that does not fence such writes; it is ignored.

    Raises:
        UnknownStateFormat: another version wrote a record.
    """
    machines: dict[str, _Machine] = {}
    pending: dict[str, list[tuple[str, bytes | None]]] = {}
    for key, value in records:
        if key == END:
            continue
        kind, _, machine_id = key.decode().partition("/")
        if value is not None:
            _check(key, value)
        if kind == MACHINE:
            parts = pending.pop(machine_id, [])
            if value is None:
                machines.pop(machine_id, None)
            elif machine_id not in machines or _reached(value) >= _reached(machines[machine_id].record):
                machine = machines.setdefault(machine_id, _Machine())
                machine.record = value
                machine.parts.update(parts)
        elif kind in {BASELINE, HOURS}:
            pending.setdefault(machine_id, []).append((kind, value))
        elif kind == WARM_UP:
            number, _, machine_id = machine_id.partition("/")
            pending.setdefault(machine_id, []).append((number, value))
        else:
            raise UnknownStateFormat(refusal(f"a record under {key[:40]!r}"))
    for machine_id, machine in machines.items():
        parts_of = {part: content for part, content in machine.parts.items() if content is not None}
        baseline, hours = parts_of.pop(BASELINE, None), parts_of.pop(HOURS, None)
        yield Saved(machine_id, machine.record, baseline, hours, {int(part): one for part, one in parts_of.items()})


@dataclass(slots=True)
class _Machine:
    """Records of one machine read so far; parts: by kind, those of a warm-up by number."""

    record: bytes = b""
    parts: dict[str, bytes | None] = field(default_factory=dict)


def unpack(types: RowTypes, saved: Saved) -> Packed:
    """Return a machine from its records, without the parts that were learned with other sensors."""
    machine_id, machine, baseline, hours, warm_ups = saved
    _, own_bytes, era, digest = _HEAD.unpack_from(machine)
    same = digest == types.digest
    place = _HEAD.size + types.common.itemsize
    tail: list[Any] = (
        msgspec.msgpack.decode(machine[place + own_bytes :]) if len(machine) > place + own_bytes else _NONE
    )
    learned = b"".join(_body(types, content) or b"" for _, content in sorted(warm_ups.items()))
    return Packed(
        machine_id=machine_id,
        era=era,
        common=machine[_HEAD.size : place],
        own=machine[place : place + own_bytes] if same else None,
        baseline=None if baseline is None else _body(types, baseline),
        alerts=tail[0],
        hours=(msgspec.msgpack.decode(hours[_HEAD.size :]) if hours else []) + tail[1],
        learned=np.frombuffer(learned + tail[2], np.float32) if same else np.empty(0, np.float32),
        annotation=None if tail[3] is None else msgspec.convert(tail[3], Annotation),
    )


def _body(types: RowTypes, record: bytes) -> bytes | None:
    """Return the body of a part; None if it was written with other row types."""
    *_, digest = _HEAD.unpack_from(record)
    return record[_HEAD.size :] if digest == types.digest else None


def _reached(machine: bytes) -> tuple[int, int]:
    _, _, era, _ = _HEAD.unpack_from(machine)
    # the source offset is the first column of every row; a change of that raises FORMAT
    return era, int.from_bytes(machine[_HEAD.size : _HEAD.size + 8], "little", signed=True)


def _check(key: bytes, value: bytes) -> None:
    if len(value) < _HEAD.size or value[0] != FORMAT:
        raise UnknownStateFormat(refusal(f"{key[:40]!r} in format {value[0] if value else 'of nothing'}"))


def refusal(found: str, *, reads: int = FORMAT) -> str:
    """Return why state cannot be read, and what to do about it. found: what is in the changelog."""
    return (
        f"the changelog has {found}, but this version reads format {reads}; run the version that wrote it, or "
        "delete the changelog topics and the consumer group, so that the retained readings are read again"
    )
