"""The features that models see, live and in training alike."""

import re

import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from core.arrays import Features
from core.assess import assess
from core.batch import ReadingBatch
from core.detection.features import anomaly_feature_names, extract, feature_fingerprint, maintenance_feature_names
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from tests.builders import a_batch, a_plant, a_reading, a_sensor, normal_rows, the_usual_sensors
from tests.core.streams import PLANT, streams


def test_anomaly_features_are_the_sensors_surprises_without_the_running_hours() -> None:
    assert anomaly_feature_names(a_plant()) == (
        *(f"{sensor}.surprise" for sensor in ("power", "temperature", "vibration")),
        "stillness",
        "silence",
    )


def test_maintenance_features_are_named_hours_by_hours_and_end_with_runtime_and_type() -> None:
    assert maintenance_feature_names(a_plant()) == (
        *(f"{sensor}.mean_6h" for sensor in ("power", "temperature", "vibration")),
        *(f"{sensor}.mean_72h" for sensor in ("power", "temperature", "vibration")),
        "runtime",
        "machine_type",
    )


def test_the_fingerprint_changes_with_what_models_see() -> None:
    plants = (
        a_plant(),
        a_plant(sensors=the_usual_sensors()[::-1]),
        a_plant(sensors=the_usual_sensors()[:3]),
        a_plant(sensors=[s.model_copy(update={"unit": "W"}) if s.role == "power" else s for s in the_usual_sensors()]),
    )
    prints = {feature_fingerprint(plant) for plant in plants}
    assert len(prints) == len(plants)
    assert all(re.fullmatch("[0-9a-f]{16}", value) for value in prints)


def test_the_fingerprint_is_indifferent_to_policies() -> None:
    calmer = a_plant(alerts={"readings_over": 5}, detection={"warm_up_readings": 99})
    assert feature_fingerprint(calmer) == feature_fingerprint(a_plant())


class Recorder:
    """A model that keeps the rows it was shown."""

    name = version = "recorder"

    def __init__(self) -> None:
        self.rows: list[Features] = []

    def score(self, features: Features) -> NDArray[np.float64]:
        self.rows.append(features.copy())
        return np.zeros(len(features))

    risk = score


@given(streams())
@settings(max_examples=25)
def test_a_history_gives_the_rows_that_models_are_shown_live(stream: ReadingBatch) -> None:
    anomaly, maintenance = Recorder(), Recorder()
    assess(stream, state=FleetState(PLANT), models=Models(anomaly=anomaly, maintenance=maintenance), plant=PLANT)
    frame = extract(stream, plant=PLANT)
    assert frame.anomaly.shape == (len(stream), len(anomaly_feature_names(PLANT)))
    assert frame.maintenance.shape == (len(stream), len(maintenance_feature_names(PLANT)))
    shown = np.concatenate(anomaly.rows) if anomaly.rows else frame.anomaly[:0]
    np.testing.assert_array_equal(shown, frame.anomaly[frame.scored])
    assert not (frame.running & ~frame.scored).any()
    complete = np.isfinite(frame.maintenance).all(axis=1)
    shown = np.concatenate(maintenance.rows) if maintenance.rows else frame.maintenance[:0]
    # in another order: the rows of a machine side by side
    np.testing.assert_array_equal(_sorted(shown), _sorted(frame.maintenance[complete]))


def _sorted(rows: Features) -> Features:
    return rows[np.lexsort(rows.T)]


def learned(plant: Plant, *values: float) -> Features:
    """The anomaly features of readings with these temperatures, after a warm-up."""
    rows = normal_rows(40)
    for number, value in enumerate(values):
        rows += normal_rows(1, first=2400.0 + 60 * number, temperature=value)
    return extract(a_batch(*rows, plant=plant), plant=plant).anomaly[40:]


TEMPERATURE = anomaly_feature_names(a_plant()).index("temperature.surprise")
STILLNESS, SILENCE = -2, -1


