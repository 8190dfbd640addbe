"""Labelled data: reproducible, in the published shape, with a truth that fits the readings."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.faults import FAULT_KINDS
from producer.generator import IndustrialDataGenerator, interval_of
from runtime.errors import UsageError
from tests.producer.plants import default_plant

COLUMNS = [
    "machine_id",
    "timestamp",
    "power",
    "temperature",
    "vibration",
    "runtime",
    "production",
    "anomaly",
    "anomaly_kind",
    "hours_to_failure",
    "condition",
]


def generated(**arguments: object) -> pd.DataFrame:
    seed = int(arguments.pop("seed", 42))  # type: ignore[call-overload]
    return IndustrialDataGenerator(seed=seed, plant=default_plant()).generate_energy_timeseries(**arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return generated(days=60, machines=6)


def test_the_table_has_the_published_columns_in_order_of_time(data: pd.DataFrame) -> None:
    assert list(data.columns) == COLUMNS
    assert len(data) == 60 * 288 * 6
    assert data["timestamp"].is_monotonic_increasing
    assert str(data["timestamp"].dt.tz) == "UTC"
    assert data.groupby("timestamp")["machine_id"].nunique().eq(6).all()


@settings(max_examples=5)
@given(seed=st.integers(0, 2**63))
def test_the_same_seed_makes_the_same_bytes(seed: int) -> None:
    first, second = (generated(seed=seed, days=2, machines=3).to_csv() for _ in range(2))
    assert first == second
    assert first != generated(seed=seed + 1, days=2, machines=3).to_csv()


def test_a_longer_history_begins_with_the_shorter_one() -> None:
    short, long = generated(days=2, machines=3), generated(days=5, machines=3)
    pd.testing.assert_frame_equal(long.iloc[: len(short)], short)


def test_five_in_a_hundred_readings_are_anomalous_of_every_kind(data: pd.DataFrame) -> None:
    assert 0.04 < data["anomaly"].mean() < 0.06
    kinds = data.loc[data["anomaly"] == 1, "anomaly_kind"].value_counts(normalize=True)
    assert set(kinds.index) == set(FAULT_KINDS)
    assert kinds.min() > 0.03
    assert (data.loc[data["anomaly"] == 0, "anomaly_kind"] == "none").all()
    assert (data.loc[data["anomaly"] == 1, "condition"] == "running").all()


def test_the_episodes_of_the_truth_are_the_labels_of_the_readings() -> None:
    generator = IndustrialDataGenerator(seed=7, plant=default_plant())
    assert generator.injected_faults() == ()
    data = generator.generate_energy_timeseries(days=20, machines=4)
    expected = pd.Series("none", index=data.index)
    seconds = data["timestamp"].astype("int64") / 1e3
    for fault in generator.injected_faults():
        inside = (data["machine_id"] == fault.machine_id) & (seconds >= fault.start) & (seconds < fault.end)
        assert inside.sum() >= 2
        assert (expected[inside] == "none").all()  # never two at once
        expected[inside] = fault.kind
    assert (expected == data["anomaly_kind"]).all()


def test_without_anomalies_the_rest_stays_as_it_is() -> None:
    spoilt, clean = generated(days=10, machines=3), generated(days=10, machines=3, include_anomalies=False)
    assert clean["anomaly"].sum() == 0
    assert not clean.isna().any().any()
    normal = spoilt["anomaly"] == 0
    pd.testing.assert_frame_equal(spoilt[normal], clean[normal], check_dtype=False)


def test_each_kind_of_fault_does_what_its_name_says() -> None:
    generator = IndustrialDataGenerator(seed=3, plant=default_plant())
    spoilt = generator.generate_energy_timeseries(days=40, machines=4)
    clean = generator.generate_energy_timeseries(days=40, machines=4, include_anomalies=False)
    off = spoilt.set_index(["machine_id", "timestamp"])[["power", "temperature", "vibration", "production"]]
    off -= clean.set_index(["machine_id", "timestamp"])[off.columns]
    kind = spoilt["anomaly_kind"].to_numpy()
    change = {name: off[kind == name] for name in FAULT_KINDS}
    assert (change["overheat"]["temperature"] > 9).all()
    assert (change["dip"]["power"] < -8).all()
    assert (change["dip"]["production"] < -40).all()
    assert (change["imbalance"]["vibration"] > 2).all()
    assert change["dropout"].isna().any(axis=1).all()
    for name in ("spike", "drift"):
        larger = (change[name] / [5.0, 5.0, 0.8, 1e9]).max(axis=1)
        assert (larger > 1).all()
    untouched = [column for column in off.columns if column != "temperature"]
    assert (change["overheat"][untouched] == 0).all().all()


def test_a_stuck_sensor_repeats_itself_until_it_is_mended() -> None:
    generator = IndustrialDataGenerator(seed=5, plant=default_plant())
    data = generator.generate_energy_timeseries(days=40, machines=3).set_index("timestamp")
    stuck = [fault for fault in generator.injected_faults() if fault.kind == "stuck"]
    assert len(stuck) > 5
    for fault in stuck:
        during = data[data["machine_id"] == fault.machine_id].loc[
            datetime.fromtimestamp(fault.start, UTC) : datetime.fromtimestamp(fault.end - 1, UTC)
        ]
        assert np.ptp(during[fault.sensors[0]].to_numpy()) == 0
        assert len(during) >= 12


def test_values_stay_within_the_physical_ranges_of_the_plant_file(data: pd.DataFrame) -> None:
    for sensor in default_plant().sensors:
        assert data[sensor.name].min() >= sensor.minimum
        assert data[sensor.name].max() <= sensor.maximum


def test_risk_cannot_be_read_off_a_single_reading_but_off_slow_averages(data: pd.DataFrame) -> None:
    healthy, worn = [], []
    for _, machine in data[data["condition"] == "running"].groupby("machine_id"):
        slow = machine["vibration"].where(machine["anomaly"] == 0).ewm(halflife=72, ignore_na=True).mean()
        level = slow / slow[machine["hours_to_failure"] > 400].mean()
        healthy.append(level[machine["hours_to_failure"].between(300, 400)])
        worn.append(level[machine["hours_to_failure"].between(24, 72)])
    assert pd.concat(healthy).quantile(0.95) < pd.concat(worn).quantile(0.05)
    # single readings of power, which wear also drives, overlap
    running = data[(data["condition"] == "running") & (data["machine_id"] == "pump-01")]
    assert running.loc[running["hours_to_failure"] > 300, "power"].quantile(0.9) > (
        running.loc[running["hours_to_failure"] < 72, "power"].quantile(0.1)
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"days": 0}, "days = 0: must be at least 1"),
        ({"machines": 0}, "machines = 0: must be at least 1"),
        ({"machines": ["a", "a"]}, "must be distinct ids"),
        ({"frequency": "soon"}, "'soon': is not a fixed time"),
        ({"frequency": "1ME"}, "is not a fixed time"),
        ({"frequency": "1ms"}, 'must lie between "1s" and "1h"'),
        ({"start": datetime(2025, 1, 1)}, "has no time zone"),  # noqa: DTZ001  that is the mistake
        ({"days": 10_000, "frequency": "1s"}, "more than 50,000,000"),
    ],
)
def test_an_argument_that_breaks_its_rule_is_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        generated(**arguments)
    assert words in str(caught.value)


def test_frequencies_are_fixed_times() -> None:
    assert [interval_of(text) for text in ("5min", "30s", "1h", "90s")] == [300.0, 30.0, 3600.0, 90.0]


def test_machines_may_be_named() -> None:
    data = generated(days=1, machines=["pump-77", "somebody"])
    assert data["machine_id"].unique().tolist() == ["pump-77", "somebody"]
    assert np.isfinite(data["power"]).all()
