"""Forecast messages, made from the answer of a fit and the accuracy of earlier forecasts."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from core.arrays import HOUR
from core.forecasting.accuracy import ForecastAccuracy
from core.forecasting.engine import LEVEL
from core.forecasting.fit import Fitted
from core.issued_forecast import IssuedForecast
from core.plant import Plant
from core.plant.tariffs import cost_of
from schemas.forecasts import Backtest, Forecast, ForecastPoint, TrackRecord


def issued_forecast(fitted: Fitted, *, fallback: Fitted | None, origin: int) -> IssuedForecast:
    """Return the champion's answer, or that of the seasonal median if it replaces the champion."""
    answer = fitted if fallback is None else fallback
    replaces = fitted.model if answer.model != fitted.model else None
    return IssuedForecast(
        origin=origin, value=answer.value, lower=answer.lower, upper=answer.upper, model=answer.model, replaces=replaces
    )


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
    """Return the message of an issued forecast.

    trained: first hour of the training data, and the hour after its last.
    """
    value, lower, upper = issued.value, issued.lower, issued.upper
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
    """Return the back-test part of the message from a fit."""
    return Backtest(
        wape=_known(fitted.wape),
        coverage=None if fitted.coverage is None else min(1.0, max(0.0, fitted.coverage)),
        compared={name: wape for name, wape in sorted(fitted.compared.items()) if np.isfinite(wape)},
    )


def track_record(accuracy: ForecastAccuracy, *, days: int) -> tuple[TrackRecord, ...]:
    """Return the accuracy of issued forecasts over the newest `days` days, for each horizon day with matured hours."""
    return tuple(
        TrackRecord(
            horizon_day=day,
            points=score.points,
            wape=_known(score.wape),
            coverage=_known(score.coverage),
            interval_score=_known(score.interval_score),
        )
        for day, score in enumerate(accuracy.scores(days=days), start=1)
        if score.points
    )


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR, UTC)
