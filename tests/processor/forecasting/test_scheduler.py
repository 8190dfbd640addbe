"""Which series is forecast when, and what is issued of a fit."""

from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from core.arrays import WEEK
from core.forecasting.accuracy import COLUMNS
from core.forecasting.engine import KnownInputs
from core.forecasting.fit import Fitted
from core.forecasting.hourly_history import MEASURED
from core.forecasting.input_table import InputHours
from processor.forecasting.scheduler import Forecasts
from processor.partitions import PartitionTable
from runtime.forecasting.settings import ForecastSettings
from runtime.metrics import ProcessorMetrics
from schemas.forecasts import Forecast
from tests.builders import PUMP, a_plant, a_sensor

FIRST = 490_032
POWER = a_sensor("power", unit="kW", minimum=0.0, maximum=400.0, role="power")
PLANT = a_plant(sensors=[POWER], energy={"tariff": {"price": 0.5}})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class InputsOf:
    """Inputs without any topic."""

    caught_up = True

    def __init__(self, hours: InputHours) -> None:
        self.hours = hours

    def of(self, machine_id: str, first_hour: int, end: int) -> KnownInputs | None:
        return self.hours.of(machine_id, first_hour, end)


class Desk:
    """Forecasts of one partition, without any process."""

    def __init__(self, **settings: Any) -> None:
        self.partitions = PartitionTable(PLANT, history_hours=13 * WEEK)
        self.held = self.partitions.adopt(0, next_offset=0, next_import=0, at=0.0)
        self.clock = Clock()
        self.inputs = InputsOf(InputHours(keep_hours=13 * WEEK))
        self.metrics = ProcessorMetrics(CollectorRegistry())
        self.forecasts = Forecasts(
            plant=PLANT,
            settings=ForecastSettings(**{"spread_seconds": 0.0, **settings}),
            partitions=self.partitions,
            metrics=self.metrics,
            clock=self.clock,
            inputs=self.inputs,
        )

    def measured(self, series_id: str, hours: int, *, energy: float = 10.0, first: int = FIRST) -> None:
        for hour in range(hours):
            self.held.series.record_measured(series_id, first + hour, energy, at=self.clock.now)

    def due(self) -> str | None:
        found = self.forecasts._next()
        return None if found is None else found[1]

    def issue(self, series_id: str, fitted: Fitted | None) -> Forecast:
        state = self.held.series.states[series_id]
        self.forecasts.issue(self.held, series_id, state, fitted)
        [(_, key, value)] = state.outbox
        assert key == series_id
        return Forecast.model_validate_json(value)

    def results(self) -> dict[str, float]:
        found = {}
        for result in ("champion", "median", "too_slow", "failed"):
            found[result] = self.metrics.registry.get_sample_value("nexova_forecasts_total", {"result": result}) or 0.0
        return {result: count for result, count in found.items() if count}


def a_fit(value: float = 12.0, *, model: str = "blend", median: float = 10.0) -> Fitted:
    flat = np.full(72, value)
    return Fitted(
        value=flat,
        lower=flat - 2,
        upper=flat + 2,
        model=model,
        wape=0.123456,
        coverage=0.8,
        compared={"ridge": 0.2, "unknown": float("nan")},
        memory=b"learned",
        median=np.full(72, median),
    )


def test_a_series_is_due_once_when_a_new_hour_is_there() -> None:
    desk = Desk()
    desk.measured(PUMP, 3)
    assert [desk.due(), desk.due()] == [PUMP, None]
    desk.issue(PUMP, a_fit())
    desk.measured(PUMP, 3)
    assert desk.due() is None
    desk.measured(PUMP, 1, first=FIRST + 3)
    assert desk.due() == PUMP


def test_series_wait_for_a_time_of_their_own_within_the_spread() -> None:
    desk = Desk(spread_seconds=600.0)
    names = [f"pump-{number}" for number in range(200)]
    waits = [desk.forecasts.stagger(name) for name in names]
    assert waits == [Desk(spread_seconds=600.0).forecasts.stagger(name) for name in names]
    assert 0 <= min(waits) < 60
    assert 540 < max(waits) < 600
    desk.measured(names[0], 1)
    desk.clock.now += waits[0] - 0.1
    assert desk.due() is None
    desk.clock.now += 0.2
    assert desk.due() == names[0]


def test_the_longest_waiting_goes_first() -> None:
    desk = Desk()
    desk.measured("b", 1)
    desk.clock.now += 5
    desk.measured("a", 1)
    assert [desk.due(), desk.due()] == ["b", "a"]


