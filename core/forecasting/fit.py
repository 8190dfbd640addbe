"""Forecasts of a machine's UTC hours, computed in its plant's local time.

Shifts follow local time, so the series is converted to it: an hour that occurs twice becomes the mean of both, and a
skipped hour is missing. The answer is in UTC hours.
"""

from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from core.arrays import DAY, WEEK, Floats, Ints
from core.forecasting.engine import Answer, Calendar, HourlySeries, KnownInputs, Memory, forecast_next
from core.forecasting.engine.answering import usable
from core.forecasting.engine.candidates import CandidateForecaster, best_of
from core.forecasting.seasonal import hourly_median
from core.plant.local_days import wall_hours

_MONDAY: Final = 72  # the epoch was a Thursday


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """Input of a fit. values: (n,) kWh from `first_hour` on, hours of UTC since the epoch, NaN where missing.

    zone: of the plant. region: whose holidays count, as in the plant file, or None. memory: as packed, empty at first.
    cold_start: (168,) from Monday 0 h, or None. candidates: names of the candidate forecasters that may answer.
    inputs: known-future inputs, hours of UTC.
    """

    first_hour: int
    values: Floats
    horizon: int
    zone: str
    region: str | None
    bounds: tuple[float, float]
    memory: bytes
    cold_start: Floats | None = None
    candidates: tuple[str, ...] = ()
    inputs: KnownInputs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A forecast of the hours after the series, and the forecaster's memory.

    value, lower, upper, and median, the seasonal median's forecast at the same origin: (horizon,) each, in kWh.
    """

    value: Floats
    lower: Floats
    upper: Floats
    model: str
    wape: float | None
    coverage: float | None
    compared: dict[str, float]
    memory: bytes
    median: Floats


def fit(
    request: FitRequest, *, holidays: frozenset[int] = frozenset(), candidates: tuple[CandidateForecaster, ...] = ()
) -> Fitted:
    """Return the forecast of a request, deterministically. holidays: days since the epoch.

    candidates: those named by the request.
    """
    series, steps = _on_the_wall_clock(request)
    calendar = Calendar(holidays=holidays)
    answer, memory = forecast_next(
        series,
        horizon=request.horizon,
        calendar=calendar,
        memory=Memory.unpack(request.memory) if request.memory else None,
        bounds=request.bounds,
        cold_start=request.cold_start,
        inputs=_inputs_on_the_wall_clock(request),
    )
    if candidates:
        answer = best_of(answer, memory, series, calendar=calendar, bounds=request.bounds, candidates=candidates)
    median = hourly_median(usable(series), calendar, request.horizon)
    return _fitted(answer, steps, memory.pack(), median=np.clip(median.value, *request.bounds))


def fallback(request: FitRequest, *, holidays: frozenset[int] = frozenset()) -> Fitted:
    """Return the seasonal median's answer to a request, with the memory unchanged."""
    series, steps = _on_the_wall_clock(request)
    median = hourly_median(usable(series), Calendar(holidays=holidays), request.horizon)
    value, lower, upper = (np.clip(one, *request.bounds) for one in (median.value, median.lower, median.upper))
    answer = replace(median, value=value, lower=lower, upper=upper)
    return _fitted(answer, steps, request.memory, median=value)


def _inputs_on_the_wall_clock(request: FitRequest) -> KnownInputs | None:
    if request.inputs is None:
        return None
    first, count = request.inputs.first_hour, request.inputs.values.shape[1]
    wall = wall_hours(first, count, ZoneInfo(request.zone))
    rows = np.stack([on_the_wall_clock(row, wall).values for row in request.inputs.values])
    return KnownInputs(names=request.inputs.names, first_hour=int(wall[0]), values=rows)


def _on_the_wall_clock(request: FitRequest) -> tuple[HourlySeries, Ints]:
    """Return the series in local time, and for each UTC hour of the horizon its step in the answer, (horizon,)."""
    known = len(request.values)
    wall = wall_hours(request.first_hour, known + request.horizon, ZoneInfo(request.zone))
    # within a repeated hour, its first occurrence does not count as known
    series = on_the_wall_clock(request.values, wall[:known]).until(int(wall[known]))
    # where a skipped hour leads past the answer's end, its last hour is repeated
    return series, np.minimum(wall[known:] - series.end, request.horizon - 1)


def on_the_wall_clock(values: Floats, wall: Ints) -> HourlySeries:
    """Return the values, (n,), of these local hours, (n,), as a series."""
    places = wall - wall[0]
    known = ~np.isnan(values)
    count = np.bincount(places[known], minlength=int(places[-1]) + 1)
    total = np.bincount(places[known], weights=values[known], minlength=int(places[-1]) + 1)
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return HourlySeries(first_hour=int(wall[0]), values=mean)


def usual_week(series: list[HourlySeries]) -> Floats | None:
    """Return the median week of several series in local time, (168,) from Monday 0 h; None without known values.

    Unknown hours are filled with the median of the same hour of the day, or else of all.
    """
    rows = []
    for one in series:
        places = (one.first_hour + np.arange(len(one.values)) + _MONDAY) % WEEK
        rows.append([_median(one.values[places == place]) for place in range(WEEK)])
    if not rows or np.isnan(rows).all():
        return None
    table = np.array(rows)
    week = np.array([_median(table[:, place]) for place in range(WEEK)])
    for place in np.flatnonzero(np.isnan(week)):
        week[place] = _median(week[place % DAY :: DAY])
    return np.where(np.isnan(week), _median(week), week)


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _fitted(answer: Answer, steps: Ints, memory: bytes, *, median: Floats) -> Fitted:
    return Fitted(
        value=answer.value[steps],
        lower=answer.lower[steps],
        upper=answer.upper[steps],
        model=answer.model,
        wape=answer.wape,
        coverage=answer.coverage,
        compared=dict(answer.compared),
        memory=memory,
        median=median[steps],
    )
