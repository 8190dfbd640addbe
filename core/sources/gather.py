"""Grouping of single values of long sources into readings, by machine and time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from core.sources.record import MappedReading, MappedValue

_MOST_OPEN: Final = 10_000
_NAN: Final = math.nan
_Key = tuple[str, float]


@dataclass(slots=True)
class _Open:
    """A reading that may still get values. said: bits of the columns received so far, missing values included."""

    seconds: float
    values: list[float]
    said: int
    written_at: float
    seen_at: float


class Gatherer:
    """Collector of the values of one partition; a reading is ready when all its sensors have values, or after a wait.

    width: sensors of the plant; columns: those of the source. within, wait: seconds, as the source has them.
    """

    def __init__(self, *, width: int, columns: Sequence[int], within: float, wait: float) -> None:
        self._width = width
        self._all = sum(1 << column for column in set(columns))
        self._within = within
        self._wait = wait
        self._open: dict[_Key, _Open] = {}
        self._newest: dict[str, _Open] = {}  # of each machine, as values of one reading mostly follow each other
        self._times: dict[str, list[float]] = {}
        self._latest = -math.inf
        self._ready: list[MappedReading] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, found: Sequence[MappedValue], *, written_at: float, now: float) -> None:
        """Add the values of one record. written_at: time by the broker's clock; now: by ours; epoch s."""
        for one in found:
            self.add_one(one, written_at, now)

    def add_one(self, found: MappedValue, written_at: float, now: float) -> None:
        """Take a single value, as `add` does."""
        entry = self._newest.get(found.machine_id)
        if entry is None or entry.seconds != found.seconds or self._within:
            entry = self._entry(found, written_at, now)
        if written_at > self._latest:  # noqa: PLR1730  for each value, and a call costs
            self._latest = written_at
        entry.values[found.column] = found.value
        said = entry.said = entry.said | 1 << found.column
        if said == self._all:
            self._end((found.machine_id, entry.seconds))

    def _entry(self, found: MappedValue, written_at: float, now: float) -> _Open:
        """Return the open reading that a value belongs to, which may be a new one."""
        machine_id, seconds = key = self._near(found) if self._within else (found.machine_id, found.seconds)
        entry = self._open.get(key)
        if entry is None:
            entry = self._open[key] = _Open(seconds, [_NAN] * self._width, 0, written_at, now)
        self._newest[machine_id] = entry
        return entry

    def ready(self, now: float) -> list[MappedReading]:
        """Return the readings that are complete or have waited long enough, oldest first."""
        for key, entry in list(self._open.items()):
            waited = max(now - entry.seen_at, self._latest - entry.written_at)
            if waited < self._wait and len(self._open) <= _MOST_OPEN:
                break  # those behind it came later
            self._end(key)
        found, self._ready = self._ready, []
        return found

    def flush(self) -> list[MappedReading]:
        """Return all readings, complete or not."""
        for key in list(self._open):
            self._end(key)
        found, self._ready = self._ready, []
        return found

    def pack(self, most_bytes: int) -> bytes:
        """Return the open readings for a restart; above the size limit, the oldest ones are completed instead."""
        while self._open:
            packed = msgspec.json.encode(list(self._packed()))
            if len(packed) <= most_bytes:
                return packed
            for key in list(self._open)[: max(1, len(self._open) // 4)]:
                self._end(key)
        return b""

    def restore(self, packed: bytes, *, now: float) -> None:
        """Restore the state that `pack` returned."""
        for machine_id, seconds, written_at, columns, values in msgspec.json.decode(packed) if packed else ():
            entry = _Open(seconds, [_NAN] * self._width, 0, written_at, now)
            for column, value in zip(columns, values, strict=True):
                entry.values[column] = math.nan if value is None else value
                entry.said |= 1 << column
            self._open[machine_id, seconds] = entry
            if self._within:
                self._times.setdefault(machine_id, []).append(seconds)

    def _packed(self) -> Iterator[list[Any]]:
        for (machine_id, seconds), entry in self._open.items():
            columns = [column for column in range(self._width) if entry.said >> column & 1]
            values = [None if math.isnan(entry.values[column]) else entry.values[column] for column in columns]
            yield [machine_id, seconds, entry.written_at, columns, values]

    def _near(self, found: MappedValue) -> _Key:
        """Return the open reading that a value belongs to: near in time, and without a value of its sensor."""
        machine_id, seconds, column = found.machine_id, found.seconds, found.column
        times = self._times.setdefault(machine_id, [])
        for time in times:
            if abs(time - seconds) <= self._within and not self._open[machine_id, time].said >> column & 1:
                return machine_id, time
        if seconds not in times:
            times.append(seconds)
        return machine_id, seconds

    def _end(self, key: _Key) -> None:
        entry = self._open.pop(key)
        self._ready.append(MappedReading(key[0], key[1], entry.values))
        if self._newest.get(key[0]) is entry:
            del self._newest[key[0]]
        if self._within:
            times = self._times[key[0]]
            times.remove(key[1])
            if not times:
                del self._times[key[0]]
