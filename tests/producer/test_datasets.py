"""Files for training: split by time, whole or not there at all."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from producer.datasets import SplitSummary, parse_ratio, write_dataset
from runtime.errors import UsageError
from tests.producer.plants import default_plant

FILES = {"train_data.csv", "val_data.csv", "test_data.csv", "anomaly_binary.csv", "dataset.json"}


def written(out: Path, **arguments: object) -> tuple[SplitSummary, ...]:
    small = {"days": 10, "machines": 3, "plant": default_plant()} | arguments
    return write_dataset(out, **small)  # type: ignore[arg-type]


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, parse_dates=["timestamp"])


def test_the_parts_follow_each_other_in_time_in_the_given_ratio(tmp_path: Path) -> None:
    summaries = written(tmp_path / "data")
    parts = [read(tmp_path / "data" / name) for name in ("train_data.csv", "val_data.csv", "test_data.csv")]
    assert [len(part) for part in parts] == [8 * 288 * 3, 288 * 3, 288 * 3]
    assert [summary.rows for summary in summaries[:3]] == [len(part) for part in parts]
    for earlier, later in pairwise(parts):
        assert earlier["timestamp"].max() < later["timestamp"].min()
    assert {path.name for path in (tmp_path / "data").iterdir()} == FILES


def test_the_balanced_file_takes_from_training_only_and_holds_as_many_of_each(tmp_path: Path) -> None:
    written(tmp_path / "data")
    train, balanced = read(tmp_path / "data/train_data.csv"), read(tmp_path / "data/anomaly_binary.csv")
    assert balanced["anomaly"].mean() == 0.5
    assert balanced["anomaly"].sum() == train["anomaly"].sum()
    assert (balanced["condition"] == "running").all()
    keys = ["machine_id", "timestamp"]
    assert len(balanced.merge(train, on=keys)) == len(balanced)
    assert balanced["timestamp"].is_monotonic_increasing


def test_the_same_arguments_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        written(tmp_path / name)
    for file in FILES:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    written(tmp_path / "csv")
    written(tmp_path / "parquet", file_format="parquet")
    table = pd.read_parquet(tmp_path / "parquet/test_data.parquet")
    pd.testing.assert_frame_equal(table, read(tmp_path / "csv/test_data.csv"), check_dtype=False)
    assert str(table["timestamp"].dt.tz) == "UTC"


def test_a_csv_reads_as_the_canonical_form(tmp_path: Path) -> None:
    written(tmp_path / "data")
    lines = (tmp_path / "data/train_data.csv").read_text().splitlines()
    assert lines[0].startswith("machine_id,timestamp,power,temperature,vibration,runtime,production,anomaly,")
    assert lines[1].startswith("press-01,2025-01-06T00:00:00Z,")
    dropped = next(line for line in lines if ",dropout," in line)
    assert ",," in dropped


def test_the_folder_says_how_it_was_made(tmp_path: Path) -> None:
    written(tmp_path / "data", seed=9)
    description = json.loads((tmp_path / "data/dataset.json").read_text())
    assert description["seed"] == 9
    assert description["plant_fingerprint"] == default_plant().fingerprint
    assert description["files"][0]["file"] == "train_data.csv"


def test_nothing_is_left_behind_when_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few for three parts"):
        written(tmp_path / "data", days=1, frequency="1h", ratio="98/1/1")
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_is_replaced_only_when_asked_for_and_other_files_never(tmp_path: Path) -> None:
    out = tmp_path / "data"
    written(out)
    before = (out / "train_data.csv").read_bytes()
    with pytest.raises(UsageError, match="--overwrite"):
        written(out, seed=2)
    assert (out / "train_data.csv").read_bytes() == before
    written(out, seed=2, overwrite=True)
    assert (out / "train_data.csv").read_bytes() != before
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt, which is not part of a data set"):
        written(out, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["80/20", "80/10/x", "80/10/0", "80/10/-1", "", "1/1/inf"])
def test_a_ratio_is_three_numbers_above_0(text: str) -> None:
    with pytest.raises(UsageError, match="80/10/10"):
        parse_ratio(text)


def test_a_ratio_need_not_sum_to_a_hundred() -> None:
    assert parse_ratio("2/1/1") == (0.5, 0.25, 0.25)
