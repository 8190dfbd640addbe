"""One forecast: from a series and what it remembers to an answer and what it is to remember."""

from math import inf

import numpy as np

from core.forecasting.memory import Memory
from core.forecasting.profiles import Days, typed_median
from core.forecasting.series import LEVEL, WEEK, Answer, Calendar, Floats, HourlySeries

_ORIGINS = 28


def forecast_next(
    series: HourlySeries,
    *,
    horizon: int,
    calendar: Calendar,
    memory: Memory | None,
    bounds: tuple[float, float] = (0.0, inf),
    cold_start: Floats | None = None,
    refit: bool | None = None,
) -> tuple[Answer, Memory]:
    """The `horizon` hours after a series, and the memory to hand over with the next call.

    bounds: what is physically possible. cold_start: (168,) usual course of a week from Monday 0 h, such as the machine
    type's; it answers while the series is too short. refit: None fits anew when the fit is a week old, True and False
    say so.

    Raises:
        ValueError: a horizon below 1, bounds in the wrong order, or a cold_start of another length.
    """
    if horizon < 1 or not bounds[0] <= bounds[1] or (cold_start is not None and cold_start.shape != (WEEK,)):
        raise ValueError(f"horizon {horizon}, bounds {bounds}, cold start {cold_start}")
    days = Days.of(series, calendar)
    steps = series.end + np.arange(horizon)
    value = typed_median(days.recent(steps, np.array(series.end)))
    level = np.nanmedian(series.values) if not np.isnan(series.values).all() else 0.0
    value = np.where(np.isnan(value), level, value)
    origins = series.end - 24 * np.arange(1, _ORIGINS + 1)[:, None]
    targets = origins + np.arange(horizon)
    past = typed_median(days.recent(targets, origins))
    residuals = np.abs(series.at(targets) - past)
    width = float(np.nanquantile(residuals, LEVEL)) if not np.isnan(residuals).all() else 0.0
    clipped = [np.clip(one, *bounds) for one in (value, value - width, value + width)]
    answer = Answer(value=clipped[0], lower=clipped[1], upper=clipped[2], model="seasonal_median", compared={})
    del refit
    return answer, memory or Memory(steps=horizon)
