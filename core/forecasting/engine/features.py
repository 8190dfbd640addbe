"""Inputs of the linear members: deviations of the last hours and days from their profile, and the calendar.

They are relative to the profile, the mean of the last days of the same type at the same hour, and known at the origin.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import DAY, WEEK, Features, Floats, Ints
from core.forecasting.engine.inputs import COLUMNS, InputTable
from core.forecasting.engine.profiles import (
    LONG,
    RECENT,
    Days,
    day_types,
    fading_mean,
    is_holiday,
    typed_mean,
    typed_median,
)
from core.forecasting.engine.series import Calendar, HourlySeries

Singles = Features

_SATURDAY: Final = 5
_TYPES: Final = 7
_YEAR_HOURS: Final = 365.25 * DAY
_LAST_HOURS: Final = (1, 3, 6, 12)
_LAST_DAYS: Final = (1, 2, 3, 7)
_PLAIN: Final = 45
"""Number of inputs without known-future ones."""
_RAW: Final = 8
"""Number of inputs, at the end, that are levels in the series' unit and not deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Features at o origins for the next s steps.

    inputs: (s, o, f): deviations, then `raw` levels, then `known` columns of known-future inputs. profile, median,
    fading, long_median: (o, s), the usual course; last_day: (o, s) the newest value of the same hour.
    """

    inputs: Singles
    raw: int
    known: int
    profile: Floats
    median: Floats
    fading: Floats
    long_median: Floats
    last_day: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A series with the tables for its features.

    filled: (n,) the values with their profile where they are missing. deviations: (n,) values minus the profile of the
    day before, 0 where missing. sums: running sums of both, (n + 1,) each. level: replaces an unknown profile. tables:
    of the known-future inputs.
    """

    days: Days
    first_hour: int
    filled: Floats
    deviations: Floats
    filled_sums: Floats
    deviation_sums: Floats
    level: float
    tables: tuple[InputTable, ...] = ()

    @classmethod
    def of(cls, series: HourlySeries, calendar: Calendar, tables: tuple[InputTable, ...] = ()) -> "Past":
        """Return the tables of a series with at least one known value."""
        days = Days.of(series, calendar)
        level = float(np.nanmedian(series.values))
        hours = series.first_hour + np.arange(len(series.values))
        profile = typed_mean(days.recent(hours, hours // DAY * DAY))
        profile[np.isnan(profile)] = level
        filled = np.where(np.isnan(series.values), profile, series.values)
        deviations = filled - profile
        return cls(
            days=days,
            first_hour=series.first_hour,
            filled=filled,
            deviations=deviations,
            filled_sums=np.concatenate([[0.0], np.cumsum(filled)]),
            deviation_sums=np.concatenate([[0.0], np.cumsum(deviations)]),
            level=level,
            tables=tables,
        )

    @property
    def width(self) -> int:
        """Number of inputs of a linear member."""
        return _PLAIN + len(self.tables) * COLUMNS

    def outlook(self, origins: Ints, steps: int, *, with_inputs: bool = True) -> Outlook:
        """Return the features at these origins, (o,)."""
        start = origins[:, None]
        targets = start + np.arange(steps)
        longer = self.days.recent(targets, start, LONG)
        recent = longer[..., :RECENT]
        profile, median, fading, long_median = (
            np.where(np.isnan(one), self.level, one)
            for one in (typed_mean(recent), typed_median(recent), fading_mean(recent), typed_median(longer))
        )
        columns = self._columns(start, targets, profile, median, long_median) if with_inputs else []
        inputs = np.empty((steps, len(origins), len(columns)), np.float32)
        for place, column in enumerate(columns):
            inputs[:, :, place] = np.broadcast_to(column, targets.shape).T
        return Outlook(
            inputs=inputs,
            raw=_RAW,
            known=len(self.tables) * COLUMNS,
            profile=profile,
            median=median,
            fading=fading,
            long_median=long_median,
            last_day=self._value(_same_hour(targets, start)),
        )

    def _columns(
        self, start: Ints, targets: Ints, profile: Floats, median: Floats, long_median: Floats
    ) -> list[Floats]:
        """Return one array (o, s) or (o, 1) per input."""
        same_hour = _same_hour(targets, start)
        last_week = targets - WEEK * (1 + (targets - start) // WEEK)
        lags = [self._deviation(same_hour - DAY * (back - 1)) for back in _LAST_DAYS]
        hours = [self._mean(self.deviation_sums, start - back, start) for back in _LAST_HOURS]
        daily = [self._mean(self.deviation_sums, start - DAY * (back + 1), start - DAY * back) for back in range(7)]
        types = day_types(targets // DAY, self.days.calendar)
        weekend = (types >= _SATURDAY).astype(np.float64)
        days = targets // DAY
        angle = 2 * np.pi * targets / _YEAR_HOURS
        yesterday = self._window(start)
        return [
            self._value(last_week) - profile,
            self._value(last_week - WEEK) - profile,
            median - profile,
            long_median - profile,
            *lags,
            *hours,
            *daily,
            self._mean(self.filled_sums, start - WEEK, start) - self._mean(self.filled_sums, start - 4 * WEEK, start),
            weekend * lags[0],
            weekend * daily[0],
            weekend * hours[-1],
            *((types == kind).astype(np.float64) for kind in range(_TYPES)),
            *(is_holiday(days + shift, self.days.calendar).astype(np.float64) for shift in (-1, 0, 1)),
            np.sin(angle),
            np.cos(angle),
            np.sin(2 * angle),
            np.cos(2 * angle),
            profile,
            self._mean(self.filled_sums, start - DAY, start),
            self._value(same_hour) - profile,
            self._value(start - 1),
            self._mean(self.filled_sums, start - 3, start),
            self._mean(self.filled_sums, start - 12, start),
            yesterday.max(axis=1, keepdims=True),
            yesterday.min(axis=1, keepdims=True),
            *(column for table in self.tables for column in table.columns(start, targets, same_hour)),
        ]

    def _places(self, hours: Ints) -> Ints:
        return np.clip(hours - self.first_hour, 0, len(self.filled) - 1)

    def _value(self, hours: Ints) -> Floats:
        return self.filled[self._places(hours)]

    def _deviation(self, hours: Ints) -> Floats:
        return self.deviations[self._places(hours)]

    def _window(self, start: Ints) -> Floats:
        return self._value(start - 1 - np.arange(DAY))

    def _mean(self, sums: Floats, first: Ints, end: Ints) -> Floats:
        """Return the mean over [first, end), as far as the series reaches back."""
        low = np.clip(first - self.first_hour, 0, len(sums) - 2)
        high = np.clip(end - self.first_hour, low + 1, len(sums) - 1)
        return (sums[high] - sums[low]) / (high - low)


def _same_hour(targets: Ints, start: Ints) -> Ints:
    """Return the newest hours that are known at the origin and a whole number of days before the targets."""
    return targets - DAY * (1 + (targets - start) // DAY)
