"""Forecasts of callers' series: choice of the model, and seasons of the series' step."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from core.arrays import DAY, WEEK, Floats
from core.forecasting.engine import Answer, Calendar, HourlySeries, Memory, forecast_next
from core.forecasting.engine.weights import TAKEOVER
from core.forecasting.names import MEMBERS, PROPHET, SEASONAL_MEDIAN
from core.forecasting.seasonal import hourly_median, seasonal_median
from runtime.errors import UsageError
from runtime.forecasting.prophet import LEAST_POINTS, fitted_prophet

ForecastModel = Literal["auto", "seasonal_median", "prophet"]

LOGGER: Final = logging.getLogger("nexova.forecasts")
MOST_POINTS: Final = 10_000
LONGEST_HORIZON: Final = 168
_DAY: Final = pd.Timedelta(days=1)
_LEAST_TO_KNOW_A_WEEK: Final = 2 * WEEK
_LEAST_TO_LEARN: Final = 8 * WEEK
_MOST_TO_LEARN: Final = 26 * WEEK
"""Hours; a year would take four times as long, and callers wait."""
_SOME_MONDAY: Final = 4 * DAY
# what pandas called these before version 3, and people still write
_FORMER: Final = {"H": "h", "T": "min", "S": "s", "M": "ME", "Q": "QE", "Y": "YE", "A": "YE"}
_SEASONS_OF_PREFIX: Final[dict[str, tuple[int, ...]]] = {
    "B": (5,), "C": (5,), "W": (52,), "ME": (12,), "MS": (12,), "BME": (12,), "BMS": (12,),
    "QE": (4,), "QS": (4,), "BQE": (4,), "BQS": (4,),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastAnswer:
    """Forecast of the next steps of a series in its unit, with the bounds of an 80 % interval."""

    forecast: tuple[float, ...]
    lower_bound: tuple[float, ...]
    upper_bound: tuple[float, ...]
    model: str
    warnings: tuple[str, ...] = ()


def forecast(
    values: Sequence[float | None],
    periods: int,
    *,
    frequency: str = "h",
    model: ForecastModel = "auto",
    start: datetime | None = None,
) -> ForecastAnswer:
    """Return the next `periods` steps of `values`, None where one is missing; never below zero if no value was.

    start: time of the first value; without it only the phase within a season is known, not the calendar. `auto` takes
    the seasonal median, or for hourly series of eight weeks or more the blend of `core.forecasting.engine` where it did
    better at the newest 28 origins of its back-test. Prophet answers only when it is requested.

    Raises:
        UsageError: no value, too many values, or an impossible horizon or frequency.
    """
    series = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    offset = parse_frequency(frequency)
    if not 1 <= len(series) <= MOST_POINTS or np.isnan(series).all() or np.isinf(series).any():
        raise UsageError(
            f"data: {len(series)} points; 1 to {MOST_POINTS:,} finite numbers are needed, null where one is missing"
        )
    if not 1 <= periods <= LONGEST_HORIZON:
        raise UsageError(f"horizon = {periods}: must be 1 to {LONGEST_HORIZON} steps; ask for fewer")
    if model == "prophet":
        try:
            return _by_prophet(series, periods, offset, start)
        except Exception as error:  # noqa: BLE001  Stan's failures share no base, and the median always answers
            LOGGER.warning("prophet failed on %d points: %s", len(series), error)
            answer = _by_median(series, periods, offset, start)
            reason = f"prophet could not be fitted ({type(error).__name__}: {error}); {SEASONAL_MEDIAN} answered"
            return ForecastAnswer(
                forecast=answer.forecast,
                lower_bound=answer.lower_bound,
                upper_bound=answer.upper_bound,
                model=answer.model,
                warnings=(" ".join(reason.split()),),
            )
    if model == "auto" and len(series) >= _LEAST_TO_LEARN and _is_hourly(offset):
        return _by_the_better(series, periods, offset, start)
    return _by_median(series, periods, offset, start)


def parse_frequency(frequency: str) -> Any:
    """Return the pandas offset of a frequency such as `h`, `15min`, `D`, `W`, `MS`, or of its name before pandas 3.

    Raises:
        UsageError: it is no frequency, or not a positive one.
    """
    for name in (frequency, _FORMER.get(frequency)):
        try:
            offset = None if name is None else to_offset(name)
        except ValueError:
            continue
        if offset is not None and offset.n > 0:
            return offset
    raise UsageError(
        f"frequency = {frequency[:40]!r}: is no pandas frequency that leads forward; "
        "write for example h, 15min, D, W or MS"
    )


def seasons_of(offset: Any) -> tuple[int, ...]:
    """Return lengths of the seasons that a series with this step may have, in steps."""
    try:
        step = pd.Timedelta(offset)
    except ValueError:
        own = _SEASONS_OF_PREFIX.get(str(offset.rule_code).split("-")[0], ())
        return own if offset.n == 1 else ()
    if step <= pd.Timedelta(0):
        return ()
    lengths = [span / step for span in (pd.Timedelta(hours=1), _DAY, 7 * _DAY)]
    return tuple(int(length) for length in lengths if length > 1 and length == int(length) and length <= MOST_POINTS)


def _by_median(series: Floats, periods: int, offset: Any, start: datetime | None) -> ForecastAnswer:
    if _is_hourly(offset) and len(series) >= _LEAST_TO_KNOW_A_WEEK:
        answer = hourly_median(_hourly(series, start), Calendar(), periods)
    else:
        answer = seasonal_median(series, horizon=periods, seasons=seasons_of(offset))
    return _answer(answer, series)


def _by_the_better(series: Floats, periods: int, offset: Any, start: datetime | None) -> ForecastAnswer:
    """Return the blend's answer, or the seasonal median's if that has the smaller error at the same origins."""
    hourly = _hourly(series, start)
    recent = hourly.since(hourly.end - _MOST_TO_LEARN)
    answer, memory = forecast_next(
        recent, horizon=periods, calendar=Calendar(), memory=None, bounds=(_lowest(series), np.inf)
    )
    if median_is_better(memory):
        return _by_median(series, periods, offset, start)
    return _answer(answer, series)


def median_is_better(memory: Memory) -> bool:
    """Return whether the seasonal median errs less than the blend at the newest origins of the blend's back-test.

    Both are rows of the same evidence: the same origins, the same hours, and the very median that would answer.
    """
    errors = memory.errors[-TAKEOVER:].astype(np.float64)
    if not len(errors) or np.isnan(errors[:, -1].mean()):
        return True
    return bool(np.nanmean(errors[:, MEMBERS.index(SEASONAL_MEDIAN)]) < errors[:, -1].mean())


def _hourly(series: Floats, start: datetime | None) -> HourlySeries:
    first = _SOME_MONDAY if start is None else int(pd.Timestamp(start).tz_localize(None).timestamp()) // 3600
    return HourlySeries(first_hour=first, values=series)


def _is_hourly(offset: Any) -> bool:
    try:
        return bool(pd.Timedelta(offset) == pd.Timedelta(hours=1))
    except ValueError:
        return False


def _lowest(series: Floats) -> float:
    return 0.0 if np.nanmin(series) >= 0 else -np.inf


def _answer(answer: Answer, series: Floats) -> ForecastAnswer:
    value, lower, upper = (
        _rounded(np.maximum(one, _lowest(series))) for one in (answer.value, answer.lower, answer.upper)
    )
    return ForecastAnswer(forecast=value, lower_bound=lower, upper_bound=upper, model=answer.model)


def _by_prophet(series: Floats, periods: int, offset: Any, start: datetime | None) -> ForecastAnswer:
    known = int((~np.isnan(series)).sum())
    if known < LEAST_POINTS:
        raise UsageError(f"{known} known points, at least {LEAST_POINTS} are needed")
    origin = pd.Timestamp(start or datetime(2024, 1, 1, tzinfo=UTC)).tz_convert(None)
    times = pd.date_range(origin, periods=len(series) + periods, freq=offset)
    model = fitted_prophet(pd.DataFrame({"ds": times[: len(series)], "y": series}))
    found = model.predict(pd.DataFrame({"ds": times[len(series) :]}))
    low = _lowest(series)
    value, lower, upper = (
        _rounded(np.maximum(found[name].to_numpy(), low)) for name in ("yhat", "yhat_lower", "yhat_upper")
    )
    return ForecastAnswer(forecast=value, lower_bound=lower, upper_bound=upper, model=PROPHET)


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 4).tolist())
