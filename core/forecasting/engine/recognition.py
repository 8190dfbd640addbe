"""Recognition of a series' holiday calendar, by working days that resemble Sundays."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from core.arrays import DAY, Floats, Ints
from core.forecasting.engine.profiles import day_types
from core.forecasting.engine.series import Calendar, HourlySeries
from core.forecasting.engine.weights import known_mean

_WEEK_DAYS: Final = 7
_WEEKS_BACK: Final = 4
_FRIDAY: Final = 4
_SUNDAY: Final = 6
_LEAST_HOLIDAYS: Final = 3
_LEAST_GAIN: Final = 0.45
"""Minimum share of a holiday's error as a working day that must vanish when it is forecast as a Sunday."""


def recognised(series: HourlySeries, candidates: Mapping[str, frozenset[int]]) -> str | None:
    """Return the candidate whose holidays, days since the epoch, explain the series best; None without one.

    Only holidays on working days count. Forecast as Sundays, they must have at least 45 % less error than by their
    weekdays.
    """
    first_day, gains, errors = _gains(series)
    best, most = None, 0.0
    for name, holidays in candidates.items():
        rows = np.array(
            sorted(day - first_day for day in holidays if 0 <= day - first_day < len(gains)), dtype=np.int64
        )
        rows = rows[~np.isnan(gains[rows])]
        gain = float(gains[rows].sum())
        if len(rows) >= _LEAST_HOLIDAYS and gain > most and gain > _LEAST_GAIN * errors[rows].sum():
            best, most = name, gain
    return best


def _gains(series: HourlySeries) -> tuple[int, Floats, Floats]:
    """Return the first day, and by day the gain of a forecast as a Sunday, NaN: unknown, and its weekday's error."""
    first_day = -(-series.first_hour // DAY)
    whole = series.since(first_day * DAY)
    rows = len(whole.values) // DAY
    table = whole.values[: rows * DAY].reshape(rows, DAY)
    weekdays = day_types(first_day + np.arange(rows), Calendar())
    back = np.arange(1, _WEEKS_BACK + 1) * _WEEK_DAYS
    days = np.arange(rows)[:, None]
    sunday = days - (weekdays[:, None] - _SUNDAY) % _WEEK_DAYS + _WEEK_DAYS
    as_weekday = np.abs(table - _mean_of(table, days - back))
    as_sunday = np.abs(table - _mean_of(table, sunday - back))
    errors = known_mean(as_weekday, axis=1)
    gains = errors - known_mean(as_sunday, axis=1)
    gains[weekdays > _FRIDAY] = np.nan
    return first_day, gains, errors


def _mean_of(table: Floats, rows: Ints) -> Floats:
    known = np.where((rows >= 0)[..., None], table[np.maximum(rows, 0)], np.nan)
    return known_mean(known, axis=1)
