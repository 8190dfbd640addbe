"""Jumps of a sensor to another unit: a sensor fault, and nothing that follows uses such values."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.assess import assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from tests.builders import START, a_plant, a_sensor
from tests.core.streams import PublishedOutputs, run_batches
from tests.core.timelines import QUICK

CALM = 200
SENSORS = (
    a_sensor("power", unit="kW", minimum=-1e6, maximum=1e6, role="power"),
    a_sensor("temperature", unit="°C", minimum=-1e6, maximum=1e6),
    a_sensor("outlet", unit="°F", minimum=-1e6, maximum=1e6),
)
LEVELS = np.array([40.0, 60.0, 140.0])


def a_metered_plant(**changes: Any) -> Plant:
    return a_plant(
        sensors=SENSORS,
        types=[],
        detection={"warm_up_readings": 100, "detector": "distance"},
        alerts=QUICK | {"update_seconds": 3600.0},
        **changes,
    )


def readings(length: int = CALM + 60, *, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(LEVELS, [1.0, 0.5, 0.9], (length, len(LEVELS)))


def a_recording(values: np.ndarray[Any, np.dtype[np.float64]]) -> ReadingBatch:
    stamps = START + 60.0 * np.arange(len(values))
    return ReadingBatch.from_columns(["pump-01"] * len(values), stamps, values, np.arange(len(values)))


def published(values: np.ndarray[Any, np.dtype[np.float64]], plant: Plant | None = None) -> PublishedOutputs:
    plant = a_metered_plant() if plant is None else plant
    outputs, _ = run_batches([a_recording(values)], plant=plant, models=Models())
    return outputs


def fahrenheit(celsius: Any) -> Any:
    return celsius * 1.8 + 32


def celsius(fahrenheit: Any) -> Any:
    return (fahrenheit - 32) / 1.8


JUMPS = [
    pytest.param(0, lambda value: value * 1000, "about 1000 times its usual values", id="kW-to-W"),
    pytest.param(1, lambda value: value / 1000, "about a thousandth of its usual values", id="a-thousandth"),
    pytest.param(1, fahrenheit, "its usual values in °F instead of °C", id="to-fahrenheit"),
    pytest.param(2, celsius, "its usual values in °C instead of °F", id="to-celsius"),
]


@pytest.mark.parametrize(("sensor", "convert", "words"), JUMPS)
def test_a_jump_of_unit_is_a_sensor_fault_until_it_is_back(sensor: int, convert: Any, words: str) -> None:
    values = readings()
    values[CALM : CALM + 40, sensor] = convert(values[CALM : CALM + 40, sensor])
    alerts = published(values).alerts
    assert {alert.kind for alert in alerts} == {"sensor_fault"}
    assert words in alerts[0].summary
    assert alerts[0].opened_at.timestamp() <= START + 60.0 * (CALM + 2)
    assert [alert.state for alert in alerts if alert.state != "updated"] == ["opened", "resolved"]


@pytest.mark.parametrize(("sensor", "convert", "words"), JUMPS)
def test_scores_and_energy_are_those_of_a_missing_value(sensor: int, convert: Any, words: str) -> None:
    wrong, missing = readings(), readings()
    wrong[CALM : CALM + 40, sensor] = convert(wrong[CALM : CALM + 40, sensor])
    missing[CALM : CALM + 40, sensor] = np.nan
    plant = a_metered_plant()
    with_wrong, with_missing = (
        assess(a_recording(values), state=FleetState(plant), models=Models(), plant=plant)
        for values in (wrong, missing)
    )
    np.testing.assert_array_equal(with_wrong.scores.anomaly, with_missing.scores.anomaly)
    assert with_wrong.energy_windows == with_missing.energy_windows
    assert words  # of the alert, see above


def test_what_is_derived_from_it_is_missing_too() -> None:
    sensors = (*SENSORS, a_sensor("heat", unit="kW", minimum=-1e9, maximum=1e9, formula="power * temperature"))
    plant = a_metered_plant().model_copy(update={"sensors": sensors})
    values = np.column_stack([readings(), np.full(CALM + 60, np.nan)])
    values[CALM:, 0] *= 1000
    [opened, *_] = published(values, plant).alerts
    assert (opened.kind, [signal.sensor for signal in opened.signals]) == ("sensor_fault", ["power"])


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5, 2.0, 10.0, 100.0])
@pytest.mark.parametrize("sensor", [0, 1, 2])
def test_a_sudden_fault_is_an_anomaly_and_no_unit(sensor: int, factor: float) -> None:
    values = readings()
    values[CALM:, sensor] *= factor
    kinds = {alert.kind for alert in published(values).alerts}
    assert "anomaly" in kinds
    assert "sensor_fault" not in kinds


def test_a_slow_rise_to_the_same_number_is_an_anomaly() -> None:
    values = readings()
    values[CALM:, 1] += np.linspace(0, fahrenheit(60.0) - 60.0, 60)
    assert {alert.kind for alert in published(values).alerts} == {"anomaly"}


def test_a_new_machine_is_not_judged() -> None:
    values = readings(60)
    values[30:, 0] *= 1000
    assert "sensor_fault" not in {alert.kind for alert in published(values).alerts}


@given(step=st.sampled_from((0.5, 1.0)), hold=st.integers(1, 6), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_a_rounded_or_slow_sensor_that_repeats_its_value_honestly_raises_nothing(
    step: float, hold: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = readings(300, seed=seed)
    slow = np.repeat(60 + random.normal(0, 3.0, 300 // hold + 1), hold)[:300]
    values[:, 1] = np.round(slow / step) * step
    sensors = tuple(sensor.model_copy(update={"stuck_after_readings": 12}) for sensor in SENSORS)
    plant = a_metered_plant().model_copy(update={"sensors": sensors})
    assert not [alert for alert in published(values, plant).alerts if alert.kind == "sensor_fault"]