def test_forecasts_may_be_hours_apart_and_nothing_is_forecast_of_nothing() -> None:
    desk = Desk(every_hours=6)
    desk.measured("silent", 5, energy=float("nan"))
    desk.measured(PUMP, 3)
    assert [desk.due(), desk.due()] == [PUMP, None]
    desk.issue(PUMP, a_fit())
    desk.measured(PUMP, 5, first=FIRST + 3)
    assert desk.due() is None
    desk.measured(PUMP, 1, first=FIRST + 8)
    assert desk.due() == PUMP


def test_a_fit_is_issued_with_its_past_its_cost_and_the_hours_it_learned_from() -> None:
    desk = Desk()
    desk.measured(PUMP, 30)
    forecast = desk.issue(PUMP, a_fit())
    assert (forecast.model, forecast.replaces, len(forecast.points)) == ("blend", None, 72)
    assert forecast.issued_at.timestamp() == (FIRST + 30) * 3600 == forecast.points[0].timestamp.timestamp()
    assert forecast.backtest is not None
    assert (forecast.backtest.wape, forecast.backtest.compared) == (0.123456, {"ridge": 0.2})
    assert forecast.cost is not None
    assert (forecast.cost.value, forecast.cost.lower) == (pytest.approx(72 * 12 * 0.5), pytest.approx(72 * 10 * 0.5))
    assert forecast.trained_from is not None
    assert forecast.trained_from.timestamp() == FIRST * 3600
    assert desk.held.series.states[PUMP].memory == b"learned"
    assert desk.results() == {"champion": 1}


def test_without_a_fit_the_seasonal_median_answers() -> None:
    desk = Desk()
    for hour in range(3 * WEEK):
        desk.held.series.record_measured(PUMP, FIRST + hour, 10.0 + hour % 24, at=0.0)
    forecast = desk.issue(PUMP, None)
    assert forecast.model == "seasonal_median"
    assert [point.value for point in forecast.points] == [10.0 + step % 24 for step in range(72)]
    assert desk.held.series.states[PUMP].memory == b""


def test_a_champion_that_did_worse_is_replaced_says_so_and_goes_on_competing() -> None:
    desk = Desk()
    desk.measured(PUMP, 4 * WEEK)
    state = desk.held.series.states[PUMP]
    for day in range(4):
        desk.issue(PUMP, a_fit(14.0))
        desk.measured(PUMP, 24, first=FIRST + 4 * WEEK + 24 * day)
    forecast = desk.issue(PUMP, a_fit(14.0))
    assert (forecast.model, forecast.replaces) == ("seasonal_median", "blend")
    assert {point.value for point in forecast.points} == {10.0}
    # two days passed before the champion had shown enough to lose its place
    assert desk.results() == {"champion": 2, "median": 3}
    assert {one.horizon_day for one in forecast.track_record} == {1, 2, 3}
    assert forecast.track_record[0].points > 0
    # what the champion said is kept beside what was issued
    matured = desk.held.series.record_measured(PUMP, state.history.end, 14.0, at=0.0)
    assert matured is not None
    assert matured[0, COLUMNS.error] == pytest.approx(4, abs=0.01)
    assert matured[0, COLUMNS.champion_error] == pytest.approx(0, abs=0.01)


def test_a_new_machine_begins_with_the_usual_week_of_its_type() -> None:
    desk = Desk()
    for number in range(3):
        for hour in range(2 * WEEK):
            desk.held.series.record_measured(f"pump-old{number}", FIRST + hour, 10.0 * (number + 1), at=0.0)
    desk.held.series.record_measured("mixer-01", FIRST, 5.0, at=0.0)
    desk.measured("pump-new", 5)
    new = desk.forecasts.request(desk.held, "pump-new", desk.held.series.states["pump-new"])
    assert new.cold_start is not None
    assert new.cold_start.tolist() == [20.0] * 168
    assert new.bounds == (0.0, 400.0)
    for name in ("pump-old1", "mixer-01"):
        assert desk.forecasts.request(desk.held, name, desk.held.series.states[name]).cold_start is None
    assert desk.held.series.states["pump-new"].history.sources.tolist() == [MEASURED] * 5


def test_a_fit_is_asked_for_with_the_plan_of_its_machine() -> None:
    desk = Desk()
    desk.measured(PUMP, 30)
    state = desk.held.series.states[PUMP]
    assert desk.forecasts.request(desk.held, PUMP, state).inputs is None
    assert desk.inputs.hours.put(PUMP, "production", FIRST + 20, np.arange(100.0), now=FIRST + 30) is None
    inputs = desk.forecasts.request(desk.held, PUMP, state).inputs
    assert inputs is not None
    assert (inputs.names, inputs.first_hour) == (("production",), FIRST)
    assert inputs.values[0, 20:120].tolist() == list(range(100))
    assert np.isnan(inputs.values[0, :20]).all()
    assert inputs.values.shape[1] >= 30 + 72
