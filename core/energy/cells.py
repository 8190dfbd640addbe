"""Minutes of open hours, as rows of one table that a compiled pass over a batch accumulates into."""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.arrays import Bools, Floats, Ints

MINUTES: Final = 60
UNIT: Final = 1e6
"""Readings are summed in millionths of their unit."""
NO_PEAK: Final = int(np.iinfo(np.int64).min)
_FIRST_ROOM: Final = 16


class Cells:
    """Table of open hours, whose rows are taken and released. power, production: their index in the second axis.

    sums, counts: (rows, 2, 60). readings, peak, changed: (rows,). owner: table row of the machine whose newest hour it
    is, -1 where it is none's.
    """

    power: Final = 0
    production: Final = 1

    __slots__ = ("_free", "changed", "counts", "hour", "owner", "peak", "readings", "sums")

    def __init__(self) -> None:
        self._free: list[int] = []
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self.sums = np.zeros((rows, 2, MINUTES), np.int64)
        self.counts = np.zeros((rows, 2, MINUTES), np.int32)
        self.readings = np.zeros(rows, np.int64)
        self.peak = np.full(rows, NO_PEAK, np.int64)
        self.changed = np.zeros(rows, np.bool_)
        self.hour = np.full(rows, -1, np.int64)
        self.owner = np.full(rows, -1, np.int64)

    def take(self, hour: int) -> int:
        """Return an empty row for an hour."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        self.sums[row], self.counts[row], self.readings[row] = 0, 0, 0
        self.peak[row], self.changed[row], self.hour[row] = NO_PEAK, False, hour
        self.owner[row] = -1
        return row

    def release(self, row: int) -> None:
        """Release a row."""
        self.owner[row] = -1
        self._free.append(row)

    def _grow(self) -> None:
        names = ("sums", "counts", "readings", "peak", "changed", "hour", "owner")
        before = [getattr(self, name) for name in names]
        rows = len(self.hour)
        # half more at most: a fleet's hours are the largest part of a worker's memory
        self._allocate(max(_FIRST_ROOM, rows + rows // 2))
        for name, old in zip(names, before, strict=True):
            getattr(self, name)[:rows] = old
        self._free += range(rows, len(self.hour))


def count_in(cells: Cells, rows: Ints, minutes: Ints, power: Floats, production: Floats) -> None:
    """Add readings, (n,) each, to their rows; rows below 0 are skipped. power, production: NaN where missing."""
    _count_in(
        rows,
        minutes,
        power,
        production,
        cells.sums,
        cells.counts,
        cells.readings,
        cells.peak,
        cells.changed,
    )


@njit(cache=True, nogil=True)
def _count_in(  # noqa: PLR0917  compiled functions take arguments by place
    rows: Ints,
    minutes: Ints,
    power: Floats,
    production: Floats,
    sums: Ints,
    counts: NDArray[np.int32],
    readings: Ints,
    peak: Ints,
    changed: Bools,
) -> None:
    for n in range(len(rows)):
        row, minute = rows[n], minutes[n]
        if row < 0:
            continue
        readings[row] += 1
        changed[row] = True
        if not np.isnan(power[n]):
            fixed = np.int64(np.rint(power[n] * UNIT))
            sums[row, 0, minute] += fixed
            counts[row, 0, minute] += 1
            peak[row] = max(peak[row], fixed)
        if not np.isnan(production[n]):
            sums[row, 1, minute] += np.int64(np.rint(production[n] * UNIT))
            counts[row, 1, minute] += 1
