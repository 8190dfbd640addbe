"""A fitted curve of an hourly series: a straight trend, a usual week and a usual year, moved to where the series is."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import DAY, WEEK, Floats, Ints
from core.forecasting.engine.series import HourlySeries

YEAR_DAYS: Final = 366
_THURSDAY_HOURS: Final = 72  # hour 0 of the epoch was a Thursday's; weeks begin on Monday


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The parameters of a fitted Prophet, in the series' unit, as plain arrays.

    level: at `start`, hours since the epoch; slope: per hour after it. week: (168,) from Monday 0 h on. year: (366,)
    from 1 January on.
    """

    start: int
    level: float
    slope: float
    week: Floats
    year: Floats

    def at(self, hours: Ints) -> Floats:
        """Return the curve at these hours since the epoch, any shape."""
        days = (hours // DAY).astype("datetime64[D]")
        day_of_year = (days - days.astype("datetime64[Y]")).astype(np.int64)
        trend = self.level + self.slope * (hours - self.start)
        return np.asarray(trend + self.week[hour_of_week(hours)] + self.year[day_of_year], dtype=np.float64)

    def predict(self, series: HourlySeries, horizon: int) -> Floats:
        """Return the `horizon` hours after a series, moved by how far the last week was from the curve."""
        steps = series.end + np.arange(horizon)
        recent = series.end - 1 - np.arange(WEEK)
        off = series.at(recent) - self.at(recent)
        moved = 0.0 if np.isnan(off).all() else float(np.nanmean(off))
        return self.at(steps) + moved


def hour_of_week(hours: Ints) -> Ints:
    """Return 0 (Monday 0 h) to 167 of hours since the epoch, any shape."""
    return (hours + _THURSDAY_HOURS) % WEEK
