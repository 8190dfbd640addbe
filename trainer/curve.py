"""Prophet fitted to one machine's hours and reduced to arrays, so that forecasts need no Prophet."""

import logging
import warnings
from typing import Final

import numpy as np
import pandas as pd

from core.arrays import DAY, WEEK, Ints
from core.forecasting.curves import YEAR_DAYS, hour_of_week
from core.forecasting.engine import HourlySeries
from runtime.forecasting.published import CurveDocument

_TWO_YEARS_HOURS: Final = 2 * 365 * DAY
# the defaults draw a day with four waves, too smooth for shifts that begin on the hour
_WEEK_WAVES, _DAY_WAVES = 20, 8


def fit_curve(series: HourlySeries, *, seed: int) -> CurveDocument:
    """Fit Prophet (Taylor and Letham 2018) with yearly, weekly and daily seasonality, and return its parts as arrays.

    With less than two years of history nothing tells a year's wave from a trend, so there the wave is held small.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about what Prophet will have to change
        return _fitted(series, seed=seed)


def _fitted(series: HourlySeries, *, seed: int) -> CurveDocument:
    logging.getLogger("prophet").setLevel(logging.CRITICAL)  # it warns about plotly, which is not needed
    from prophet import Prophet  # noqa: PLC0415  loads Stan, which is slow

    stan = logging.getLogger("cmdstanpy")
    stan.addHandler(logging.NullHandler())  # without a handler it installs one that logs every fit
    stan.setLevel(logging.WARNING)

    steps = series.first_hour + np.arange(len(series.values))
    heard = series.at(steps)
    known = ~np.isnan(heard)
    model = Prophet(
        growth="linear",
        yearly_seasonality=False,
        weekly_seasonality=_WEEK_WAVES,
        daily_seasonality=_DAY_WAVES,
        uncertainty_samples=0,
    )
    long = len(steps) >= _TWO_YEARS_HOURS
    model.add_seasonality(
        name="yearly", period=365.25, fourier_order=10 if long else 2, prior_scale=10 if long else 0.1
    )
    model.fit(pd.DataFrame({"ds": _moments(steps[known]), "y": heard[known]}), seed=seed)

    end = series.end
    a_week = np.arange(WEEK) + end - hour_of_week(np.array(end))
    weekly = model.predict(pd.DataFrame({"ds": _moments(a_week)}))
    noons = (np.arange(YEAR_DAYS) + 19_723) * DAY + DAY // 2  # 2024, which has all 366 days
    yearly = model.predict(pd.DataFrame({"ds": _moments(noons)}))
    trend = model.predict(pd.DataFrame({"ds": _moments(np.array([end, end + WEEK]))}))["trend"].to_numpy()
    return CurveDocument(
        start=end,
        level=float(trend[0]),
        slope=float((trend[1] - trend[0]) / WEEK),
        week=tuple((weekly["weekly"] + weekly["daily"]).round(4).tolist()),
        year=tuple(yearly["yearly"].round(4).tolist()),
    )


def _moments(hours: Ints) -> pd.DatetimeIndex:
    return pd.to_datetime(hours * 3600, unit="s")
