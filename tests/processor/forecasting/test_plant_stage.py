"""What the owner of partition 0 makes of all machines' hours and forecasts."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from core.arrays import WEEK
from core.forecasting.messages import forecast_message
from core.issued_forecast import IssuedForecast
from processor.forecasting.plant_stage import PlantStage
from processor.partitions import PartitionTable
from runtime.clock import Clock
from runtime.metrics import ProcessorMetrics
from runtime.settings import load_settings
from schemas.alerts import Alert
from schemas.forecasts import Forecast
from schemas.topics import ALERTS, ENERGY, FORECASTS
from tests.builders import a_plant, a_window

PLANT = a_plant(energy={"peak_limit": 25.0})
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
FIRST = int(BEGIN.timestamp()) // 3600
MACHINES = ("pump-01", "pump-02")


class Stage:
    """A plant stage that is told what it would read."""

    def __init__(self) -> None:
        self.partitions = PartitionTable(PLANT, history_hours=13 * WEEK)
        self.held = self.partitions.adopt(0, next_offset=0, next_import=0, at=0.0)
        self.now = 0.0
        self.metrics = ProcessorMetrics(CollectorRegistry())
        self.stage = PlantStage(
            plant=PLANT,
            settings=load_settings(_env_file=None),
            partitions=self.partitions,
            metrics=self.metrics,
            clock=Clock(wall=lambda: self.now, monotonic=lambda: self.now),
        )

    def hour(self, number: int, *machines: str, energy: float = 10.0) -> None:
        for machine_id in machines:
            start = BEGIN + timedelta(hours=number)
            self.stage._take(ENERGY, a_window(start, machine_id=machine_id, mean_power_kw=energy).encode())

    def forecast(self, number: int, *machines: str, value: float = 10.0, series: str | None = None) -> None:
        flat = np.full(72, value)
        course = IssuedForecast(origin=FIRST + number, value=flat, lower=flat - 1, upper=flat + 1, model="blend")
        for machine_id in machines:
            message = forecast_message(series or machine_id, course, plant=PLANT, track=(), trained=None)
            self.stage._take(FORECASTS, message.encode())

    def look(self, *, later: float = 2.0) -> Forecast | None:
        """The plant's newest forecast, once everything is read and nothing more was heard for a while."""
        self.stage.look(self.held)
        self.now += later
        self.stage._hours = self.stage._total.complete_hours()
        self.stage.look(self.held)
        outbox = self.held.series.states["plant:test"].outbox
        return Forecast.model_validate_json(outbox[0][2]) if outbox else None


def test_the_sum_is_issued_once_when_all_machines_have_spoken() -> None:
    stage = Stage()
    stage.hour(0, *MACHINES)
    stage.forecast(1, MACHINES[0])
    assert stage.look() is None
    stage.forecast(1, MACHINES[1])
    forecast = stage.look()
    assert forecast is not None
    assert (forecast.series_id, forecast.model, forecast.members) == ("plant:test", "sum", 2)
    assert {point.value for point in forecast.points} == {20.0}
    assert 1 < forecast.points[0].upper - 20 < 2
    list(stage.held.series.changed_records())
    assert [topic for topic, _, _ in stage.held.series.unsent()] == [FORECASTS]
    stage.look()
    assert stage.held.series.unsent() == []


def test_the_first_machine_that_is_heard_of_is_not_taken_for_the_plant() -> None:
    stage = Stage()
    stage.hour(0, MACHINES[0])
    stage.forecast(1, MACHINES[0])
    assert stage.look(later=1.9) is None
    stage.hour(0, MACHINES[1])
    assert stage.look() is None
    stage.forecast(1, MACHINES[1])
    forecast = stage.look(later=0.1)
    assert forecast is not None
    assert forecast.members == 2


def test_a_machine_that_does_not_speak_is_waited_for_and_then_left_behind() -> None:
    stage = Stage()
    stage.hour(0, *MACHINES)
    stage.forecast(1, MACHINES[0])
    assert stage.look() is None
    stage.now += 600 + 121
    forecast = stage.look()
    assert forecast is not None
    assert forecast.members == 1


def test_a_memory_that_cannot_be_read_is_learned_anew() -> None:
    stage = Stage()
    stage.hour(0, *MACHINES)
    stage.look()
    stage.held.series.remember("plant:test", b"of another kind")
    stage.forecast(1, *MACHINES)
    assert stage.look() is not None
    assert len(stage.held.series.states["plant:test"].memory) == 8


def test_the_plants_own_forecasts_are_no_members() -> None:
    stage = Stage()
    stage.hour(0, *MACHINES)
    stage.forecast(1, *MACHINES)
    stage.forecast(1, "x", value=500.0, series="plant:test")
    forecast = stage.look()
    assert forecast is not None
    assert forecast.points[0].value == 20


def test_hours_of_the_plant_are_kept_scored_and_waited_for_by_nobody() -> None:
    stage = Stage()
    stage.hour(0, *MACHINES)
    stage.forecast(1, *MACHINES)
    stage.look()
    stage.hour(1, *MACHINES, energy=11.0)
    stage.look()
    state = stage.held.series.states["plant:test"]
    assert state.history.values.tolist() == [20, 22]
    assert state.accuracy.scores(days=7)[0].points == 1
    assert not stage.held.series.waiting
    count = stage.metrics.registry.get_sample_value
    assert count("nexova_forecast_absolute_error_kwh_total", {"horizon": "day_1"}) == pytest.approx(2, abs=0.01)


def test_a_forecast_above_the_contracted_peak_is_one_alert_until_it_is_below() -> None:
    stage = Stage()
    said = []
    for number, value in enumerate((10.0, 13.0, 14.0, 10.0, 10.0), start=1):
        stage.hour(number - 1, *MACHINES)
        stage.forecast(number, *MACHINES, value=value)
        stage.look()
        outbox = stage.held.series.states["plant:test"].outbox
        alerts = [Alert.model_validate_json(text) for topic, _, text in outbox if topic == ALERTS]
        said += [(alert.state, alert.alert_id, stage.stage.open_breaches()) for alert in alerts]
    assert [(state, still_open) for state, _, still_open in said] == [("opened", 1), ("updated", 1), ("resolved", 0)]
    assert len({alert_id for _, alert_id, _ in said}) == 1
