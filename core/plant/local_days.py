"""Local time of a plant: days of 23, 24 or 25 hours, and the local hours of its zone.

Windows are UTC hours, which never repeat and never skip. Reports and shifts follow local days, which are computed on
demand.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from core.arrays import HOUR, Ints
from schemas.energy import EnergyWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfEnergy:
    """One local day of one machine. hours: length of the day; completeness: share of it that is covered."""

    machine_id: str
    day: date
    hours: int
    energy_kwh: float
    peak_power_kw: float | None
    production: float | None
    readings: int
    completeness: float


def hours_in(day: date, zone: ZoneInfo) -> int:
    """Return the length of a local day in hours: 23 or 25 where clocks change, rounded if not by a whole hour."""
    begin = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    return round((end - begin).total_seconds() / HOUR)


def days_of(windows: Iterable[EnergyWindow], zone: ZoneInfo) -> list[DayOfEnergy]:
    """Return the local days of machines, by machine and day; the last revision of a window counts.

    A window belongs to the day in which it starts: in zones of whole hours all of it does.
    """
    newest: dict[tuple[str, datetime], EnergyWindow] = {}
    for window in windows:
        known = newest.get((window.machine_id, window.start))
        if known is None or window.revision >= known.revision:
            newest[window.machine_id, window.start] = window
    members: dict[tuple[str, date], list[EnergyWindow]] = {}
    for machine_id, start in sorted(newest):
        day = start.astimezone(zone).date()
        members.setdefault((machine_id, day), []).append(newest[machine_id, start])
    return [_day(machine_id, day, hours, hours_in(day, zone)) for (machine_id, day), hours in members.items()]


def _day(machine_id: str, day: date, windows: list[EnergyWindow], hours: int) -> DayOfEnergy:
    peaks = [window.peak_power_kw for window in windows if window.peak_power_kw is not None]
    made = [window.production for window in windows if window.production is not None]
    return DayOfEnergy(
        machine_id=machine_id,
        day=day,
        hours=hours,
        energy_kwh=sum(window.energy_kwh for window in windows),
        peak_power_kw=max(peaks, default=None),
        production=sum(made) if made else None,
        readings=sum(window.readings for window in windows),
        completeness=min(1.0, sum(window.completeness for window in windows) / hours),
    )


def wall_hours(first_hour: int, count: int, zone: ZoneInfo) -> Ints:
    """Return the local hours of `zone`, as hours since the epoch, (count,), for UTC hours since the epoch.

    Where clocks go back two of them are equal; where they go forward one is skipped.
    """
    hours = first_hour + np.arange(count, dtype=np.int64)
    # an offset that is equal at both ends of a UTC day holds for all of it; otherwise it is looked up for each hour
    offsets = np.empty(count, dtype=np.int64)
    begin = 0
    while begin < count:
        end = min(count, begin + 24 - int(hours[begin] % 24))
        first, last = _offset(hours[begin], zone), _offset(hours[end - 1], zone)
        if first == last:
            offsets[begin:end] = first
        else:
            offsets[begin:end] = [_offset(hour, zone) for hour in hours[begin:end]]
        begin = end
    return np.asarray(np.floor_divide(hours * HOUR + offsets, HOUR), dtype=np.int64)


def _offset(hour: int, zone: ZoneInfo) -> int:
    """Return seconds by which the wall clock is ahead of UTC in an hour since the epoch."""
    ahead = datetime.fromtimestamp(int(hour) * HOUR, zone).utcoffset()
    return 0 if ahead is None else round(ahead.total_seconds())
