"""Planned work from an iCalendar file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from runtime.errors import UsageError
from runtime.maintenance_calendar import read_calendar

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)


def a_calendar(folder: Path, *events: str) -> Path:
    path = folder / "work.ics"
    body = "\r\n".join(f"BEGIN:VEVENT\r\nUID:{number}\r\n{event}\r\nEND:VEVENT" for number, event in enumerate(events))
    path.write_text(
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//works//plan//EN\r\n{body}\r\nEND:VCALENDAR\r\n", encoding="utf-8"
    )
    return path


def test_an_event_is_a_window_of_the_machines_in_its_categories(tmp_path: Path) -> None:
    path = a_calendar(
        tmp_path,
        "SUMMARY:Oil change\r\nCATEGORIES:press-*,pump-07\r\nDTSTART:20260310T060000Z\r\nDTEND:20260310T080000Z",
    )
    [window] = read_calendar(path, timezone="Europe/Berlin", now=NOW)
    assert window.machines == ("press-*", "pump-07")
    assert (window.start, window.end) == (datetime(2026, 3, 10, 6, tzinfo=UTC), datetime(2026, 3, 10, 8, tzinfo=UTC))
    assert window.comment == "Oil change"


def test_a_day_lasts_from_midnight_to_midnight_of_the_plant_also_when_clocks_change(tmp_path: Path) -> None:
    path = a_calendar(tmp_path, "DTSTART;VALUE=DATE:20260329\r\nDTEND;VALUE=DATE:20260330")
    [window] = read_calendar(path, timezone="Europe/Berlin", now=NOW)
    assert window.machines == ("*",)
    assert (window.end - window.start).total_seconds() == 23 * 3600


def test_a_time_without_zone_is_the_plants(tmp_path: Path) -> None:
    path = a_calendar(tmp_path, "DTSTART:20260310T060000\r\nDTEND:20260310T080000")
    [window] = read_calendar(path, timezone="Asia/Kolkata", now=NOW)
    assert window.start == datetime(2026, 3, 10, 0, 30, tzinfo=UTC)


def test_recurring_work_is_there_each_week_and_its_exceptions_are_not(tmp_path: Path) -> None:
    path = a_calendar(
        tmp_path,
        "DTSTART:20260302T040000Z\r\nDTEND:20260302T050000Z\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\nEXDATE:20260309T040000Z",
    )
    starts = [window.start.day for window in read_calendar(path, timezone="UTC", now=NOW)]
    assert starts == [2, 16, 23]


def test_what_is_long_over_or_has_no_duration_is_left_out(tmp_path: Path) -> None:
    path = a_calendar(
        tmp_path,
        "DTSTART:20200101T000000Z\r\nDTEND:20200102T000000Z",
        "DTSTART:20260310T060000Z\r\nDTEND:20260310T060000Z",
    )
    assert read_calendar(path, timezone="UTC", now=NOW) == ()


def test_a_file_that_is_missing_or_no_calendar_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No such file.*alerts\.calendar"):
        read_calendar(tmp_path / "none.ics", timezone="UTC", now=NOW)
    broken = tmp_path / "broken.ics"
    broken.write_text("<html></html>", encoding="utf-8")
    with pytest.raises(UsageError, match="is not iCalendar"):
        read_calendar(broken, timezone="UTC", now=NOW)
