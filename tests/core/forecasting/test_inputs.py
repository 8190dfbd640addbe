"""Known-future inputs: they help where they say something, and change nothing where there are none."""

from dataclasses import replace

import numpy as np
import pytest

from core.arrays import DAY
from core.forecasting.engine import Calendar, HourlySeries, KnownInputs, Memory, forecast_next
from core.forecasting.engine.backtest import daily_origins, replayed
from core.forecasting.engine.members import Pasts
from core.forecasting.names import MEMBERS, WITH_INPUTS
from tests.core.forecasting.courses import a_series, a_week_of
from tests.core.forecasting.plants import a_planned_plant

HORIZON = 72


def wape(series: HourlySeries, inputs: KnownInputs | None, *, count: int = 20) -> float:
    origins = daily_origins(series, horizon=HORIZON, count=count, step=DAY)
    bounds = (0.0, np.inf)
    answers = replayed(
        series, origins=origins, horizon=HORIZON, choose=lambda _: Calendar(), bounds=bounds, inputs=inputs
    )
    value = np.stack([answer.value for answer in answers])
    actual = series.at(origins[:, None] + np.arange(HORIZON))
    return float(np.abs(value - actual).sum() / actual.sum())


def test_a_given_plan_takes_at_least_a_fifth_off_the_error() -> None:
    series, plan = a_planned_plant()
    assert wape(series, plan) < 0.8 * wape(series, None)


def test_an_input_that_says_nothing_does_no_harm() -> None:
    series, plan = a_planned_plant()
    noise = np.random.default_rng(3).normal(0, 1, plan.values.shape)
    assert wape(series, replace(plan, values=noise)) < 1.03 * wape(series, None)


def test_without_inputs_nothing_changes() -> None:
    series, plan = a_planned_plant(days=70)
    nothing = replace(plan, values=np.full_like(plan.values, np.nan))
    found = [
        forecast_next(series, horizon=HORIZON, calendar=Calendar(), memory=None, inputs=one) for one in (None, nothing)
    ]
    np.testing.assert_array_equal(found[0][0].value, found[1][0].value)
    assert found[0][1].pack() == found[1][1].pack()
    assert tuple(found[0][0].members) == MEMBERS


def test_hours_without_a_plan_are_taken_for_usual_ones() -> None:
    series, plan = a_planned_plant(days=90)
    past = replace(plan, values=plan.values[:, : series.end - plan.first_hour])
    usual, _ = forecast_next(series, horizon=HORIZON, calendar=Calendar(), memory=None, inputs=past)
    assert np.isfinite(usual.value).all()
    assert set(usual.members) == {*MEMBERS, *WITH_INPUTS}


def test_an_idle_day_in_the_plan_is_forecast_as_one() -> None:
    series, plan = a_planned_plant()
    known = series.until(series.end - HORIZON)
    begin = known.end - plan.first_hour
    values = plan.values.copy()
    values[:, begin : begin + HORIZON] = 0.0
    idle, _ = forecast_next(
        known, horizon=HORIZON, calendar=Calendar(), memory=None, inputs=replace(plan, values=values)
    )
    assert np.median(idle.value) == pytest.approx(20, abs=12)


def test_a_memory_of_other_inputs_is_learned_anew() -> None:
    series, plan = a_planned_plant(days=80)
    two = KnownInputs(names=("a", "b"), first_hour=plan.first_hour, values=np.vstack([plan.values, plan.values]))
    memory: Memory | None = None
    for inputs in (None, plan, two, None):
        answer, memory = forecast_next(series, horizon=24, calendar=Calendar(), memory=memory, inputs=inputs)
        again = Memory.unpack(memory.pack())
        assert again is not None
        fresh, _ = forecast_next(series, horizon=24, calendar=Calendar(), memory=None, inputs=inputs)
        np.testing.assert_array_equal(answer.value, fresh.value)


def test_the_width_of_the_inputs_is_what_a_fit_sees() -> None:
    series, plan = a_planned_plant(days=30)
    for inputs in (None, plan):
        past = Pasts.of(series, Calendar(), inputs).plain
        assert past.outlook(np.array([series.end]), DAY).inputs.shape[2] == past.width
    assert Pasts.of(a_series(a_week_of(20)), Calendar()).members == MEMBERS
