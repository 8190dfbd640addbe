"""Series of hours from CSV: what is read, and what is refused with its line."""

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from runtime.errors import UsageError
from runtime.forecasting.series_csv import read_hours

BERLIN = ZoneInfo("Europe/Berlin")


def a_file(folder: Path, *rows: str, head: str = "timestamp,value") -> Path:
    path = folder / "series.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_hours_in_any_order_become_one_series_with_holes(tmp_path: Path) -> None:
    path = a_file(tmp_path, "2026-01-01T03:00:00Z,3.5", "2026-01-01T00:00:00Z,1", "2026-01-01 02:00:00+00:00,")
    series = read_hours(path, BERLIN)
    assert series.first_hour * 3600 == 1_767_225_600
    np.testing.assert_array_equal(series.values, [1, np.nan, np.nan, 3.5])


def test_times_without_a_zone_are_local_and_know_the_hour_that_is_there_twice(tmp_path: Path) -> None:
    night = [f"2026-10-25 {hour},{value}" for value, hour in enumerate(("01:00", "02:00", "02:00", "03:00"))]
    series = read_hours(a_file(tmp_path, *night), BERLIN)
    assert series.values.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["2026-01-01 00:30,1"], "line 2: 2026-01-01 00:30 is no whole hour"),
        (["2026-01-01 00:00,1", "2026-01-01 01:00,x"], "line 3, value: 'x' is no finite number"),
        (["2026-01-01 00:00,inf"], "line 2, value: 'inf' is no finite number"),
        (["yesterday,1"], "line 2: 'yesterday' is no time"),
        (["2026-01-01T00:00:00Z,1", "2026-01-01 01:00,2"], "line 3: 2026-01-01 01:00 is there twice"),
        (["1971-01-01T00:00:00Z,1", "2180-01-01 00:00,1"], "hours between first and last row"),
        ([], "it has no rows"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_hours(a_file(tmp_path, *rows), BERLIN)
    assert words in refused.value.message


def test_other_columns_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"several columns hold numbers \(load, heat\); say which with --column"):
        read_hours(a_file(tmp_path, "2026-01-01 00:00,1,2", head="timestamp,load,heat"), BERLIN)
    with pytest.raises(UsageError, match="there is no such file"):
        read_hours(tmp_path / "none.csv", BERLIN)
