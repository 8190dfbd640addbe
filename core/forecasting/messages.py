"""From a fit to what is issued: the champion's answer, or the seasonal median's where that did better lately."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.energy.tariffs import cost_of
from core.forecasting.accuracy import ForecastAccuracy
from core.forecasting.engine import LEVEL
from core.forecasting.fit import Fitted
from core.forecasting.hourly_history import WEEK, HourlyHistory, usual_of
from core.forecasting.names import SEASONAL_MEDIAN
from core.plant import Plant
from schemas.forecasts import Backtest, Forecast, ForecastPoint, TrackRecord

Floats = NDArray[np.float64]

_RESIDUAL_HOURS: Final = 4 * WEEK
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedForecast:
    """What is issued for the hours from `origin` on, (h,) each in kWh. model answers, in the place of `replaces`."""

    origin: int
    value: Floats
    lower: Floats
    upper: Floats
    model: str
    replaces: str | None = None


def champion_or_median(
    fitted: Fitted, history: HourlyHistory, *, fallen_back: bool, bounds: tuple[float, float]
) -> IssuedForecast:
    """The champion's answer as it is; or, where it has lost its place, the seasonal median's."""
    issued = IssuedForecast(
        origin=history.end, value=fitted.value, lower=fitted.lower, upper=fitted.upper, model=fitted.model
    )
    if not fallen_back or fitted.model == SEASONAL_MEDIAN:
        return issued
    return replace(median_course(history, len(fitted.value), bounds=bounds), replaces=fitted.model)


def median_course(history: HourlyHistory, horizon: int, *, bounds: tuple[float, float]) -> IssuedForecast:
    """The seasonal median of the hours after a history, with the spread of its own errors of four weeks.

    Hours of which no week before knows anything get the median of all, and everything 0 where nothing is known at all.
    """
    hours = range(history.end, history.end + horizon)
    known = history.values[~np.isnan(history.values)]
    level = float(np.median(known)) if len(known) else 0.0
    usual = np.array([usual_of(history, hour) for hour in hours])
    value = np.where(np.isnan(usual), level, usual)
    past = range(history.end - _RESIDUAL_HOURS, history.end)
    residuals = np.abs([history.at(hour) - usual_of(history, hour) for hour in past])
    residuals = residuals[~np.isnan(residuals)]
    share = min(1.0, LEVEL * (1 + 1 / max(1, len(residuals))))
    width = float(np.quantile(residuals, share)) if len(residuals) else abs(level)
    value, lower, upper = (np.clip(one, *bounds) for one in (value, value - width, value + width))
    return IssuedForecast(origin=history.end, value=value, lower=lower, upper=upper, model=SEASONAL_MEDIAN)


def forecast_message(
    series_id: str,
    issued: IssuedForecast,
    *,
    plant: Plant,
    track: tuple[TrackRecord, ...],
    trained: tuple[int, int] | None,
    backtest: Backtest | None = None,
    members: int | None = None,
) -> Forecast:
    """The message of a issued. trained: first hour, and the hour after the last, that it was learned from."""
    value, lower, upper = (np.round(one, _DIGITS) for one in (issued.value, issued.lower, issued.upper))
    tariff = plant.energy.tariff
    return Forecast(
        series_id=series_id,
        issued_at=_moment(issued.origin),
        model=issued.model,
        level=LEVEL,
        points=tuple(
            ForecastPoint(timestamp=_moment(issued.origin + step), value=one, lower=low, upper=high)
            for step, (one, low, high) in enumerate(zip(value.tolist(), lower.tolist(), upper.tolist(), strict=True))
        ),
        backtest=backtest,
        trained_from=None if trained is None else _moment(trained[0]),
        trained_to=None if trained is None else _moment(trained[1]),
        replaces=issued.replaces,
        track_record=track,
        members=members,
        cost=None
        if tariff is None
        else cost_of(tariff, issued.origin, ZoneInfo(plant.timezone), value=value, lower=lower, upper=upper),
    )


def backtest_of(fitted: Fitted) -> Backtest:
    """What a fit says of its own past, to four digits."""
    return Backtest(
        wape=_rounded(fitted.wape),
        coverage=None if fitted.coverage is None else min(1.0, max(0.0, round(fitted.coverage, _DIGITS))),
        compared={name: round(wape, _DIGITS) for name, wape in sorted(fitted.compared.items()) if np.isfinite(wape)},
    )


def track_record(accuracy: ForecastAccuracy, *, days: int) -> tuple[TrackRecord, ...]:
    """How what was issued did over the newest `days` days, for each day of the horizon of which something matured."""
    return tuple(
        TrackRecord(
            horizon_day=day,
            points=score.points,
            wape=_rounded(score.wape),
            coverage=_rounded(score.coverage),
            interval_score=_rounded(score.interval_score),
        )
        for day, score in enumerate(accuracy.scores(days=days), start=1)
        if score.points
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, _DIGITS)


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)
