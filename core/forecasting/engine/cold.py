"""Forecasts of a series of less than two weeks: the profile of its type, the median of its days, or its level."""

from typing import Final

import numpy as np

from core.arrays import DAY, WEEK, Floats, Ints
from core.forecasting import names
from core.forecasting.engine.series import LEVEL, Answer, HourlySeries

_UNSEEN: Final = 0.5  # of a profile's value, on both sides, without any known value
_MONDAY: Final = 4 * DAY  # 1970-01-05


def cold_answer(series: HourlySeries, horizon: int, profile: Floats | None) -> Answer:
    """Return the forecast of a series of less than two weeks; profile: as `cold_start` of `forecast_next`."""
    targets = series.end + np.arange(horizon)
    present = ~np.isnan(series.values)
    known, hours = series.values[present], series.first_hour + np.flatnonzero(present)
    if profile is not None:
        return _by_profile(known, hours, targets, profile)
    if not len(known):
        nothing = np.zeros(horizon)
        return Answer(value=nothing, lower=nothing, upper=nothing, model=names.NO_HISTORY, compared={})
    spread = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    level = float(np.median(known))
    if len(known) < DAY:
        value = np.full(horizon, level)
        return Answer(
            value=value,
            lower=value + min(spread[0] - level, 0),
            upper=value + max(spread[1] - level, 0),
            model=names.LEVEL,
            compared={},
        )
    usual = np.array([np.median(known[hours % DAY == h]) if (hours % DAY == h).any() else level for h in range(DAY)])
    value = usual[targets % DAY]
    changes = np.abs(series.values[DAY:] - series.values[:-DAY])
    changes = changes[~np.isnan(changes)]
    # until two days can be compared, the bounds are as wide as the spread within the day
    width = float(np.quantile(changes, LEVEL)) if len(changes) else float(spread[1] - spread[0]) / 2
    return Answer(value=value, lower=value - width, upper=value + width, model=names.DAILY_MEDIAN, compared={})


def _by_profile(known: Floats, hours: Ints, targets: Ints, profile: Floats) -> Answer:
    filled = np.where(np.isnan(profile), np.nanmean(profile) if not np.isnan(profile).all() else 0.0, profile)
    usual = filled[(hours - _MONDAY) % WEEK]
    factor, width = 1.0, None
    if len(known) >= DAY and np.abs(usual).sum() > 0:
        factor = float(known.sum() / usual.sum()) if usual.sum() else 1.0
        width = float(np.quantile(np.abs(known - factor * usual), LEVEL))
    value = factor * filled[(targets - _MONDAY) % WEEK]
    margin = _UNSEEN * np.abs(value) if width is None else np.full(len(value), width)
    return Answer(value=value, lower=value - margin, upper=value + margin, model=names.TYPE_PROFILE, compared={})
