"""Accuracy of issued forecasts, hour by hour, once the hour has been measured.

Every issued forecast is kept until its last hour is over. Each measured hour is compared with all forecasts of it: what
was issued, what the champion forecast, and what the seasonal median forecast at the same origin. Sums of a day are kept
for two weeks, so that the champion can lose its place and win it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.arrays import DAY, Bools, Floats, Ints

Shorts = NDArray[np.int16]

HORIZON_DAYS: Final = 3
LONGEST: Final = 72
"""Most hours of a forecast."""
MISS_SHARE: Final = 0.2
"""Share of hours that may lie outside the interval of 80 %."""
_ROWS: Final = 5  # value, lower, upper, champion, median
_FULL: Final = 32_767  # the largest number of two bytes
_ROUNDING: Final = 1e-4
_DAYS_KEPT: Final = 14
_LEAST_POINTS: Final = 48  # hours that must have matured before the champion can lose its place
_WORSE: Final = 1.05  # times the median's error from which it does; below 1 it has it back


class Column(NamedTuple):
    """Places in a row of sums; errors and scores are absolute, in the series' unit."""

    points: int = 0
    actual: int = 1
    error: int = 2
    covered: int = 3
    interval_score: int = 4
    champion_error: int = 5
    median_error: int = 6


COLUMNS: Final = Column()
_WIDTH: Final = len(COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Accuracy of matured forecasts: WAPE, share of hours within the interval, mean interval score (Winkler)."""

    points: int
    wape: float | None
    coverage: float | None
    interval_score: float | None


@dataclass(slots=True)
class ForecastAccuracy:
    """Open forecasts of one series and the sums of the closed ones.

    origins, lengths: (p,) first hour, since the epoch, and number of hours of each open forecast. said: (p,
    LONGEST, 5) value, lower, upper, the champion's and the seasonal median's value, in `scales` (p,) of the series'
    unit: half the memory of floats.
    reached: hours before it are closed. sums: by day since the epoch, (HORIZON_DAYS, columns).
    """

    origins: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    lengths: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    scales: Floats = field(default_factory=lambda: np.empty(0))
    said: Shorts = field(default_factory=lambda: np.empty((0, LONGEST, _ROWS), np.int16))
    reached: int = 0
    sums: dict[int, Floats] = field(default_factory=dict)
    fallen_back: bool = False

    def issue(
        self, origin: int, *, value: Floats, lower: Floats, upper: Floats, champion: Floats, median: Floats
    ) -> None:
        """Keep a forecast of (h,) hours from `origin` on, h at most LONGEST, with what it is compared with."""
        rows = np.stack([value, lower, upper, champion, median], axis=1)
        scale = max(float(np.abs(rows).max()), 1e-9) / _FULL
        said = np.zeros((1, LONGEST, _ROWS), np.int16)
        said[0, : len(rows)] = np.rint(rows / scale)
        self.origins = np.append(self.origins, origin)
        self.lengths = np.append(self.lengths, len(rows))
        self.scales = np.append(self.scales, scale)
        self.said = np.concatenate([self.said, said])

    def mature(self, hour: int, actual: float) -> Floats:
        """Compare the forecasts of an hour with the actual, close it and those before it, and return the sums added.

        actual: NaN where the hour was not measured, which counts for nothing. Returns (HORIZON_DAYS, columns).
        """
        added = np.zeros((HORIZON_DAYS, _WIDTH))
        ahead = hour - self.origins
        spoke = np.flatnonzero((ahead >= 0) & (ahead < self.lengths))
        if len(spoke) and not np.isnan(actual):
            said = self.said[spoke, ahead[spoke]] * self.scales[spoke, None]
            days = np.minimum(ahead[spoke] // DAY, HORIZON_DAYS - 1)
            np.add.at(added, days, _sums_of(said, actual))
            today = hour // DAY
            self.sums[today] = self.sums.get(today, np.zeros((HORIZON_DAYS, _WIDTH))) + added
            for old in [day for day in self.sums if day <= today - _DAYS_KEPT]:
                del self.sums[old]
        self.reached = max(self.reached, hour + 1)
        self._keep(self.origins + self.lengths > self.reached)
        return added

    def _keep(self, wanted: Bools) -> None:
        if not wanted.all():
            self.origins, self.lengths = self.origins[wanted], self.lengths[wanted]
            self.scales, self.said = self.scales[wanted], self.said[wanted]

    def scores(self, *, days: int) -> list[Score]:
        """Return the accuracy over the newest `days` days, one score for each day of the horizon."""
        return [score_of(row) for row in self._total(days)]

    def decide(self, *, days: int) -> bool:
        """Return whether the seasonal median should replace the champion, by the newest `days` days."""
        total = self._total(days).sum(axis=0)
        if total[COLUMNS.points] < _LEAST_POINTS:
            return self.fallen_back
        limit = 1.0 if self.fallen_back else _WORSE
        self.fallen_back = bool(total[COLUMNS.champion_error] > limit * total[COLUMNS.median_error])
        return self.fallen_back

    def _total(self, days: int) -> Floats:
        newest = max(self.sums, default=0)
        rows = [sums for day, sums in self.sums.items() if day > newest - days]
        return np.sum(rows, axis=0) if rows else np.zeros((HORIZON_DAYS, _WIDTH))

    def pack(self) -> dict[str, Any]:
        """Return plain values for the changelog; of open forecasts only the hours that are left."""
        left = self._left()
        return {
            "origins": self.origins.tolist(),
            "lengths": self.lengths.tolist(),
            "scales": self.scales.tolist(),
            "said": self.said[left].tobytes(),
            "reached": self.reached,
            "sums": {day: sums.tobytes() for day, sums in self.sums.items()},
            "fallen_back": self.fallen_back,
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> "ForecastAccuracy":
        """Return what was packed."""
        accuracy = cls(
            origins=np.array(packed["origins"], np.int64),
            lengths=np.array(packed["lengths"], np.int64),
            scales=np.array(packed["scales"], np.float64),
            said=np.zeros((len(packed["origins"]), LONGEST, _ROWS), np.int16),
            reached=packed["reached"],
            sums={d: np.frombuffer(s, np.float64).reshape(HORIZON_DAYS, _WIDTH) for d, s in packed["sums"].items()},
            fallen_back=packed["fallen_back"],
        )
        accuracy.said[accuracy._left()] = np.frombuffer(packed["said"], np.int16).reshape(-1, _ROWS)
        return accuracy

    def _left(self) -> Bools:
        """Return which hours of open forecasts are not closed yet, (p, LONGEST)."""
        hours = np.arange(LONGEST)
        return (hours < self.lengths[:, None]) & (self.origins[:, None] + hours >= self.reached)


def score_of(row: Floats) -> Score:
    """Return a row of sums as ratios; None where there is nothing to divide by."""
    points, actual = float(row[COLUMNS.points]), float(row[COLUMNS.actual])
    return Score(
        points=int(points),
        wape=float(row[COLUMNS.error]) / actual if actual else None,
        coverage=float(row[COLUMNS.covered]) / points if points else None,
        interval_score=float(row[COLUMNS.interval_score]) / points if points else None,
    )


def _sums_of(said: Floats, actual: float) -> Floats:
    """Return rows of sums, (n, columns), for one hour of n forecasts; said: (n, 5)."""
    value, lower, upper, champion, median = said.T
    # Winkler: the width, and what lies outside times 2 / (share that may)
    outside = np.maximum(lower - actual, 0.0) + np.maximum(actual - upper, 0.0)
    rows = np.zeros((len(said), _WIDTH))
    rows[:, COLUMNS.points] = 1
    rows[:, COLUMNS.actual] = abs(actual)
    rows[:, COLUMNS.error] = np.abs(actual - value)
    # a bound that was met exactly may lie half a step of the stored scale away
    rows[:, COLUMNS.covered] = outside <= _ROUNDING * np.abs(said).max()
    rows[:, COLUMNS.interval_score] = upper - lower + 2 / MISS_SHARE * outside
    rows[:, COLUMNS.champion_error] = np.abs(actual - champion)
    rows[:, COLUMNS.median_error] = np.abs(actual - median)
    return rows
