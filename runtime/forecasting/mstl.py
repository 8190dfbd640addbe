"""MSTL as a candidate: daily and weekly seasons removed by loess, an autoregression for the remainder."""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from core.arrays import DAY, WEEK, Floats
from core.forecasting.engine import Calendar, HourlySeries
from core.forecasting.engine.candidates import CannotFitError, lately
from core.forecasting.engine.features import Past
from core.forecasting.names import CandidateName

_MOST_HOURS: Final = 13 * WEEK
_LEAST_HOURS: Final = 4 * WEEK
_MOST_LAGS: Final = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Seasons:
    """A fitted MSTL.

    week: (168,) seasons by hour of the epoch modulo a week. coefficients: of the constant, then of the last hours,
    newest first. low, high: range of the remainder.
    """

    calendar: Calendar
    week: Floats
    coefficients: Floats
    low: float
    high: float

    def predict(self, series: HourlySeries, steps: int) -> Floats:
        """Return the hours after a series, (steps,)."""
        lags = len(self.coefficients) - 1
        recent = lately(series, _MOST_HOURS)
        filled = Past.of(recent, self.calendar).filled
        rest = list(filled - self.week[(recent.first_hour + np.arange(len(filled))) % WEEK])[-lags:] if lags else []
        room = (self.high - self.low) / 2  # nothing leaves what was ever seen by more than half its range
        for _ in range(steps):
            newest = np.array(rest[: -lags - 1 : -1] if lags else [])
            value = self.coefficients[0] + float(self.coefficients[1:] @ newest)
            rest.append(min(max(value, self.low - room), self.high + room))
        return np.array(rest[-steps:]) + self.week[(series.end + np.arange(steps)) % WEEK]


@dataclass(frozen=True, slots=True)
class Mstl:
    """MSTL and an autoregression of statsmodels as a candidate."""

    name: ClassVar[CandidateName] = "mstl"
    module: ClassVar[str] = "statsmodels"

    def fit(self, series: HourlySeries, *, calendar: Calendar, steps: int) -> Seasons:
        """Return seasons of the newest thirteen weeks; the order of the autoregression by its information criterion.

        Raises:
            CannotFitError: less than four weeks, or always the same.
        """
        del steps
        from statsmodels.tsa.ar_model import ar_select_order  # noqa: PLC0415  an extra, which is slow to load
        from statsmodels.tsa.seasonal import MSTL  # noqa: PLC0415

        series = series.since(series.end - _MOST_HOURS)
        if len(series.values) < _LEAST_HOURS or np.isnan(series.values).all():
            raise CannotFitError(f"{len(series.values)} hours are too few for MSTL")
        filled = Past.of(series, calendar).filled
        scale = float(np.ptp(filled))
        if not scale:
            raise CannotFitError("a series that is always the same has no seasons")
        # in units of its range, so that nothing is lost whatever the series' own unit is
        seasons = MSTL(filled / scale, periods=(DAY, WEEK)).fit().seasonal.sum(axis=1) * scale
        rest = filled - seasons
        chosen = ar_select_order(rest / scale, _MOST_LAGS, ic="bic").model.fit().params
        coefficients = np.zeros(1) if not len(chosen) else np.asarray(chosen, dtype=np.float64)
        newest = series.end - WEEK + np.arange(WEEK)
        week = np.empty(WEEK)
        week[newest % WEEK] = seasons[-WEEK:]
        return Seasons(
            calendar=calendar,
            week=week,
            coefficients=np.append(coefficients[0] * scale, coefficients[1:]),
            low=float(rest.min()),
            high=float(rest.max()),
        )
