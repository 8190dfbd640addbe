"""Forecasts at past origins for `nexova backtest forecast`; slow models run in a process of their own."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

import numpy as np

from core.arrays import WEEK, Floats, Ints
from core.forecasting.engine import Answer, Calendar, HourlySeries, KnownInputs
from core.forecasting.engine.backtest import BacktestForecasts, naive, replayed, with_intervals
from core.forecasting.engine.candidates import forecast_by
from core.forecasting.names import CANDIDATES, MEMBERS, NAIVE_WEEK, PROPHET, WITH_INPUTS
from runtime.errors import FailureError
from runtime.forecasting.calendars import HolidayChoice
from runtime.forecasting.candidates import candidates_of
from runtime.forecasting.prophet import forecast_by_prophet

SELECTED: Final = "selected"
NAIVE: Final = {NAIVE_WEEK: WEEK}
SLOW: Final = (PROPHET, *CANDIDATES)
ALL_MODELS: Final = (*MEMBERS, *NAIVE, *SLOW)
WITHOUT_INPUTS: Final = "without_inputs"
"""The selection as it is without known-future inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Input of a back-test: a series, the o origins, oldest first, and the horizon in hours."""

    series: HourlySeries
    origins: Ints
    horizon: int
    names: tuple[str, ...]
    sparse: int
    holidays: str
    lower_bound: float | None
    inputs: KnownInputs | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound of values, derived from the data before the first origin."""
        if self.lower_bound is not None:
            return self.lower_bound, inf
        known = self.series.until(int(self.origins[0])).values
        return (-inf if np.nanmin(np.append(known, 0.0)) < 0 else 0.0), inf

    @property
    def actual(self) -> Floats:
        """Actual values, (o, h)."""
        return self.series.at(self.origins[:, None] + np.arange(self.horizon))

    @property
    def sparse_places(self) -> Ints:
        """Indices of the origins at which slow models forecast."""
        count = min(self.sparse, len(self.origins))
        return np.unique(np.linspace(0, len(self.origins) - 1, count).round().astype(np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Forecasts of one model at the origins with these indices, and its run time in seconds, None if not measured."""

    name: str
    forecasts: BacktestForecasts
    places: Ints
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Results of all models, the selection first. answered: forecasts by member; holidays: recognised region."""

    models: tuple[Result, ...]
    answered: dict[str, int]
    holidays: str | None


def run(plan: Plan, *, advance: Callable[[], Any]) -> Results:
    """Run the plan and return the results of all models; `advance` is called after each origin."""
    everywhere = np.arange(len(plan.origins))
    # spawn, because a fork of a process with threads may hang
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as beside:
        slow = [beside.submit(_by_slow, plan, name) for name in SLOW if name in plan.names]
        selected, members, answered, choice = _by_selection(plan, advance)
        models = [selected]
        if plan.inputs is not None:
            plain = _by_selection(replace(plan, inputs=None), advance)[0]
            models.append(replace(plain, name=WITHOUT_INPUTS))
        for name in plan.names:
            if name in NAIVE:
                value = naive(plan.series, origins=plan.origins, horizon=plan.horizon, season=NAIVE[name])
            elif name in members:
                value = members[name]
            else:
                continue
            forecasts = with_intervals(
                value, plan.actual, origins=plan.origins, calendar=choice(plan.series), bounds=plan.bounds
            )
            models.append(Result(name=name, forecasts=forecasts, places=everywhere, seconds=None))
        models += map(_result_of, slow)
    return Results(models=tuple(models), answered=answered, holidays=choice.chosen)


def _by_selection(
    plan: Plan, advance: Callable[[], Any]
) -> tuple[Result, dict[str, Floats], dict[str, int], HolidayChoice]:
    shape = plan.origins.shape[0], plan.horizon
    forecasts = BacktestForecasts(
        value=np.full(shape, np.nan), lower=np.full(shape, np.nan), upper=np.full(shape, np.nan)
    )
    members = {name: np.full(shape, np.nan) for name in (*MEMBERS, *WITH_INPUTS)}
    answered: dict[str, int] = {}
    choice = HolidayChoice(plan.holidays)
    began = time.perf_counter()
    answers = replayed(
        plan.series,
        origins=plan.origins,
        horizon=plan.horizon,
        choose=choice,
        bounds=plan.bounds,
        inputs=plan.inputs,
    )
    for place, answer in enumerate(answers):
        forecasts.value[place], forecasts.lower[place], forecasts.upper[place] = (
            answer.value,
            answer.lower,
            answer.upper,
        )
        for name, value in answer.members.items():
            members[name][place] = value
        answered[answer.model] = answered.get(answer.model, 0) + 1
        advance()
    seconds = time.perf_counter() - began
    everywhere = np.arange(len(plan.origins))
    return Result(name=SELECTED, forecasts=forecasts, places=everywhere, seconds=seconds), members, answered, choice


def _by_slow(plan: Plan, name: str) -> Result:
    places = plan.sparse_places
    shape = len(places), plan.horizon
    forecasts = BacktestForecasts(
        value=np.full(shape, np.nan), lower=np.full(shape, np.nan), upper=np.full(shape, np.nan)
    )
    choice = HolidayChoice(plan.holidays)
    began = time.perf_counter()
    for row, place in enumerate(places.tolist()):
        known = plan.series.until(int(plan.origins[place]))
        try:
            answer = _slow_answer(plan, name, known, choice(known))
        except (ValueError, RuntimeError):
            continue  # it says nothing there, and its number of hours shows it
        forecasts.value[row], forecasts.lower[row], forecasts.upper[row] = answer.value, answer.lower, answer.upper
    return Result(name=name, forecasts=forecasts, places=places, seconds=time.perf_counter() - began)


def _slow_answer(plan: Plan, name: str, known: HourlySeries, calendar: Calendar) -> Answer:
    if name == PROPHET:
        return forecast_by_prophet(known, horizon=plan.horizon, calendar=calendar, bounds=plan.bounds)
    [candidate] = candidates_of([name], asked_by="--models")
    return forecast_by(candidate, known, horizon=plan.horizon, calendar=calendar, bounds=plan.bounds)


def _result_of(slow: "Future[Result]") -> Result:
    try:
        return slow.result()
    except Exception as error:
        raise FailureError(f"the process of slow models ended by itself ({error}); choose with --models") from error
