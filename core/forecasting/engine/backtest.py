"""What would have been forecast: a series replayed origin by origin, each seeing only what was known at it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.forecasting.engine.answering import forecast_next
from core.forecasting.engine.evidence import blank
from core.forecasting.engine.intervals import KEPT, adapted, bounds_of, hits_of
from core.forecasting.engine.profiles import is_free
from core.forecasting.engine.series import DAY, Answer, Calendar, Floats, HourlySeries, Ints

LEAST_HISTORY: Final = DAY
"""Hours before the first origin."""

Choose = Callable[[HourlySeries], Calendar]
"""The calendar to forecast with, from what is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestForecasts:
    """What one model said: (o, h) each, NaN where it said nothing."""

    value: Floats
    lower: Floats
    upper: Floats


def daily_origins(series: HourlySeries, *, horizon: int, count: int, step: int) -> Ints:
    """The last `count` origins, `step` hours apart, whose horizon ends within the series; fewer where it is short."""
    newest = series.end - horizon
    room = newest - (series.first_hour + LEAST_HISTORY)
    found = min(count, room // step + 1) if room >= 0 else 0
    return newest - step * np.arange(found, dtype=np.int64)[::-1]


def replayed(
    series: HourlySeries, *, origins: Ints, horizon: int, choose: Choose, bounds: tuple[float, float]
) -> Iterator[Answer]:
    """The system's own answers at these origins, oldest first, with one memory that goes along."""
    memory = None
    for origin in origins.tolist():
        known = series.until(origin)
        answer, memory = forecast_next(known, horizon=horizon, calendar=choose(known), memory=memory, bounds=bounds)
        yield answer


def with_intervals(
    value: Floats, actual: Floats, *, origins: Ints, calendar: Calendar, bounds: tuple[float, float]
) -> BacktestForecasts:
    """Values (o, h) of a model that has no intervals of its own, with those that its complete origins give it."""
    horizon = value.shape[1]
    hours = origins[:, None] + np.arange(horizon)
    free = is_free(hours, calendar)
    residuals = actual - value
    lower, upper = np.full_like(value, np.nan), np.full_like(value, np.nan)
    alpha = np.asarray(blank(horizon).alpha, np.float64)
    judged = 0
    for place, origin in enumerate(origins.tolist()):
        done = int(np.searchsorted(origins, origin - horizon, side="right"))
        for one in range(judged, done):
            if not np.isnan(lower[one]).any():
                alpha = adapted(alpha, hits_of(actual[one], lower[one], upper[one]))
        judged = done
        if done and not np.isnan(value[place]).any():
            seen = slice(max(0, done - KEPT), done)
            lower[place], upper[place] = bounds_of(
                value[place],
                residuals[seen],
                targets=hours[place],
                free=free[place],
                past=hours[seen],
                past_free=free[seen],
                alpha=alpha,
            )
    return BacktestForecasts(
        value=np.clip(value, *bounds), lower=np.clip(lower, *bounds), upper=np.clip(upper, *bounds)
    )


def naive(series: HourlySeries, *, origins: Ints, horizon: int, season: int) -> Floats:
    """The same hour a season before, the newest that is known at each origin: (o, h)."""
    targets = origins[:, None] + np.arange(horizon)
    return series.at(targets - season * (1 + np.arange(horizon) // season))
