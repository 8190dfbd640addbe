"""Weekly shift plans of machines in the plant's local time, on a grid of minutes."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from core.arrays import HOUR, Codes, Ints

OFF: Final = 0
IDLE: Final = 1
RUNNING: Final = 2
MAINTENANCE: Final = 3
CONDITIONS: Final = ("off", "idle", "running", "maintenance")
"""Names of the states above, as the column `condition` of labelled data has them."""

DAY_MINUTES: Final = 1440
WEEK_MINUTES: Final = 7 * DAY_MINUTES
LEAD_MINUTES: Final = 480
"""Lead of a day's grid before midnight, longer than temperature lags behind power."""
GRID_MINUTES: Final = LEAD_MINUTES + DAY_MINUTES + 1
_MONDAY_OFFSET: Final = 3 * DAY_MINUTES  # 1970-01-01 was a Thursday
_HOUR: Final = 60


def _week(*spans: tuple[str, str, str, int]) -> Codes:
    """Return the states of a week's minutes, from (days, from, to, state); later spans override earlier ones."""
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    week = np.zeros(WEEK_MINUTES, dtype=np.int8)
    for days, begins, ends, state in spans:
        first, _, last = days.partition("-")
        for day in range(names.index(first), names.index(last or first) + 1):
            week[day * DAY_MINUTES + _minutes(begins) : day * DAY_MINUTES + _minutes(ends)] = state
    return week


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * _HOUR + int(minutes)


WEEKS: Final = {
    "always": _week(("Mon-Sun", "00:00", "24:00", RUNNING), ("Sun", "04:00", "05:00", IDLE)),
    "two_shifts": _week(
        ("Mon-Sat", "05:40", "06:00", IDLE),
        ("Mon-Fri", "06:00", "22:00", RUNNING),
        ("Sat", "06:00", "14:00", RUNNING),
        ("Mon-Sat", "12:00", "12:30", IDLE),
    ),
    "three_shifts": _week(
        ("Mon-Sat", "00:00", "24:00", RUNNING),
        ("Mon", "00:00", "05:00", OFF),
        ("Sat", "18:00", "24:00", OFF),
        ("Mon-Sat", "12:00", "12:30", IDLE),
    ),
    "six_days": _week(
        ("Mon-Sat", "00:00", "24:00", RUNNING),
        ("Mon", "00:00", "04:30", OFF),
        ("Mon", "04:30", "05:00", IDLE),
        ("Sat", "22:00", "24:00", IDLE),
    ),
}


@lru_cache(maxsize=1024)
def local_minutes(day: int, timezone: str) -> Ints:
    """Return local minutes since the Monday before 1970, of the grid of UTC day `day`, (GRID_MINUTES,)."""
    zone = ZoneInfo(timezone)
    utc = np.arange(GRID_MINUTES) + day * DAY_MINUTES - LEAD_MINUTES
    hours = np.unique(utc // _HOUR)  # clocks change on the hour
    offsets = [_offset_minutes(int(hour), zone) for hour in hours]
    local: Ints = utc + np.asarray(offsets, dtype=np.int64)[utc // _HOUR - hours[0]] + _MONDAY_OFFSET
    return local


def _offset_minutes(hour: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(hour * HOUR, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds() // 60) if offset is not None else 0
