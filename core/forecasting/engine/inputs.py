"""Known-future inputs, such as planned production, shifts or outside temperature."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import DAY, Floats, Ints
from core.forecasting.engine.profiles import Days, typed_mean
from core.forecasting.engine.series import Calendar, HourlySeries

MOST_INPUTS: Final = 8
COLUMNS: Final = 8
"""Number of columns of the linear members for each input."""
_HINGES: Final = (0.25, 0.75)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownInputs:
    """Inputs of one series, one row each, (k, n), NaN where unknown; hours on the series' own clock, from `first_hour`.

    Forecasters learn from past hours; the hours after the series' end are known in advance.
    """

    names: tuple[str, ...]
    first_hour: int
    values: Floats

    def series(self) -> list[HourlySeries]:
        """Return each input as a series."""
        return [HourlySeries(first_hour=self.first_hour, values=row) for row in self.values]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTable:
    """One input with the tables that its columns are read from.

    series: the input. days: its days by type. low, high: quartiles, where the effect of an input may change, as that of
    a temperature does between heating and cooling. level: replaces unknown values.
    """

    series: HourlySeries
    days: Days
    low: float
    high: float
    level: float

    @classmethod
    def of(cls, series: HourlySeries, calendar: Calendar) -> "InputTable | None":
        """Return the tables of an input; None if no hour of it is known."""
        known = series.values[~np.isnan(series.values)]
        if not len(known):
            return None
        low, high = np.quantile(known, _HINGES)
        return cls(
            series=series,
            days=Days.of(series, calendar),
            low=float(low),
            high=float(high),
            level=float(np.median(known)),
        )

    def columns(self, start: Ints, targets: Ints, same_hour: Ints) -> list[Floats]:
        """Return `COLUMNS` arrays (o, s) or (o, 1); start: (o, 1), targets and the same hours of known days: (o, s).

        The level and its excess over the quartiles; the differences of the hour, the previous and the next one from the
        days of the same type; and that of the last day, which distinguishes a planned stop from an unplanned one.
        """
        profile = self._profile(targets, start)
        level = self._filled(targets, profile)
        last_day = start - 1 - np.arange(DAY)
        ended = self._filled(last_day, self._profile(last_day, start)) - self._profile(last_day, start)
        return [
            level,
            np.maximum(0.0, self.low - level),
            np.maximum(0.0, level - self.high),
            level - profile,
            self._filled(targets - 1, profile) - profile,
            self._filled(targets + 1, profile) - profile,
            self._filled(same_hour, profile) - profile,
            ended.mean(axis=1, keepdims=True),
        ]

    def _profile(self, targets: Ints, start: Ints) -> Floats:
        profile = typed_mean(self.days.recent(targets, start))
        return np.where(np.isnan(profile), self.level, profile)

    def _filled(self, hours: Ints, instead: Floats) -> Floats:
        found = self.series.at(hours)
        return np.where(np.isnan(found), instead, found)
