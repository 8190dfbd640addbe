"""The features that models see, live and in training alike."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from core.assess import assess
from core.batch import ReadingBatch
from core.features import anomaly_feature_names, extract, feature_fingerprint, maintenance_feature_names
from core.models import Features, Models
from core.plant import Plant
from core.state import FleetState
from tests.builders import a_batch, a_plant, a_sensor, normal_rows, the_usual_sensors
from tests.core.streams import PLANT, streams


def test_anomaly_features_are_named_kind_by_kind_without_the_running_hours() -> None:
    assert anomaly_feature_names(a_plant()) == tuple(
        f"{sensor}.{kind}"
        for kind in ("z", "fast_average", "slow_average", "deviation")
        for sensor in ("power", "temperature", "vibration")
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
    np.testing.assert_array_equal(shown, frame.anomaly[frame.running])
    complete = np.isfinite(frame.maintenance).all(axis=1)
    shown = np.concatenate(maintenance.rows) if maintenance.rows else frame.maintenance[:0]
    np.testing.assert_array_equal(shown, frame.maintenance[complete])


def learned(plant: Plant, *values: float) -> Features:
    """The anomaly features of readings with these temperatures, after a warm-up."""
    rows = normal_rows(40)
    for number, value in enumerate(values):
        rows += normal_rows(1, first=2400.0 + 60 * number, temperature=value)
    return extract(a_batch(*rows, plant=plant), plant=plant).anomaly[40:]


def test_values_are_standardised_by_the_machine_s_own_baseline() -> None:
    plant = a_plant(detection={"fast_smoothing": 0.5, "slow_smoothing": 0.1})
    temperatures = np.array([row.values["temperature"] for row in normal_rows(40)], dtype=np.float64)
    column = anomaly_feature_names(plant).index("temperature.z")
    features = learned(plant, 64.0)
    assert features[0, column] == pytest.approx((64 - temperatures.mean()) / temperatures.std(), rel=1e-4)


def test_far_values_are_clipped_and_averages_follow_them_slowly() -> None:
    plant = a_plant(detection={"fast_smoothing": 0.5, "slow_smoothing": 0.1})
    names = anomaly_feature_names(plant)
    features = learned(plant, *([900.0] * 30))
    assert features[:, names.index("temperature.z")].tolist() == [20.0] * 30
    for kind in ("fast_average", "slow_average"):
        average = features[:, names.index(f"temperature.{kind}")]
        assert (np.diff(average) >= 0).all()
        assert average[0] < average[3] < average[9]
        assert average[-1] == pytest.approx(5, abs=0.3)  # a value counts for five deviations at most


def test_a_missing_value_leaves_the_averages_where_they_were() -> None:
    plant = a_plant()
    names = anomaly_feature_names(plant)
    batch = a_batch(*normal_rows(42), *normal_rows(3, first=2520.0, temperature=None), plant=plant)
    features = extract(batch, plant=plant).anomaly[41:]
    assert features[1:, names.index("temperature.z")].tolist() == [0.0] * 3
    for kind in ("fast_average", "slow_average", "deviation"):
        assert np.ptp(features[:, names.index(f"temperature.{kind}")]) == 0


def test_machines_without_a_word_from_one_sensor_have_no_maintenance_features_yet() -> None:
    plant = a_plant(sensors=[*the_usual_sensors(), a_sensor("pressure")])
    frame = extract(a_batch(*normal_rows(50), plant=plant), plant=plant)
    assert np.isnan(frame.maintenance).any(axis=1).all()
