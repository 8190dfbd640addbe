"""Profiles: the same hour of the last days of the same type. Holidays count as Sundays."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import DAY, Bools, Floats, Ints
from core.forecasting.engine.series import Calendar, HourlySeries

RECENT: Final = 4
"""How many days of the same type make the profile."""
LONG: Final = 8
"""How many of them the long median looks at."""
_SATURDAY: Final = 5
_SUNDAY: Final = 6
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
_TYPES: Final = 7
_ANY: Final = _TYPES
_WORKING: Final = _TYPES + 1
_KINDS: Final = _TYPES + 2
_WORKING_DAYS: Final = 5  # a week
_FADING: Final = 0.6  # weight of a day against that of the next of its type


def is_holiday(days: Ints, calendar: Calendar) -> Bools:
    """Return whether each day number since the epoch is a holiday; any shape."""
    return np.isin(days, np.fromiter(calendar.holidays, np.int64, len(calendar.holidays)))


def day_types(days: Ints, calendar: Calendar) -> Ints:
    """Return 0 (Monday) to 6 (Sunday and holidays) of each day number since the epoch; any shape."""
    return np.where(is_holiday(days, calendar), _SUNDAY, (days + _EPOCH_WEEKDAY) % _TYPES)


def is_free(hours: Ints, calendar: Calendar) -> Bools:
    """Return whether hours since the epoch lie on a weekend or holiday; any shape."""
    return day_types(hours // DAY, calendar) >= _SATURDAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A series as a table of days, and for each day type the values in order of time without the gaps.

    first_day: day number since the epoch of the first row. values: (d, 24), NaN where unknown.
    known: (types, k, 24) what is known of a type, oldest first; counts: (types, d + 1, 24) how many of them lie before
    a day. Behind the seven types stand all days, and the working days.
    """

    first_day: int
    values: Floats
    known: Floats
    counts: NDArray[np.int32]
    calendar: Calendar

    @classmethod
    def of(cls, series: HourlySeries, calendar: Calendar) -> "Days":
        """Return the table of a series; hours beyond its ends are unknown."""
        first_day = series.first_hour // DAY
        before = series.first_hour - first_day * DAY
        rows = max(1, -(-(before + len(series.values)) // DAY))
        flat = np.full(rows * DAY, np.nan)
        flat[before : before + len(series.values)] = series.values
        values = flat.reshape(rows, DAY)
        types = day_types(first_day + np.arange(rows), calendar)
        counts = np.zeros((_KINDS, rows + 1, DAY), np.int32)
        known = np.full((_KINDS, rows, DAY), np.nan)
        present = ~np.isnan(values)
        every = {_ANY: np.arange(rows), _WORKING: np.flatnonzero(types < _SATURDAY)}
        for kind in range(_KINDS):
            members = every[kind] if kind in every else np.flatnonzero(types == kind)
            mask = present[members]
            counts[kind, members + 1] = mask
            order = np.argsort(~mask, axis=0, kind="stable")
            known[kind, : len(members)] = np.take_along_axis(values[members], order, axis=0)
        np.cumsum(counts, axis=1, out=counts)
        return cls(first_day=first_day, values=values, known=known, counts=counts, calendar=calendar)

    def recent(self, targets: Ints, origins: Ints, count: int = RECENT) -> Floats:
        """Return the newest values of the same hour and day type before an origin, newest first, NaN: fewer.

        targets: the hours to be forecast, (...); origins: the first unknown hour of each, of a shape that fits; count:
        how many, c. Gives (..., c). Where nothing of the type is known, days of any type stand in.
        """
        return self._newest(day_types(targets // DAY, self.calendar), targets, origins, count)

    def of_class(self, targets: Ints, origins: Ints, weeks: int) -> Floats:
        """Return the newest values of the same hour before an origin of all working days, or of Saturdays, or Sundays.

        targets, origins: as of `recent`. As many as so many weeks have: (..., 5 * weeks), NaN: fewer.
        """
        types = day_types(targets // DAY, self.calendar)
        working = types < _SATURDAY
        found = self._newest(np.where(working, _WORKING, types), targets, origins, _WORKING_DAYS * weeks)
        return np.where(working[..., None] | (np.arange(found.shape[-1]) < weeks), found, np.nan)

    def _newest(self, kinds: Ints, targets: Ints, origins: Ints, count: int) -> Floats:
        """Return the newest values of the same hour of a day of a kind, as of `recent`."""
        hours = targets % DAY
        # on the day of the origin, only hours before it are known
        rows = origins // DAY - self.first_day + (hours < origins % DAY)
        rows = np.clip(rows, 0, len(self.values))
        before = self.counts[kinds, rows, hours]
        kinds = np.where(before > 0, kinds, _ANY)
        before = np.where(before > 0, before, self.counts[_ANY, rows, hours])
        places = before[..., None] - 1 - np.arange(count)
        found = self.known[kinds[..., None], np.maximum(places, 0), hours[..., None]]
        return np.where(places >= 0, found, np.nan)


def typed_mean(recent: Floats) -> Floats:
    """Return the mean of the known values over the last axis; NaN without any."""
    return _weighted(recent, np.ones(recent.shape[-1]))


def fading_mean(recent: Floats) -> Floats:
    """Return mean over the last axis, in which each day counts 0.6 times as much as the one after it."""
    return _weighted(recent, np.power(_FADING, np.arange(recent.shape[-1], dtype=np.float64)))


def typed_median(recent: Floats) -> Floats:
    """Return the median of the known values over the last axis; NaN without any."""
    ordered = np.sort(recent, axis=-1)  # NaN last
    count = (~np.isnan(recent)).sum(axis=-1)
    low = np.maximum((count - 1) // 2, 0)[..., None]
    high = np.minimum(count // 2, recent.shape[-1] - 1)[..., None]
    ends = np.take_along_axis(ordered, low, axis=-1) + np.take_along_axis(ordered, high, axis=-1)
    middle: Floats = ends[..., 0] / 2
    return np.where(count > 0, middle, np.nan)


def _weighted(recent: Floats, weights: Floats) -> Floats:
    present = ~np.isnan(recent)
    total = (present * weights).sum(axis=-1)
    summed = (np.where(present, recent, 0.0) * weights).sum(axis=-1)
    return np.where(total > 0, summed / np.where(total > 0, total, 1.0), np.nan)
