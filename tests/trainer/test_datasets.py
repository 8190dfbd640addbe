from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.plant import Plant, parse_plant
from runtime.errors import UsageError
from runtime.plants import shipped_plants
from tests.trainer.splits import write_splits
from trainer.datasets import Datasets, Ratio


def few_rows(machines: tuple[str, ...] = ("press-01", "pump-01"), rows: int = 20) -> pd.DataFrame:
    moments = pd.date_range("2026-03-01", periods=rows, freq="5min", tz="UTC")
    frames = [
        pd.DataFrame(
            {
                "machine_id": machine,
                "timestamp": moments,
                **{name: np.arange(rows, dtype=float) for name in ("power", "temperature", "vibration")},
                "runtime": 5.0,
                "production": 100.0 + np.arange(rows),
                "anomaly": 0,
                "hours_to_failure": 50.0,
            }
        )
        for machine in machines
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_say_the_same_as_the_table_they_were_written_from(
    table: pd.DataFrame, plant: Plant, tmp_path: Path, suffix: str
) -> None:
    read = Datasets.read(write_splits(table, tmp_path, suffix=suffix), plant=plant)
    given = Datasets.of_frame(table, plant=plant, ratio=Ratio(0.7, 0.15, 0.15))
    assert read.batch.machine_ids == given.batch.machine_ids
    assert np.array_equal(read.batch.machine, given.batch.machine)
    assert np.array_equal(read.batch.timestamps, given.batch.timestamps)
    assert np.allclose(read.batch.values, given.batch.values, equal_nan=True)
    assert read.anomaly is not None
    assert given.anomaly is not None
    assert np.array_equal(read.anomaly, given.anomaly)
    assert read.hours_to_failure is not None
    assert given.hours_to_failure is not None
    assert np.array_equal(read.hours_to_failure, given.hours_to_failure)
    assert np.abs(np.mean(read.split != given.split)) < 0.001, "a row on the very boundary may fall to either side"


def test_rows_are_ordered_by_machine_and_time_whatever_order_they_came_in(plant: Plant) -> None:
    shuffled = few_rows().sample(frac=1, random_state=1)
    data = Datasets.of_frame(shuffled, plant=plant)
    assert np.all(np.diff(data.batch.machine) >= 0)
    assert np.all(np.diff(data.batch.timestamps)[np.diff(data.batch.machine) == 0] > 0)


def test_the_split_is_in_time_and_at_the_same_moment_for_all_machines(plant: Plant) -> None:
    data = Datasets.of_frame(few_rows(rows=101), plant=plant)
    for machine in (0, 1):
        split = data.split[data.batch.machine == machine]
        assert split.tolist() == [0] * 81 + [1] * 10 + [2] * 10


def test_a_row_that_is_there_twice_counts_once(plant: Plant) -> None:
    frame = few_rows()
    data = Datasets.of_frame(pd.concat([frame, frame.iloc[:3]]), plant=plant)
    assert len(data.batch) == len(frame)
    assert data.duplicates == 3


def test_an_empty_hours_to_failure_means_that_none_is_known(plant: Plant) -> None:
    frame = few_rows()
    frame.loc[0, "hours_to_failure"] = np.nan
    data = Datasets.of_frame(frame, plant=plant)
    assert data.hours_to_failure is not None
    assert np.isinf(data.hours_to_failure[0])
    assert data.hours_to_failure[1] == 50


def test_truth_that_is_not_in_the_data_is_none(plant: Plant) -> None:
    data = Datasets.of_frame(few_rows().drop(columns=["anomaly", "hours_to_failure"]), plant=plant)
    assert data.anomaly is None
    assert data.hours_to_failure is None


def test_times_without_a_zone_are_read_in_the_plants(tmp_path: Path) -> None:
    text = shipped_plants()["default"].read_text().replace("[csv]", '[csv]\ntimezone = "Europe/Berlin"')
    frame = few_rows()
    naive = frame.assign(timestamp=frame["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
    write_splits(frame, tmp_path)
    naive.to_csv(tmp_path / "train_data.csv", index=False)
    data = Datasets.read(tmp_path, plant=parse_plant(text, source="test"))
    assert data.batch.timestamps[0] == pd.Timestamp("2026-02-28T23:00Z").timestamp()


@pytest.mark.parametrize(
    ("spoil", "note"),
    [
        (lambda f: f.assign(vibration=2.5), "sensor vibration is 2.5 in all training rows"),
        (lambda f: f.assign(vibration=np.nan), "sensor vibration is missing in 100.0% of the training rows"),
        (lambda f: f.assign(vibration=f["vibration"].where(f.index % 200 == 0)), "is missing in 99.5% of"),
    ],
)
def test_a_sensor_that_teaches_nothing_is_noted(
    plant: Plant, spoil: Callable[[pd.DataFrame], pd.DataFrame], note: str
) -> None:
    data = Datasets.of_frame(spoil(few_rows(rows=2000)), plant=plant)
    assert any(note in said for said in data.notes)


def test_a_few_rows_that_cannot_be_used_are_set_aside_and_named(plant: Plant, tmp_path: Path) -> None:
    write_splits(few_rows(rows=100), tmp_path)
    path = tmp_path / "train_data.csv"
    whole = Datasets.read(tmp_path, plant=plant)
    broken("power", "hot")(pd.read_csv(path)).to_csv(path, index=False)
    data = Datasets.read(tmp_path, plant=plant)

    assert len(data.batch) == len(whole.batch) - 1
    assert "1 rows set aside: line 5 (power: 'hot' is no finite number)" in data.notes[0]


def test_ids_are_text_whatever_they_look_like(plant: Plant, tmp_path: Path) -> None:
    for name, ids in (("train", ["007", "1e5"]), ("val", ["007", "A12"]), ("test", ["true", "NA"])):
        frame = few_rows(tuple(ids))
        frame.to_csv(tmp_path / f"{name}_data.csv", index=False)
    assert set(Datasets.read(tmp_path, plant=plant).batch.machine_ids) == {"007", "1e5", "A12", "true", "NA"}


def broken(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        cells = frame[column].astype(object)
        cells.iloc[3] = value
        return frame.assign(**{column: cells})

    return spoil


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda f: f.drop(columns="power"), "has no column power; it has machine_id, timestamp, temperature"),
        (lambda f: f.iloc[:0], "it has no rows"),
        (lambda f: broken("power", "hot")(f.iloc[:90]), "line 5, power: 'hot' is no finite number; correct it"),
        (broken("machine_id", None), "line 5: the machine id '' has 0 characters, not 1 to 128"),
        (lambda f: broken("timestamp", None)(f.iloc[:90]), "line 5: '' is no time"),
        (lambda f: broken("timestamp", "yesterday")(f.iloc[:90]), "line 5: 'yesterday' is no time.*; write it as"),
        (broken("anomaly", 7), "anomaly must be 0 or 1"),
        (broken("anomaly", None), "anomaly must be 0 or 1"),
    ],
)
def test_what_cannot_be_used_is_named_with_file_and_remedy(
    plant: Plant, tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], complaint: str
) -> None:
    write_splits(few_rows(rows=100), tmp_path)
    path = tmp_path / "val_data.csv"
    spoil(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(UsageError, match=complaint) as raised:
        Datasets.read(tmp_path, plant=plant)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\xff" * 100, b"\n\n\n"])
@pytest.mark.parametrize("name", ["train_data.csv", "train_data.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_one_clear_line(
    plant: Plant, tmp_path: Path, name: str, content: bytes
) -> None:
    write_splits(few_rows(rows=100), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=name) as raised:
        Datasets.read(tmp_path, plant=plant)
    assert "\n" not in str(raised.value)


def test_a_missing_file_or_folder_names_the_command_that_makes_it(plant: Plant, tmp_path: Path) -> None:
    write_splits(few_rows(rows=100), tmp_path)
    (tmp_path / "test_data.csv").unlink()
    with pytest.raises(UsageError, match=r"has no test_data.csv or test_data.parquet; nexova data generate"):
        Datasets.read(tmp_path, plant=plant)
    with pytest.raises(UsageError, match="does not exist; nexova data generate"):
        Datasets.read(tmp_path / "nowhere", plant=plant)
