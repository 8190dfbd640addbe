"""Forecasts held to accuracy: each one, hour by hour, once the hour has been measured.

Every forecast that was issued is kept until its last hour is over. Each hour that is measured is compared with all
forecasts that spoke of it: what was issued, what the champion said, and what the seasonal median would have said. Sums
of a day stay for as long as they are looked at, so that the champion can lose its place and win it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shorts = NDArray[np.int16]

HORIZON_DAYS: Final = 3
LONGEST: Final = 72
"""Most hours of a forecast."""
MISS_SHARE: Final = 0.2
"""Share of hours that may lie outside the interval of 80 %."""
_VOICES: Final = 4
_FULL: Final = 32_767  # the largest number of two bytes
_ROUNDING: Final = 1e-4
_DAYS_KEPT: Final = 14
_DAY: Final = 24
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
    compared: int = 7


COLUMNS: Final = Column()
_WIDTH: Final = len(COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How matured forecasts did: WAPE of the first, second, third day, share covered, mean interval score (Winkler)."""

    points: int
    wape: float | None
    coverage: float | None
    interval_score: float | None


@dataclass(slots=True)
class ForecastAccuracy:
    """The open forecasts of one series and the sums of the closed ones.

    origins, lengths: (p,) first hour, since the epoch, and number of hours of each open forecast. said: (p, LONGEST, 4)
    value, lower, upper and the champion's value, in `scales` (p,) of the series' unit: half the memory of floats.
    reached: hours before it are closed. sums: by day since the epoch, (HORIZON_DAYS, columns).
    """

    origins: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    lengths: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    scales: Floats = field(default_factory=lambda: np.empty(0))
    said: Shorts = field(default_factory=lambda: np.empty((0, LONGEST, _VOICES), np.int16))
    reached: int = 0
    sums: dict[int, Floats] = field(default_factory=dict)
    fallen_back: bool = False

    def issue(self, origin: int, *, value: Floats, lower: Floats, upper: Floats, champion: Floats) -> None:
        """Keeps a forecast of (h,) hours from `origin` on, h at most LONGEST."""
        voices = np.stack([value, lower, upper, champion], axis=1)
        scale = max(float(np.abs(voices).max()), 1e-9) / _FULL
        said = np.zeros((1, LONGEST, _VOICES), np.int16)
        said[0, : len(voices)] = np.rint(voices / scale)
        self.origins = np.append(self.origins, origin)
        self.lengths = np.append(self.lengths, len(voices))
        self.scales = np.append(self.scales, scale)
        self.said = np.concatenate([self.said, said])

    def mature(self, hour: int, actual: float, median: float) -> Floats:
        """Compares what was said of an hour with the actual, and closes it and those before it.

        actual NaN: not measured, so nobody is judged. median: what the seasonal median would have said, NaN where it
        had nothing to say. Returns the sums that this hour added, (HORIZON_DAYS, columns).
        """
        added = np.zeros((HORIZON_DAYS, _WIDTH))
        ahead = hour - self.origins
        spoke = np.flatnonzero((ahead >= 0) & (ahead < self.lengths))
        if len(spoke) and not np.isnan(actual):
            said = self.said[spoke, ahead[spoke]] * self.scales[spoke, None]
            days = np.minimum(ahead[spoke] // _DAY, HORIZON_DAYS - 1)
            np.add.at(added, days, _judged(said, actual, median))
            today = hour // _DAY
            self.sums[today] = self.sums.get(today, np.zeros((HORIZON_DAYS, _WIDTH))) + added
            for old in [day for day in self.sums if day <= today - _DAYS_KEPT]:
                del self.sums[old]
        self.reached = max(self.reached, hour + 1)
        self._keep(self.origins + self.lengths > self.reached)
        return added

    def _keep(self, wanted: NDArray[np.bool_]) -> None:
        if not wanted.all():
            self.origins, self.lengths = self.origins[wanted], self.lengths[wanted]
            self.scales, self.said = self.scales[wanted], self.said[wanted]

    def scores(self, *, days: int) -> list[Score]:
        """How the forecasts did over the newest `days` days, one score for each day of the horizon."""
        return [score_of(row) for row in self._total(days)]

    def decide(self, *, days: int) -> bool:
        """Whether the seasonal median is to answer instead of the champion, judged over the newest `days` days."""
        total = self._total(days).sum(axis=0)
        if total[COLUMNS.compared] < _LEAST_POINTS:
            return self.fallen_back
        limit = 1.0 if self.fallen_back else _WORSE
        self.fallen_back = bool(total[COLUMNS.champion_error] > limit * total[COLUMNS.median_error])
        return self.fallen_back

    def _total(self, days: int) -> Floats:
        newest = max(self.sums, default=0)
        rows = [sums for day, sums in self.sums.items() if day > newest - days]
        return np.sum(rows, axis=0) if rows else np.zeros((HORIZON_DAYS, _WIDTH))

    def pack(self) -> dict[str, Any]:
        """Plain values for the changelog; of open forecasts only the hours that are left."""
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
        """The inverse of `pack`."""
        accuracy = cls(
            origins=np.array(packed["origins"], np.int64),
            lengths=np.array(packed["lengths"], np.int64),
            scales=np.array(packed["scales"], np.float64),
            said=np.zeros((len(packed["origins"]), LONGEST, _VOICES), np.int16),
            reached=packed["reached"],
            sums={d: np.frombuffer(s, np.float64).reshape(HORIZON_DAYS, _WIDTH) for d, s in packed["sums"].items()},
            fallen_back=packed["fallen_back"],
        )
        accuracy.said[accuracy._left()] = np.frombuffer(packed["said"], np.int16).reshape(-1, _VOICES)
        return accuracy

    def _left(self) -> NDArray[np.bool_]:
        """Hours of open forecasts that are not closed yet, (p, LONGEST)."""
        hours = np.arange(LONGEST)
        return (hours < self.lengths[:, None]) & (self.origins[:, None] + hours >= self.reached)


def score_of(row: Floats) -> Score:
    """A row of sums as ratios; None where there is nothing to divide by."""
    points, actual = float(row[COLUMNS.points]), float(row[COLUMNS.actual])
    return Score(
        points=int(points),
        wape=float(row[COLUMNS.error]) / actual if actual else None,
        coverage=float(row[COLUMNS.covered]) / points if points else None,
        interval_score=float(row[COLUMNS.interval_score]) / points if points else None,
    )


def _judged(said: Floats, actual: float, median: float) -> Floats:
    """Rows of sums, (n, columns), for one hour of n forecasts; said: (n, 4)."""
    value, lower, upper, champion = said.T
    # Winkler: the width, and what lies outside times 2 / (share that may)
    outside = np.maximum(lower - actual, 0.0) + np.maximum(actual - upper, 0.0)
    rows = np.zeros((len(said), _WIDTH))
    rows[:, COLUMNS.points] = 1
    rows[:, COLUMNS.actual] = abs(actual)
    rows[:, COLUMNS.error] = np.abs(actual - value)
    # a bound that was met exactly may lie half a step of the stored scale away
    rows[:, COLUMNS.covered] = outside <= _ROUNDING * np.abs(said).max()
    rows[:, COLUMNS.interval_score] = upper - lower + 2 / MISS_SHARE * outside
    if not np.isnan(median):
        rows[:, COLUMNS.champion_error] = np.abs(actual - champion)
        rows[:, COLUMNS.median_error] = abs(actual - median)
        rows[:, COLUMNS.compared] = 1
    return rows
