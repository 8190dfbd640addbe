"""Prophet for hourly series; it needs Stan and is loaded on the first use."""

import logging
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Final

import numpy as np
import pandas as pd

from core.forecasting.engine import LEVEL, Answer, Calendar, HourlySeries
from core.forecasting.names import PROPHET

LEAST_POINTS: Final = 10
_SAMPLES: Final = 300
_SEED: Final = 42
_MOST_HOURS: Final = 13 * 7 * 24
"""Of history; on grid load a year of it costs four times as much and does worse."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def forecast_by_prophet(
    series: HourlySeries, *, horizon: int, calendar: Calendar, bounds: tuple[float, float] = (0.0, inf)
) -> Answer:
    """Return Prophet's answer, clipped to the possible range.

    Raises:
        ValueError: fewer than ten known values.
        RuntimeError: Stan failed.
    """
    series = series.since(series.end - _MOST_HOURS)
    values = series.values  # noqa: PD011  ours, not pandas'
    known = int((~np.isnan(values)).sum())
    if known < LEAST_POINTS:
        raise ValueError(f"{known} known points, at least {LEAST_POINTS} are needed")
    times = _times(series.first_hour, len(values) + horizon)
    days = [_EPOCH.replace(tzinfo=None) + timedelta(days=day) for day in sorted(calendar.holidays)]
    within = [day for day in days if times[0] - pd.Timedelta(days=1) < day <= times[-1]]
    free = pd.DataFrame({"holiday": "holiday", "ds": within}) if within else None
    model = fitted_prophet(pd.DataFrame({"ds": times[: len(values)], "y": values}), holidays=free)
    found = model.predict(pd.DataFrame({"ds": times[len(values) :]}))
    value, lower, upper = (
        np.clip(found[name].to_numpy(dtype=np.float64), *bounds) for name in ("yhat", "yhat_lower", "yhat_upper")
    )
    return Answer(value=value, lower=np.minimum(lower, value), upper=np.maximum(upper, value), model=PROPHET)


def fitted_prophet(frame: pd.DataFrame, *, holidays: pd.DataFrame | None = None) -> Any:
    """Return Prophet fitted to `ds` and `y`, with a fixed seed."""
    logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)  # it warns about plotly, which is not needed
    from prophet import Prophet  # noqa: PLC0415  loads Stan, which is slow

    # it would set its own level and write to stderr, but not where somebody has taken care of it
    stan = logging.getLogger("cmdstanpy")
    stan.addHandler(logging.NullHandler())
    stan.setLevel(logging.ERROR)
    np.random.seed(_SEED)  # noqa: NPY002  its intervals are drawn from the global generator
    model = Prophet(interval_width=LEVEL, uncertainty_samples=_SAMPLES, holidays=holidays)
    model.fit(frame, seed=_SEED)
    return model


def _times(first_hour: int, count: int) -> Any:
    return pd.date_range(pd.Timestamp(first_hour, unit="h"), periods=count, freq="h")
