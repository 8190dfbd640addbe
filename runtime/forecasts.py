"""Forecasts of a series that somebody sends: which model answers, and what it needs to know of the series' rhythm."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset

from core.seasonal import NAME, forecast_seasonal
from runtime.errors import UsageError

Floats = NDArray[np.float64]
ForecastModel = Literal["auto", "seasonal_median", "prophet"]

LOGGER: Final = logging.getLogger("nexova.forecasts")
MOST_POINTS: Final = 10_000
LONGEST_HORIZON: Final = 168
LEVEL: Final = 0.8
_DAY: Final = pd.Timedelta(days=1)
_LEAST_FOR_PROPHET: Final = 10
# what pandas called these before version 3, and people still write
_FORMER: Final = {"H": "h", "T": "min", "S": "s", "M": "ME", "Q": "QE", "Y": "YE", "A": "YE"}
_SEASONS_OF_PREFIX: Final[dict[str, tuple[int, ...]]] = {
    "B": (5,), "C": (5,), "W": (52,), "ME": (12,), "MS": (12,), "BME": (12,), "BMS": (12,),
    "QE": (4,), "QS": (4,), "BQE": (4,), "BQS": (4,),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastAnswer:
    """The next steps of a series in its unit; 80 % of what comes is expected between the bounds."""

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
    """The next `periods` steps of `values`, None where one is missing.

    start: time of the first value; without it only the phase within a season is known, not the calendar.

    Raises:
        UsageError: no value, too many, a horizon or frequency that cannot be.
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
            answer = _by_median(series, periods, offset)
            reason = f"prophet could not be fitted ({type(error).__name__}: {error}); {NAME} answered"
            return ForecastAnswer(
                forecast=answer.forecast,
                lower_bound=answer.lower_bound,
                upper_bound=answer.upper_bound,
                model=answer.model,
                warnings=(" ".join(reason.split()),),
            )
    return _by_median(series, periods, offset)


def parse_frequency(frequency: str) -> Any:
    """The pandas offset of a frequency such as `h`, `15min`, `D`, `W`, `MS`; names of before pandas 3 are taken too.

    Raises:
        UsageError: it is none, or does not lead forward.
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
    """Lengths of the seasons that a series with this step may have, in steps."""
    try:
        step = pd.Timedelta(offset)
    except ValueError:
        own = _SEASONS_OF_PREFIX.get(str(offset.rule_code).split("-")[0], ())
        return own if offset.n == 1 else ()
    if step <= pd.Timedelta(0):
        return ()
    lengths = [span / step for span in (pd.Timedelta(hours=1), _DAY, 7 * _DAY)]
    return tuple(int(length) for length in lengths if length > 1 and length == int(length) and length <= MOST_POINTS)


def _by_median(series: Floats, periods: int, offset: Any) -> ForecastAnswer:
    course = forecast_seasonal(series, horizon=periods, seasons=seasons_of(offset), level=LEVEL)
    return ForecastAnswer(
        forecast=_rounded(course.value),
        lower_bound=_rounded(course.lower),
        upper_bound=_rounded(course.upper),
        model=NAME,
    )


def _by_prophet(series: Floats, periods: int, offset: Any, start: datetime | None) -> ForecastAnswer:
    from prophet import Prophet  # noqa: PLC0415  loads Stan, which nobody else needs

    if (~np.isnan(series)).sum() < _LEAST_FOR_PROPHET:
        raise UsageError(f"{int((~np.isnan(series)).sum())} known points, at least {_LEAST_FOR_PROPHET} are needed")
    origin = pd.Timestamp(start or datetime(2024, 1, 1, tzinfo=UTC)).tz_convert(None)
    times = pd.date_range(origin, periods=len(series) + periods, freq=offset)
    model = Prophet(interval_width=LEVEL, uncertainty_samples=300)
    model.fit(pd.DataFrame({"ds": times[: len(series)], "y": series}), seed=42)
    found = model.predict(pd.DataFrame({"ds": times[len(series) :]}))
    return ForecastAnswer(
        forecast=_rounded(found["yhat"].to_numpy()),
        lower_bound=_rounded(found["yhat_lower"].to_numpy()),
        upper_bound=_rounded(found["yhat_upper"].to_numpy()),
        model="prophet",
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 4).tolist())
