"""Planned work from an iCalendar file (RFC 5545), as maintenance windows of the plant file.

The categories of an event are the glob patterns of the machines that it concerns; an event without any concerns all.
Recurring events are expanded over the coming year; an all-day event lasts from midnight to midnight in the plant's
zone.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events

from core.plant import MaintenanceWindow
from runtime.errors import UsageError

LARGEST_BYTES: Final = 4_194_304
MOST_WINDOWS: Final = 10_000
_BACK: Final = timedelta(days=7)
_AHEAD: Final = timedelta(days=400)


def read_calendar(path: Path, *, timezone: str, now: datetime) -> tuple[MaintenanceWindow, ...]:
    """Return the windows of a calendar from a week ago to 400 days ahead, in order of their start.

    timezone: IANA zone of times and days that carry none. now: with zone.

    Raises:
        UsageError: the file is missing, too large or no calendar, or holds more windows than are accepted.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise UsageError(f"calendar {path}: {size} bytes, at most {LARGEST_BYTES} are read; export fewer events")
        calendar = icalendar.Calendar.from_ical(path.read_bytes())
    except OSError as error:
        raise UsageError(f"calendar {path}: {error.strerror}; correct alerts.calendar in the plant file") from error
    except (ValueError, IndexError, KeyError) as error:
        raise UsageError(f"calendar {path}: is not iCalendar ({error}); export it as .ics") from error
    zone = ZoneInfo(timezone)
    windows = []
    for event in recurring_ical_events.of(calendar, skip_bad_series=True).between(now - _BACK, now + _AHEAD):
        start, end = _instant(event.get("DTSTART"), zone), _instant(event.get("DTEND"), zone)
        if start is None or end is None or start >= end:
            continue  # an event without duration plans no work
        windows.append(
            MaintenanceWindow(
                machines=_patterns(event), start=start, end=end, comment=str(event.get("SUMMARY", ""))[:200]
            )
        )
        if len(windows) > MOST_WINDOWS:
            raise UsageError(f"calendar {path}: more than {MOST_WINDOWS} events in a year; export fewer events")
    return tuple(sorted(windows, key=lambda window: (window.start, window.end)))


def _instant(value: Any, zone: ZoneInfo) -> datetime | None:
    moment = getattr(value, "dt", None)
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    if isinstance(moment, date):
        return datetime(moment.year, moment.month, moment.day, tzinfo=zone).astimezone(UTC)
    return None


def _patterns(event: Any) -> tuple[str, ...]:
    found = event.get("CATEGORIES")
    if found is None:
        return ("*",)
    several = found if isinstance(found, list) else [found]
    names = tuple(str(name).strip() for one in several for name in getattr(one, "cats", [one]))
    return tuple(name for name in names if name) or ("*",)
