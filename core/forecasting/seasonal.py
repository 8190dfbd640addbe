"""The seasonal median: the median of the newest four known values of the same phase.

It needs no training, and is the baseline for other models and the fallback without them. For hourly series with a
calendar the phase is the hour and the type of the day (weekday, holidays as Sundays); for series of any step it is
the position within a season.
"""

from typing import Final

import numpy as np

from core.arrays import WEEK, Floats, Ints
from core.forecasting.engine.profiles import RECENT, Days, typed_median
from core.forecasting.engine.series import LEVEL, Answer, Calendar, HourlySeries
from core.forecasting.names import SEASONAL_MEDIAN

_RESIDUAL_HOURS: Final = 4 * WEEK
_MOST_RESIDUALS: Final = 12_000


def hourly_median(series: HourlySeries, calendar: Calendar, horizon: int, *, otherwise: Floats | None = None) -> Answer:
    """Return the seasonal median of the `horizon` hours after a series, with the spread of its errors of four weeks.

    otherwise: (horizon,) for hours of the day of which nothing is known; None: the median of all, or 0 without any.
    """
    known = series.values[~np.isnan(series.values)]
    level = float(np.median(known)) if len(known) else 0.0
    days = Days.of(series, calendar)
    value = typed_median(days.recent(series.end + np.arange(horizon), np.array(series.end)))
    value = np.where(np.isnan(value), level if otherwise is None else otherwise, value)
    past = series.end - _RESIDUAL_HOURS + np.arange(_RESIDUAL_HOURS)
    residuals = series.at(past) - typed_median(days.recent(past, past))
    width = _width(residuals, default=abs(level))
    return Answer(value=value, lower=value - width, upper=value + width, model=SEASONAL_MEDIAN)


def seasonal_median(values: Floats, *, horizon: int, seasons: tuple[int, ...]) -> Answer:
    """Return the seasonal median of `horizon` steps after `values`, (n,), NaN where missing and at least one known.

    seasons: lengths in steps, of which those count that the series has two of; the one with the least error over the
    newest half is taken. Phases that never occurred follow the next shorter season. Without any season the level of
    the newest values stands still and the interval widens with the steps ahead.
    """
    lengths = (1, *(season for season in sorted(seasons) if len(values) >= 2 * season))
    places = np.arange(len(values) + horizon)
    fits = {season: _newest_before(values, places % season) for season in lengths}
    errors = {season: _mean_error(values, fitted) for season, fitted in fits.items()}
    season = min(lengths, key=lambda one: (np.isnan(errors[one]), errors[one], one))
    value = np.full(horizon, float(np.nanmedian(values)))
    for shorter in [one for one in lengths if one <= season]:
        found = fits[shorter][len(values) :]
        value = np.where(np.isnan(found), value, found)
    width = _width(_newest_half(values - fits[season][: len(values)]), default=0.0)
    steps = np.sqrt(np.arange(1, horizon + 1)) if season == 1 else np.sqrt(1 + np.arange(horizon) // season)
    return Answer(value=value, lower=value - width * steps, upper=value + width * steps, model=SEASONAL_MEDIAN)


def _newest_before(values: Floats, phases: Ints) -> Floats:
    """Return for each step, (n + h,), the median of the newest known values of its phase before it; NaN without one.

    values: (n,); the h steps after them see all of them. phases: (n + h,).
    """
    count = len(values)
    newest = np.full((len(phases), RECENT), np.nan)
    for phase in np.unique(phases):
        steps = np.flatnonzero(phases == phase)
        own = steps[(steps < count)]
        own = own[~np.isnan(values[own])]
        before = np.searchsorted(own, steps, side="left")
        places = before[:, None] - 1 - np.arange(RECENT)
        if len(own):
            newest[steps] = np.where(places >= 0, values[own[np.maximum(places, 0)]], np.nan)
    return typed_median(newest)


def _newest_half(residuals: Floats) -> Floats:
    return residuals[max(len(residuals) // 2, len(residuals) - _MOST_RESIDUALS) :]


def _mean_error(values: Floats, fitted: Floats) -> float:
    residuals = _newest_half(values - fitted[: len(values)])
    known = residuals[~np.isnan(residuals)]
    return float(np.abs(known).mean()) if len(known) else float("nan")


def _width(residuals: Floats, *, default: float) -> float:
    """Return half the width of an interval of `LEVEL`: conformal, the quantile of n residuals that covers the next."""
    known = np.abs(residuals[~np.isnan(residuals)])
    return float(np.quantile(known, min(1.0, LEVEL * (1 + 1 / len(known))))) if len(known) else default
