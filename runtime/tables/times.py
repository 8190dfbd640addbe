"""Parsing of the times of a table: common formats, any offset, and daylight-saving changes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from core.arrays import Bools, Floats, Ints

_ZONE: Final = re.compile(r"([Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$")
_LONGEST_ZONE: Final = 6
_LONGEST_DATE: Final = 11  # 01-Mar-2026
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})?")
_CLOCKS: Final = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p", "")
_DAY_FIRST: Final = ("%d{0}%m{0}%Y", "%d{0}%m{0}%y")
_MONTH_FIRST: Final = ("%m{0}%d{0}%Y", "%m{0}%d{0}%y")
_NAMED_MONTH: Final = ("%d{0}%b{0}%Y", "%b{0}%d{0}%Y", "%d{0}%B{0}%Y")
_LEAST_PARSED: Final = 0.9  # of a column, before it is taken for one of times
_SECOND: Final = np.timedelta64(1, "s")
EARLIEST, LATEST = np.datetime64("1970-01-01"), np.datetime64("2200-01-01")

DatePart = str
"""The order of day and month: `iso`, `day first`, `month first` or `named month`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WallTimes:
    """Local times: wall (n,), NaT where missing; offset (n,), s east of UTC, NaN where not stated.

    order: interpretation of day and month.
    """

    wall: "pd.Series[pd.Timestamp]"
    offset: Floats
    order: DatePart


@dataclass(frozen=True, slots=True, kw_only=True)
class Instants:
    """Instants in epoch seconds (n,), NaN where missing; rows whose local time occurred twice or never."""

    seconds: Floats
    repeated: Bools
    skipped: Bools


class UndecidedDates(ValueError):
    """Dates whose first number may be a day or a month; the message shows one."""


def wall_times(text: "pd.Series[str]") -> WallTimes | None:
    """Return the times of a column, or None where it holds none.

    Raises:
        UndecidedDates: day and month cannot be told apart.
    """
    zones, clocks = _without_zones(text)
    found = _parsed(clocks)
    if found is None:
        return None
    wall, order = found
    wall = wall.where((wall >= EARLIEST) & (wall < LATEST))
    seconds = {str(zone): _seconds_of(str(zone)) for zone in zones.dropna().unique()}
    return WallTimes(wall=wall, offset=np.asarray(zones.map(seconds), dtype=np.float64), order=order)


def _without_zones(text: "pd.Series[str]") -> "tuple[pd.Series[str], pd.Series[str]]":
    """Return the zone at the end of each cell (missing where there is none), and the cell without it."""
    ends = text.str[-_LONGEST_ZONE:]
    found = {end: match[1] for end in ends.unique() for match in [_ZONE.search(str(end))] if match}
    zones = ends.map(found)
    # the end of a bare date looks like an offset
    zones = zones.where(text.str.len() > _LONGEST_DATE)
    clocks = text.copy()
    for zone in zones.dropna().unique():
        rows = zones == zone
        clocks[rows] = text[rows].str[: -len(str(zone))].str.rstrip()
    return zones, clocks


def _seconds_of(zone: str) -> float:
    found = _OFFSET.fullmatch(zone)
    if found is None:
        return 0.0
    sign = -1.0 if found[1] == "-" else 1.0
    return sign * (int(found[2]) * 3600.0 + int(found[3] or 0) * 60.0)


def _parsed(text: "pd.Series[str]") -> "tuple[pd.Series[Any], DatePart] | None":
    iso = pd.to_datetime(text, errors="coerce", format="ISO8601").astype("datetime64[us]")
    if _share(iso, text) >= _LEAST_PARSED:
        return iso, "iso"
    sample = next((cell for cell in text if any(each.isdigit() for each in cell)), "")
    separator = next((each for each in "./- " if each in sample[:6]), None)
    if separator is None:
        return None
    comma = ", " in sample
    candidates = [
        (name, found)
        for name, dates in (("day first", _DAY_FIRST), ("month first", _MONTH_FIRST), ("named month", _NAMED_MONTH))
        for found in [_by_formats(text, [date.format(separator) for date in dates], comma=comma)]
        if _share(found, text) >= _LEAST_PARSED
    ]
    if not candidates:
        return None
    best = max(_share(found, text) for _, found in candidates)
    fitting = [(found, name) for name, found in candidates if _share(found, text) == best]
    # dots are written where the day comes first
    if len(fitting) == 1 or separator == "." or fitting[0][0].equals(fitting[1][0]):
        return fitting[0]
    even = sorted(fitting, key=lambda candidate: _unevenness(candidate[0]))
    if _unevenness(even[0][0]) < _unevenness(even[1][0]):
        return even[0]
    raise UndecidedDates(f"{sample!r} may begin with the day or the month; write it as 2026-03-01T12:00:00Z")


