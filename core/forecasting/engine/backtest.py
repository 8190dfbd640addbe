"""Back-tests: a series replayed origin by origin, each forecast from the hours before its origin."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import DAY, Floats, Ints
from core.forecasting.engine.answering import forecast_next
from core.forecasting.engine.evidence import blank
from core.forecasting.engine.inputs import KnownInputs
from core.forecasting.engine.intervals import KEPT, adapted, bounds_of, hits_of
from core.forecasting.engine.profiles import is_free
from core.forecasting.engine.series import Answer, Calendar, HourlySeries

LEAST_HISTORY: Final = DAY
"""Hours before the first origin."""

Choose = Callable[[HourlySeries], Calendar]
"""Function from the known series to the calendar to forecast with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestForecasts:
    """Forecasts of one model, (o, h) each, NaN where it gave none."""

    value: Floats
    lower: Floats
    upper: Floats


def daily_origins(series: HourlySeries, *, horizon: int, count: int, step: int) -> Ints:
    """Return the last `count` origins, `step` hours apart, whose horizon ends within the series."""
    newest = series.end - horizon
    room = newest - (series.first_hour + LEAST_HISTORY)
    found = min(count, room // step + 1) if room >= 0 else 0
    return newest - step * np.arange(found, dtype=np.int64)[::-1]


def replayed(
    series: HourlySeries,
    *,
    origins: Ints,
    horizon: int,
    choose: Choose,
    bounds: tuple[float, float],
    inputs: KnownInputs | None = None,
) -> Iterator[Answer]:
    """Yield the answers of the blend at these origins, oldest first, each with the memory of the one before.

    inputs: known-future inputs, of which each origin sees all hours.
    """
    memory = None
    for origin in origins.tolist():
        known = series.until(origin)
        answer, memory = forecast_next(
            known, horizon=horizon, calendar=choose(known), memory=memory, bounds=bounds, inputs=inputs
        )
        yield answer


def with_intervals(
    value: Floats, actual: Floats, *, origins: Ints, calendar: Calendar, bounds: tuple[float, float]
) -> BacktestForecasts:
    """Return forecasts (o, h) of a model without intervals, with intervals from its errors at complete origins."""
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
    """Return the same hour a season before, the newest that is known at each origin: (o, h)."""
    targets = origins[:, None] + np.arange(horizon)
    return series.at(targets - season * (1 + np.arange(horizon) // season))
