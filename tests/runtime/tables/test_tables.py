"""One reader of files: what is recognised, what is set aside with its line, and what is refused."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from core.plant import Plant, parse_plant
from producer.replay import read_readings_csv
from runtime.errors import UsageError
from runtime.forecasting.series_csv import read_hours
from runtime.forecasting.series_file import read_series
from runtime.plants import load_plant, shipped_plants
from runtime.tables.readings import ReadingsFile, read_readings
from runtime.tables.recognise import TextForm
from runtime.tables.times import instants, wall_times

NOON = 1_772_366_400.0  # 2026-03-01T12:00:00Z
HOUR = 3600
BERLIN = ZoneInfo("Europe/Berlin")


def a_plant(zone: str = "UTC") -> Plant:
    text = shipped_plants()["default"].read_text(encoding="utf-8")
    return parse_plant(text.replace("[csv]", f'[csv]\ntimezone = "{zone}"'), source="test")


def read(folder: Path, text: str | bytes, *, zone: str = "UTC", latest: datetime | None = None) -> ReadingsFile:
    path = folder / "readings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_readings(path, a_plant(zone), latest=latest)


def seconds_of(*cells: str, zone: str = "Europe/Berlin", groups: Sequence[str] | None = None) -> list[float]:
    times = wall_times(pd.Series(list(cells), dtype=str))
    assert times is not None
    return instants(times, zone=ZoneInfo(zone), groups=groups).seconds.tolist()


def utc(*texts: str) -> list[float]:
    return [datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "machine_id,timestamp,power,temperature\n007,2026-03-01T12:00:00Z,71.5,45\n",
        "machine_id;timestamp;power;temperature\n007;01.03.2026 12:00;71,5;45,0\n",
        "machine_id\ttimestamp\tpower\ttemperature\n007\t2026-03-01 12:00:00+00\t71.5\t45\n",
        'machine_id,timestamp,power,temperature\n"007","2026-03-01 17:30:00+05:30","71,5","45,0"\n',
        "sep=|\nmachine_id|timestamp|power|temperature\n007|2026-03-01 06:30:00-0530|71.5|45\n",
        "machine_id,timestamp,power,temperature,\r\n007,2026-03-01T12:00:00 UTC,71.5,45,\r\n",
        "machine_id,date,time,power,temperature\n007,2026-03-01,12:00:00,71.5,45\n",
        "machine_id;Datum;Uhrzeit;power;temperature\n007;01.03.2026;12:00;71,5;45\n",
        "\ufeffmachine_id , timestamp , power , temperature\r\n007 , 2026-03-01T12:00:00Z , 71.5 , 45\r\n",
        "machine_id,timestamp,power,temperature\n007,03/01/2026 12:00 PM,71.5,45\n007,03/13/2026 12:00 PM,71.5,45\n",
    ],
)
def test_a_table_means_the_same_however_it_is_written(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)

    assert found.machine_ids[0] == "007"
    assert found.timestamps[0] == NOON
    assert found.values[0, :2].tolist() == [71.5, 45.0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_recognised(tmp_path: Path, encoding: str) -> None:
    text = "machine_id,timestamp,power\nkühler-1,2026-03-01T12:00:00Z,71.5\n"

    assert read(tmp_path, text.encode(encoding)).machine_ids == ["kühler-1"]


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    path = tmp_path / "readings.parquet"
    moments = pd.to_datetime(["2026-03-01T13:00:00"]).tz_localize("Europe/Berlin")
    pd.DataFrame({"machine_id": ["007"], "timestamp": moments, "power": [71.5]}).to_parquet(path)
    found = read_readings(path, a_plant())

    assert (found.machine_ids, found.timestamps.tolist(), found.values[0, 0]) == (["007"], [NOON], 71.5)


def test_how_a_file_was_read_is_one_line_with_the_columns_that_are_not_used(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "readings.csv"
    path.write_text("machine_id;timestamp;Power;power [kW];temperature\na;2026-03-01T12:00:00Z;1;71,5;45,5\n")
    read_readings_csv(path, a_plant(), note=said.append)

    assert said == [
        f"{path}: 1 readings; separator semicolon, decimal comma, encoding utf-8; columns used: machine_id, timestamp, "  # noqa: ISC004
        "temperature; not used: Power (looks like power), power [kW] (looks like power)"
    ]


def test_a_file_without_any_sensor_names_those_that_come_near(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no column is a sensor of plant 'default'; 'power \[kW\]' looks like power"):
        read(tmp_path, "machine_id,timestamp,power [kW]\na,2026-03-01T12:00:00Z,1\n")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (("71.5", "99,5"), r"line 2: '71\.5' has a point, but '99,5' in column power a decimal comma"),
        (("1,234", "2,345"), r"line 2, power: '1,234' may be a fraction or thousands; state --decimal"),
    ],
)
def test_a_decimal_sign_that_cannot_be_known_is_not_guessed(tmp_path: Path, cells: tuple[str, str], words: str) -> None:
    rows = "".join(f'a,2026-03-01T12:0{i}:00Z,"{cell}"\n' for i, cell in enumerate(cells))
    with pytest.raises(UsageError, match=words):
        read(tmp_path, f"machine_id,timestamp,power\n{rows}")


def test_thousands_are_separated_by_the_other_sign(tmp_path: Path) -> None:
    found = read(tmp_path, "machine_id;timestamp;power\na;2026-03-01T12:00:00Z;1.234,5\na;2026-03-01T12:01:00Z;2.345\n")

    assert found.values[:, 0].tolist() == [1234.5, 2345.0]


def test_a_day_that_may_be_a_month_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'02/03/2026 12:00' may begin with the day or the month"):
        read(tmp_path, "machine_id,timestamp,power\na,02/03/2026 12:00,1\na,03/04/2026 12:00,1\n")


def many(*odd: str) -> str:
    rows = [f"a,2026-03-01T{i // 60:02d}:{i % 60:02d}:00Z,{i % 7}.5" for i in range(400)]
    rows[10 : 10 + len(odd)] = odd
    return "machine_id,timestamp,power\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,2062-03-01T00:10:00Z,1", "2062-03-01 00:10 is in the future"),
        ("a,9999-03-01T00:10:00Z,1", "'9999-03-01T00:10:00Z' is no time between 1970 and 2200"),
        ("a,2026-03-01T00:10:00Z,1e300", "power: 1e+300 is implausible"),
        ("a,2026-03-01T00:10:00Z,hot", "power: 'hot' is no finite number"),
        ("a,1971-03-01T00:10:00Z,1", "1971-03-01 00:10 lies years from all other rows"),
    ],
)
def test_a_few_implausible_rows_are_set_aside_and_named_by_line(tmp_path: Path, row: str, reason: str) -> None:
    found = read(tmp_path, many(row), latest=datetime(2026, 11, 1, tzinfo=UTC))

    assert len(found.machine_ids) == 399
    assert f"1 rows set aside: line 12 ({reason})" in found.notes


def test_more_than_a_hundredth_of_the_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"line 12, power: 'hot' is no finite number \(5 such rows of 400\); correct it"
    ):
        read(tmp_path, many(*[f"a,2026-03-01T00:1{i}:00Z,hot" for i in range(5)]))


def test_the_hour_that_is_there_twice_in_autumn_is_two_hours(tmp_path: Path) -> None:
    moments = pd.date_range("2026-10-24 22:00", periods=1500, freq="1min", tz="UTC")
    rows = "".join(f"{m},{t:%Y-%m-%d %H:%M:%S},50\n" for t in moments.tz_convert("Europe/Berlin") for m in ("a", "b"))
    found = read(tmp_path, "machine_id,timestamp,power\n" + rows, zone="Europe/Berlin")

    assert np.unique(found.timestamps).tolist() == [moment.timestamp() for moment in moments]
    assert "240 rows in an hour that Europe/Berlin has twice" in found.notes


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        # no two times are equal: the clock goes back between the rows
        (("02:10:30", "02:50:30", "02:00:10", "02:40:10"), ("00:10:30", "00:50:30", "01:00:10", "01:40:10")),
        # the newest comes first
        (("02:30:00", "02:00:00", "02:45:00", "02:15:00"), ("01:30:00", "01:00:00", "00:45:00", "00:15:00")),
        # out of order: the second of two equal times is the later
        (("02:30:00", "02:00:00", "02:00:00", "02:30:00"), ("00:30:00", "00:00:00", "01:00:00", "01:30:00")),
        (("02:00:00",), ("00:00:00",)),
    ],
)
def test_rows_of_the_repeated_hour_are_told_apart(cells: tuple[str, ...], expected: tuple[str, ...]) -> None:
    found = seconds_of(*(f"2026-10-25 {cell}" for cell in cells))

    assert found == utc(*(f"2026-10-25T{cell}" for cell in expected))


def test_a_zone_may_change_its_clock_by_half_an_hour() -> None:
    found = seconds_of("2026-04-05 01:30", "2026-04-05 01:45", "2026-04-05 01:30", zone="Australia/Lord_Howe")

    assert np.diff(found).tolist() == [900.0, 900.0]


def test_a_time_that_spring_leaves_out_is_set_aside(tmp_path: Path) -> None:
    moments = pd.date_range("2026-03-28 00:00", periods=200, freq="15min")
    rows = "".join(f"a,{t:%Y-%m-%d %H:%M},50\n" for t in moments)
    found = "machine_id,timestamp,power\n" + rows
    with pytest.raises(UsageError, match=r"2026-03-29 02:00 does not exist in Europe/Berlin.* \(4 such rows of 200\)"):
        read(tmp_path, found, zone="Europe/Berlin")
    assert len(read(tmp_path, found).machine_ids) == 200


def test_times_as_postgresql_writes_them_are_read_by_all(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text(
        "timestamp,value\n2026-03-28 23:00:00+01,0\n2026-03-29 00:00:00+01,1\n2026-03-29 01:00:00+01,2\n"
        "2026-03-29 03:00:00+02,3\n2026-03-29 04:00:00+02,4\n"
    )

    assert read_hours(path, BERLIN).values.tolist() == [0, 1, 2, 3, 4]
    assert read_series(path).series.values.tolist()[:3] == [0, 1, 2]


def test_series_with_a_decimal_comma_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("Zeit;kW\n01.01.2026 00:00;100\n01.01.2026 01:00;107,8\n01.01.2026 02:00;115\n")
    found = read_series(path)

    assert found.series.values.tolist() == [100, 107.8, 115]
    assert found.notes == ("separator semicolon, decimal comma, encoding utf-8",)
    stated = TextForm(separator=";", decimal=",", encoding="utf-8")
    assert read_hours(path, BERLIN, form=stated).values.tolist() == [100, 107.8, 115]


def test_a_code_for_a_missing_value_is_no_value(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    hours = pd.date_range("2026-01-01", periods=300, freq="h")
    values = [9999.0 if i == 50 else 100.0 + i % 24 for i in range(300)]
    path.write_text("t,kW\n" + "".join(f"{t},{v}\n" for t, v in zip(hours, values, strict=True)))
    found = read_series(path)

    assert np.isnan(found.series.values[50])
    assert "1 rows set aside: line 52 (9999 stands for a missing value)" in found.notes


def test_what_cannot_be_a_form_is_refused() -> None:
    with pytest.raises(UsageError, match="separator 'ab': must be one character"):
        TextForm(separator="ab")
    with pytest.raises(UsageError, match=r"must be , or \."):
        TextForm(decimal=";")


def test_the_pump_recordings_need_no_stated_separator(tmp_path: Path) -> None:
    path = tmp_path / "1.csv"
    path.write_text("datetime;Current;anomaly\n2020-03-09 10:14:33;1.33;0.0\n")
    found = read_readings(path, load_plant(Path("skab")), truth=("anomaly",))

    assert found.machine_ids == ["valve1-1"]
    assert found.timestamps.tolist() == [1_583_738_073.0]
    assert "machine id valve1-1, from the file's name" in found.notes