def _by_formats(text: "pd.Series[str]", dates: Sequence[str], *, comma: bool) -> "pd.Series[Any]":
    """Return the times of `text` in any of the formats, NaT where none fits."""
    found = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us]")
    between = ", " if comma else " "
    for date in dates:
        for clock in _CLOCKS:
            left = found.isna() & (text != "")
            if not left.any():
                return found
            form = f"{date}{between}{clock}" if clock else date
            # a first look at few cells: most formats fit none
            some = text[left].iloc[:: max(1, int(left.sum()) // 20)]
            if pd.to_datetime(some, errors="coerce", format=form).isna().all():
                continue
            found[left] = pd.to_datetime(text[left], errors="coerce", format=form).astype("datetime64[us]")
    return found


def _share(found: "pd.Series[Any]", text: "pd.Series[str]") -> float:
    written = text != ""
    return float(found[written].notna().mean()) if written.any() else 0.0


def _unevenness(found: "pd.Series[Any]") -> float:
    steps = found.dropna().diff().dropna()
    return 1 - float((steps == steps.median()).mean()) if len(steps) else 1.0


def instants(times: WallTimes, *, zone: ZoneInfo, groups: Iterable[str] | None = None) -> Instants:
    """Return the instants of wall times; where no offset is stated, they are in `zone`.

    Of an hour that local time has twice, the rows of each group (machine) until the clock goes back are in summer
    time, the others not; without a step back, the second of two equal times is not. A time that local time never has,
    as the clock went forward, has no instant.
    """
    stated = np.isfinite(times.offset)
    local = times.wall.where(~pd.Series(stated, index=times.wall.index))
    early = local.dt.tz_localize(zone, ambiguous=True, nonexistent="NaT")
    late = local.dt.tz_localize(zone, ambiguous=False, nonexistent="NaT")
    repeated = ((early != late) & early.notna()).to_numpy()
    skipped = (early.isna() & local.notna()).to_numpy()
    seconds = _epoch(early)
    if repeated.any():
        rows = np.flatnonzero(repeated)
        others = _epoch(late)
        names = np.zeros(len(rows), dtype=np.int64)
        if groups is not None:
            names = pd.factorize(np.asarray(list(groups), dtype=object)[rows])[0].astype(np.int64)
        walls = (local.to_numpy()[rows].astype("datetime64[us]").astype(np.int64)) / 1e6
        second = _second_pass(walls, names, overlap=others[rows] - seconds[rows])
        seconds[rows[second]] = others[rows[second]]
    plain = _epoch(times.wall.dt.tz_localize("UTC"))
    seconds = np.where(stated, plain - times.offset, seconds)
    return Instants(seconds=seconds, repeated=repeated, skipped=skipped)


def _epoch(moments: "pd.Series[Any]") -> Floats:
    known = moments.notna().to_numpy()
    utc = moments.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return np.where(known, utc / 1e6, np.nan)


def _second_pass(walls: Floats, names: Ints, *, overlap: Floats) -> Bools:
    """Return which of the rows in repeated hours, in the order of the file, belong to the second pass."""
    second = np.zeros(len(walls), dtype=np.bool_)
    # from noon to noon, as clocks go back at night
    nights = np.floor((walls + 43_200) / 86_400)
    keys = pd.factorize(pd.MultiIndex.from_arrays([names, nights]))[0]
    for key in range(int(keys.max()) + 1):
        rows = np.flatnonzero(keys == key)
        second[rows] = _second_of(walls[rows], overlap=float(overlap[rows[0]]))
    return second


def _second_of(walls: Floats, *, overlap: float) -> Bools:
    """Return which rows of one machine in one repeated hour belong to the second pass."""
    steps = np.diff(walls)
    newest_first = bool((steps < 0).sum() > len(steps) / 2)
    jumps = np.flatnonzero((steps if newest_first else -steps) >= overlap / 2)
    if len(jumps) == 1:
        parts = np.split(walls, jumps + 1)
        if all(len(np.unique(part)) == len(part) for part in parts):
            return np.asarray((np.arange(len(walls)) > jumps[0]) ^ newest_first)
    return np.asarray(pd.Series(walls).duplicated(), dtype=np.bool_)