def test_a_value_far_from_baseline_and_recent_level_surprises_by_its_direction() -> None:
    usual = learned(a_plant(), 60.0)[0, TEMPERATURE]
    hot = learned(a_plant(), 90.0)[0, TEMPERATURE]
    cold = learned(a_plant(), 30.0)[0, TEMPERATURE]
    assert abs(usual) < 0.1
    assert 0.9 < hot <= 1
    assert -1 <= cold < -0.9


def test_what_lasts_for_hours_surprises_less_and_less_and_its_end_not_at_all() -> None:
    """60 … 60 | 90 for ten hours | 60 again, far from the recent level but not from the baseline."""
    surprise = learned(a_plant(), *([90.0] * 600), 60.0)[:, TEMPERATURE]
    assert (surprise[:60] > 0.9).all()
    assert surprise[599] < surprise[300] < surprise[60]
    assert abs(surprise[600]) < 0.1


def test_a_machine_that_warms_up_after_a_start_does_not_surprise() -> None:
    """Settling from minute 0 to 30, scored from then on: 11 degrees below the baseline and on its way there."""
    plant = a_plant(detection={"settle_seconds": 1800, "warm_up_readings": 200})
    rows = normal_rows(280)
    rows += [a_reading(at=16_800.0 + 60 * number, power=0.0, temperature=30.0) for number in range(60)]
    warming = 60.0 - 30.0 * np.exp(-np.arange(120) / 30.0)
    for number, value in enumerate(warming):
        rows += normal_rows(1, first=20_400.0 + 60 * number, temperature=value, seed=number)
    frame = extract(a_batch(*rows, plant=plant), plant=plant)
    assert frame.running[-90:].all()
    assert np.abs(frame.anomaly[-90:, TEMPERATURE]).max() < 0.3


def test_repeated_values_are_stillness_and_missing_ones_silence() -> None:
    plant = a_plant()
    stuck = learned(plant, *([61.3] * 4))
    np.testing.assert_allclose(stuck[:, STILLNESS], [0, 1 / 17, 1 / 2, 81 / 97], rtol=1e-6)
    batch = a_batch(*normal_rows(42), *normal_rows(3, first=2520.0, temperature=None), plant=plant)
    silent = extract(batch, plant=plant).anomaly[41:]
    np.testing.assert_allclose(silent[:, SILENCE], [0, 1 / 2, 4 / 5, 9 / 10], rtol=1e-6)
    assert silent[1:, TEMPERATURE].tolist() == [0.0] * 3


def test_sensors_that_take_turns_are_not_silent() -> None:
    plant = a_plant()
    rows = []
    for number in range(300):
        rows += normal_rows(1, first=60.0 * number, seed=number, **({"temperature": None} if number % 3 else {}))
    frame = extract(a_batch(*rows, plant=plant), plant=plant)
    assert frame.anomaly[frame.running][-100:, SILENCE].max() < 0.1


def test_machines_without_a_word_from_one_sensor_have_no_maintenance_features_yet() -> None:
    plant = a_plant(sensors=[*the_usual_sensors(), a_sensor("pressure")])
    frame = extract(a_batch(*normal_rows(50), plant=plant), plant=plant)
    assert np.isnan(frame.maintenance).any(axis=1).all()


def test_what_was_before_a_maintenance_is_no_longer_averaged() -> None:
    """Vibrates at 9 for a week of hours, is repaired (running hours begin anew), and is as good as new."""
    plant = a_plant()
    rows = [*normal_rows(60), *normal_rows(2000, first=3600.0, vibration=9.0)]
    rows += normal_rows(5, first=123_600.0, runtime=0.0)
    column = maintenance_feature_names(plant).index("vibration.mean_72h")
    means = extract(a_batch(*rows, plant=plant), plant=plant).maintenance[:, column]
    assert means[2059] > 5
    assert means[2060] < 4
