"""Recorded files: the plant file's own form and the canonical one; mistakes are named with file and line."""

from pathlib import Path

import numpy as np
import pytest

from core.plant import Plant
from producer.publish import Readings
from producer.replay import read_readings_csv
from runtime.errors import UsageError
from runtime.plants import load_plant
from tests.producer.plants import default_plant

HEAD = "machine_id,timestamp,power,temperature\n"
NOON = 1_772_366_400.0  # 2026-03-01T12:00:00Z
PUMP = (
    "datetime;Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;Voltage;"
    "Volume Flow RateRMS;anomaly;changepoint\n"
)


def pump_plant() -> Plant:
    return load_plant(Path("skab"))


def read(
    folder: Path, text: str, *, plant: Plant | None = None, name: str = "readings.csv"
) -> tuple[Readings, np.ndarray | None]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_readings_csv(folder / name, plant or default_plant())


def test_the_pump_recordings_are_read_as_they_are(tmp_path: Path) -> None:
    text = PUMP + (
        "2020-03-09 10:14:33;0.02;0.04;1.33;0.05;79.3;26.0;233.0;32.0;0.0;0.0\n"
        "2020-03-09 10:14:34;0.03;0.05;1.35;;79.5;26.1;236.0;31.0;1.0;1.0\n"
    )
    readings, labels = read(tmp_path, text, plant=pump_plant(), name="7.csv")
    assert list(readings.machine_ids) == ["valve1-7", "valve1-7"]
    # local times of the test bed, Moscow
    assert readings.timestamps.tolist() == [1_583_738_073.0, 1_583_738_074.0]
    assert readings.values[0].tolist() == [0.02, 0.04, 1.33, 0.05, 79.3, 26.0, 233.0, 32.0]
    assert np.isnan(readings.values[1, 3])
    assert labels is not None
    assert labels.tolist() == [False, True]


def test_the_canonical_form_is_read_with_any_plant_file(tmp_path: Path) -> None:
    text = "machine_id,timestamp,current,anomaly\na,2026-03-01T12:00:00Z,1.5,1\n"
    readings, labels = read(tmp_path, text, plant=pump_plant())
    assert list(readings.machine_ids) == ["a"]
    assert readings.values[0, 2] == 1.5
    assert labels is not None
    assert labels.tolist() == [True]


def test_rows_keep_the_order_of_the_file_and_labels_are_optional(tmp_path: Path) -> None:
    readings, labels = read(tmp_path, HEAD + "b,2026-03-01T12:01:00Z,2,3\na,2026-03-01T12:00:00Z,1,2\n")
    assert list(readings.machine_ids) == ["b", "a"]
    assert labels is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01T13:00:00+01:00", NOON),
        ("2026-03-01 13:00:00", NOON),  # in the plant's zone
        ("2026-03-01 12:00:00+00", NOON),  # as PostgreSQL writes it
        ("2026-03-01 17:30:00+0530", NOON),
        ("2026-03-01T12:00:00.250Z", NOON + 0.25),
        ("2026-03-01", NOON - 13 * 3600),
    ],
)
def test_times_with_and_without_zone_are_understood(tmp_path: Path, text: str, seconds: float) -> None:
    readings, _ = read(tmp_path, f"{HEAD}a,2026-03-01T12:00:00+01:00,1,2\na,{text},1,2\n")
    assert readings.timestamps.tolist() == [NOON - 3600, seconds]


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "null"])
def test_an_empty_cell_is_a_missing_value(tmp_path: Path, cell: str) -> None:
    readings, _ = read(tmp_path, f"{HEAD}a,2026-03-01T12:00:00Z,{cell},2\n")
    assert np.isnan(readings.values[0, 0])
    assert readings.values[0, 1] == 2.0


def test_byte_order_marks_other_line_ends_blank_lines_and_quotes_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeff" + HEAD + '\r\n"a",2026-03-01T12:00:00Z,"1",2\r\n\r\n'
    readings, _ = read(tmp_path, text)
    assert list(readings.machine_ids) == ["a"]
    assert readings.values[0, 0] == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "a,2026-03-01T12:00:00Z,1,2\na,2026-03-01T12:00:00Z,x,2\n", "line 3, power: 'x' is no finite number"),
        (HEAD + "\n\na,2026-03-01T12:00:00Z,x,2\n", "line 4, power"),
        (HEAD + "a,2026-03-01T12:00:00Z,inf,2\n", "line 2, power: 'inf'"),
        (HEAD + "a,2026-03-01T12:00:00Z,1e999,2\n", "line 2, power: '1e999'"),
        (HEAD + "a,2026-03-01T12:00:00Z,1,2,3\n", "Expected 4 fields in line 2, saw 5; give each line"),
        (
            HEAD + "a,2026-03-01T12:00:00Z,1,2\na,2026-03-01T12:00:00Z,1,2,3\n",
            "Expected 4 fields in line 3, saw 5; give each line as many cells",
        ),
        (HEAD + "a,yesterday,1,2\n", "line 2: 'yesterday' is no time; write it as 2026-03-01T12:00:00Z"),
        (HEAD + "a,1772366400,1,2\n", "line 2: '1772366400' is no time"),
        (HEAD + "a,,1,2\n", "line 2: '' is no time"),
        (HEAD + ",2026-03-01T12:00:00Z,1,2\n", "line 2: the machine id '' has 0 characters, not 1 to 128"),
        (
            HEAD + "plant:x,2026-03-01T12:00:00Z,1,2\n",
            "line 2: the machine id 'plant:x' begins with 'plant:', which is reserved",
        ),
        (HEAD + "a" * 129 + ",2026-03-01T12:00:00Z,1,2\n", "has 129 characters, not 1 to 128"),
        (HEAD, "it has no rows"),
        ("", "it is empty"),
        ("machine_id,timestamp,colour\na,2026-03-01T12:00:00Z,red\n", "no column is a sensor of plant 'default'"),
        ("time,power\n1,2\n", "there is no column 'timestamp'"),
    ],
)
def test_a_mistake_is_named_with_file_line_value_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert words in caught.value.message
    assert "readings.csv" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: there is no such file"):
        read_readings_csv(tmp_path / "none.csv", default_plant())
    (tmp_path / "bytes.csv").write_bytes(b"PK\x00\x01")
    with pytest.raises(UsageError, match=r"bytes\.csv: cannot be read as CSV.*UTF-8"):
        read_readings_csv(tmp_path / "bytes.csv", default_plant())
