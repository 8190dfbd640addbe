from pathlib import Path

import numpy as np
import pytest

from runtime.errors import UsageError
from runtime.forecasting.calendars import HolidayChoice, holidays_of
from runtime.forecasting.series_file import SeriesFile, read_series

JANUARY = 420_768  # 2018-01-01 0 h


def read(folder: Path, text: str, column: str | None = None) -> SeriesFile:
    path = folder / "series.csv"
    path.write_text(text, encoding="utf-8")
    return read_series(path, column=column)


def lines(*times: str) -> str:
    return "\n".join(f"{time},{value}" for value, time in enumerate(times, start=1))


@pytest.mark.parametrize(
    "text",
    [
        "timestamp,value\n" + lines("2018-01-01 00:00:00", "2018-01-01 01:00:00", "2018-01-01 02:00:00"),
        "Datetime,PJME_MW\n" + lines("2018-01-01T00:00", "2018-01-01T01:00", "2018-01-01T02:00"),
        "date;load\n" + lines("01/01/2018 00:00", "01/01/2018 01:00", "01/01/2018 02:00").replace(",", ";"),
        "value,timestamp\n1,2018-01-01 00:00\n2,2018-01-01 01:00\n3,2018-01-01 02:00",
        "machine,timestamp,value\n"
        + "\n".join(f"press,2018-01-01 0{hour}:00:00+01:00,{hour + 1}" for hour in range(3)),
        "timestamp,value\n2018-01-01 02:00,3\n2018-01-01 00:00,1\n2018-01-01 01:00,2",
    ],
)
def test_files_of_many_shapes_hold_the_same_series(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found.series.first_hour == JANUARY
    assert found.series.values.tolist() == [1, 2, 3]
    assert [note for note in found.notes if "separator semicolon" not in note] == []


def test_days_before_months_are_told_by_how_the_hours_follow(tmp_path: Path) -> None:
    times = [f"{day:02d}/01/2018 {hour:02d}:00" for day in range(1, 13) for hour in range(24)]
    assert len(read(tmp_path, "t,v\n" + lines(*times)).series.values) == 12 * 24


def test_the_clock_stays_as_it_stands_when_it_is_changed(tmp_path: Path) -> None:
    text = "t,v\n2018-03-25 01:00,1\n2018-03-25 03:00,3\n2018-10-28 02:00,4\n2018-10-28 02:00,6\n"
    found = read(tmp_path, text + "\n".join(f"2018-10-28 {hour:02d}:00,{hour}" for hour in range(3, 20)))
    values = found.series.values
    assert np.isnan(values[1])
    assert values[-18] == 5
    assert [note for note in found.notes if "share an hour" in note] == [
        "1 rows share an hour with another; the mean of an hour counts"
    ]


def test_quarters_of_an_hour_become_hours(tmp_path: Path) -> None:
    times = lines(*(f"2018-01-01 {hour:02d}:{minute:02d}" for hour in range(2) for minute in (0, 15, 30, 45)))
    assert read(tmp_path, "t,v\n" + times).series.values.tolist() == [2.5, 6.5]
    assert read_series(tmp_path / "series.csv", aggregate="sum").series.values.tolist() == [10, 26]


def test_what_says_that_there_is_no_number_is_missing_and_noted(tmp_path: Path) -> None:
    found = read(tmp_path, "t,v\n2018-01-01 00:00,1\n2018-01-01 01:00,-\n2018-01-01 02:00,3\n")
    assert np.isnan(found.series.values[1])
    assert found.notes == ("1 of 3 hours are missing",)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", None, "it is empty"),
        ("t,v\n", None, "has no rows"),
        ("a,b\n1,2\n3,4\n", None, "none of its columns"),
        ("t,v\n2018-01-01 00:00,x\n", None, "no column beside t holds numbers; name another file"),
        ("t,v,w\n2018-01-01 00:00,1,2\n", None, "say which with --column"),
        ("t,v\n2018-01-01 00:00,1\n", "w", "--column w"),
        ("t,v\n2018-01-01,1\n2018-01-02,2\n2018-01-03,2\n", None, "an hourly series, or a finer one"),
        ("t,v\n1018-01-01 00:00,1\n2018-01-01 00:00,2\n", None, "line 2: '1018-01-01 00:00' is no time between"),
        ("t,v\n1971-01-01 00:00,1\n1971-01-01 01:00,1\n1971-01-01 02:00,1\n2180-01-01 00:00,2\n", None, "correct them"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, text: str, column: str | None, words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text, column)
    assert words in refused.value.message
    assert "\n" not in refused.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_series(tmp_path / "none.csv")


def test_a_country_may_have_parts() -> None:
    assert holidays_of("DE", 2018, 2018) < holidays_of("DE-BY", 2018, 2018)
    assert JANUARY // 24 in holidays_of("US", 2018, 2018)


@pytest.mark.parametrize("country", ["Atlantis", "DE-XX", ""])
def test_an_unknown_country_is_refused_at_once(country: str) -> None:
    with pytest.raises(UsageError, match="is no country whose holidays are known"):
        HolidayChoice(country)
