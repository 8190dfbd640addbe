"""Columns of a table as numbers, instants and ids; implausible rows are set aside up to a stated share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NoReturn
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from core.arrays import Bools, Floats
from runtime.errors import UsageError
from runtime.tables.recognise import decimal_of
from runtime.tables.table import MISSING, Table
from runtime.tables.times import Instants, UndecidedDates, WallTimes, instants, wall_times
from schemas.bounds import machine_id_fault
from schemas.near_names import near_misses

SHARE: Final = 0.01
"""Share of a file's rows that may be set aside; more is an error."""
IMPOSSIBLE: Final = 1e30
"""Larger values are no measured quantity."""
_SAMPLED: Final = 2_000  # cells of a column from which the decimal sign is recognised
_NAMED: Final = 3
_MOST: Final = 0.5  # of the cells of a column of numbers are numbers; SHARE then refuses the others
_DATES: Final = ("date", "datum", "day", "tag")
_CLOCKS: Final = ("time", "zeit", "uhrzeit", "clock", "hour", "stunde")


@dataclass(slots=True)
class SetAside:
    """Rows of a table that are not used, each with its reason; too many of them are an error."""

    table: Table
    reasons: dict[int, str] = field(default_factory=dict)
    remedy: str = "correct it"

    def add(self, wrong: Bools, why: Iterable[str] | str, *, remedy: str) -> None:
        """Set rows aside; `why` is the reason of each of them, or of all."""
        rows = np.flatnonzero(wrong).tolist()
        reasons = [why] * len(rows) if isinstance(why, str) else why
        for row, reason in zip(rows, reasons, strict=True):
            if row not in self.reasons:
                self.reasons[row] = reason
                if len(self.reasons) == 1:
                    self.remedy = remedy

    def kept(self) -> Bools:
        """Return which rows are used.

        Raises:
            UsageError: more than SHARE of the rows are set aside; the message names the first of them.
        """
        total = len(self.table.frame)
        used = np.ones(total, dtype=np.bool_)
        used[list(self.reasons)] = False
        if len(self.reasons) > SHARE * total:
            first = min(self.reasons)
            more = f" ({len(self.reasons):,} such rows of {total:,})" if len(self.reasons) > 1 else ""
            colon = "," if self.reasons[first].startswith("column ") else ":"
            reason = self.reasons[first].removeprefix("column ")
            refuse(f"{self.table.place(first)}{colon} {reason}{more}", self.remedy)
        return used

    def sentences(self) -> Iterator[str]:
        """Yield one sentence on the rows that are set aside, if there are any."""
        if self.reasons:
            shown = [
                f"{self.table.frame.index[row]} ({self.reasons[row].removeprefix('column ')})"
                for row in sorted(self.reasons)[:_NAMED]
            ]
            more = ", …" if len(self.reasons) > _NAMED else ""
            yield f"{len(self.reasons):,} rows set aside: line {', '.join(shown)}{more}"


def refuse(rule: str, remedy: str) -> NoReturn:
    """Raise the UsageError of a broken rule."""
    raise UsageError(f"{rule}; {remedy}")


def known_decimal(table: Table, columns: Sequence[str]) -> Table:
    """Return the table with the decimal sign of these columns; raises UsageError where it cannot be recognised."""
    if table.form is None:
        return table
    found = decimal_of(_signed_cells(table, columns), table.form, source=str(table.path))
    return table.with_decimal(found)


def _signed_cells(table: Table, columns: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield line, column and text of cells with a comma or a point, at most _SAMPLED of each and column."""
    for column in columns:
        cells = table.text(column)
        for sign in ",.":
            for line, cell in cells[cells.str.contains(sign, regex=False)].iloc[:_SAMPLED].items():
                yield int(str(line)), column, cell


def numbers(table: Table, column: str, aside: SetAside) -> Floats:
    """Return a column as numbers, (n,), NaN where the value is missing.

    Cells that are no finite number set their row aside, and so do values that nothing can measure.
    """
    cells = table.frame[column]
    if cells.dtype.kind in "iufb":
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.isinf(values)
        written = cells.astype(str)
    else:
        written = table.text(column)
        plain = _plain_numbers(written, table.form.decimal or "." if table.form else ".")
        missing = written.str.lower().isin(MISSING).to_numpy()
        values = pd.to_numeric(plain.where(~missing), errors="coerce").to_numpy(dtype=np.float64)
        wrong = (~np.isfinite(values)) & ~missing
    if wrong.any():
        why = [f"column {column}: {text!r} is no finite number" for text in written[wrong]]
        aside.add(wrong, why, remedy="correct it or leave it empty")
    values = np.where(wrong, np.nan, values)
    huge = np.abs(values) >= IMPOSSIBLE
    if huge.any():
        why = [f"column {column}: {value:g} is implausible" for value in values[huge].tolist()]
        aside.add(huge, why, remedy="correct it or leave it empty")
    return np.asarray(np.where(huge, np.nan, values), dtype=np.float64)


def _plain_numbers(written: "pd.Series[str]", decimal: str) -> "pd.Series[str]":
    """Return numbers with a decimal point and without separators of thousands; what is neither stays as it is."""
    thousands = "," if decimal == "." else "."
    grouped = written.str.contains(thousands, regex=False)
    if grouped.any():
        whole = written[grouped].str.fullmatch(rf"[+-]?\d{{1,3}}(?:\{thousands}\d{{3}})+(?:\{decimal}\d*)?")
        ungrouped = written[grouped].str.replace(thousands, "", regex=False)
        written = written.copy()
        # a sign of the other kind makes no number of it
        written[grouped] = ungrouped.where(whole, "x" + written[grouped])
    return written.str.replace(",", ".", regex=False) if decimal == "," else written


def holds_numbers(table: Table, column: str) -> bool:
    """Return whether most cells of a column that are not missing are numbers, whichever decimal sign they have."""
    cells = table.frame[column]
    if cells.dtype.kind in "iuf":
        return True
    text = table.text(column)
    some = text[~text.str.lower().isin(MISSING)].iloc[:_SAMPLED]
    plain = some.str.replace(r"[.,](?=\d{3}(?:\D|$))", "", regex=True).str.replace(",", ".", regex=False)
    return bool(len(some)) and float(pd.to_numeric(plain, errors="coerce").notna().mean()) > _MOST


def ids(table: Table, column: str) -> list[str]:
    """Return machine ids as text, unchanged.

    Raises:
        UsageError: an id breaks a rule for names of machines, or the file holds them as fractions.
    """
    cells = table.frame[column]
    if cells.dtype.kind == "f":
        refuse(f"{table.path}: column {column} holds fractions", "store machine ids as text")
    written = table.text(column)
    for name in written.unique():
        fault = machine_id_fault(str(name))
        if fault is not None:
            row = int(np.flatnonzero((written == name).to_numpy())[0])
            refuse(f"{table.place(row)}: the machine id {name[:20]!r} {fault}", "correct it")
    return [str(one) for one in written]


def time_columns(table: Table, wanted: str) -> tuple[str, ...]:
    """Return the column of times, or those of date and time; empty where there is neither."""
    if wanted in table.columns:
        column: tuple[str, ...] = (wanted,)
        clock = next((name for name in table.columns if name.lower() in _CLOCKS and name != wanted), None)
        if clock is not None and wanted.lower() in _DATES:
            return (wanted, clock)
        return column
    date = next((name for name in table.columns if name.lower() in _DATES), None)
    clock = next((name for name in table.columns if name.lower() in _CLOCKS), None)
    return (date, clock) if date is not None and clock is not None else ()


def walls(table: Table, columns: Sequence[str], aside: SetAside) -> WallTimes:
    """Return the local times of a column, or of a date and a time of day.

    Raises:
        UsageError: the columns hold no times, or day and month cannot be told apart.
    """
    cells = table.frame[columns[0]]
    if cells.dtype.kind == "M":
        zone = getattr(cells.dt, "tz", None)
        moments = cells if zone is None else cells.dt.tz_convert("UTC").dt.tz_localize(None)
        wall = moments.astype("datetime64[us]")
        found: WallTimes | None = WallTimes(
            wall=wall, offset=np.full(len(wall), np.nan if zone is None else 0.0), order="iso"
        )
        text = cells.astype(str)
    else:
        text = table.text(columns[0])
        for column in columns[1:]:
            text = text + " " + table.text(column)
        try:
            found = wall_times(text)
        except UndecidedDates as error:
            raise UsageError(f"{table.path}: {error}") from None
    if found is None:
        unread = pd.to_datetime(text, errors="coerce", format="ISO8601").isna().to_numpy()
        row = int(unread.argmax())
        refuse(f"{table.place(row)}: {text.iloc[row].strip()!r} is no time", "write it as 2026-03-01T12:00:00Z")
    wrong = found.wall.isna().to_numpy()
    if wrong.any():
        why = [f"{cell.strip()!r} is no time between 1970 and 2200" for cell in text[wrong]]
        aside.add(wrong, why, remedy="write it as 2026-03-01T12:00:00Z")
    return found


def epoch_seconds(
    table: Table,
    columns: Sequence[str],
    aside: SetAside,
    *,
    zone: ZoneInfo,
    groups: Iterable[str] | None = None,
    latest: datetime | None = None,
) -> Instants:
    """Return the instants of a column of times; those without a zone are in `zone`.

    groups: machine of each row, as each has its own order. latest: later ones are implausible; None: only those that
    lie far from all others are.
    """
    times = walls(table, columns, aside)
    found = instants(times, zone=zone, groups=groups)
    if found.skipped.any():
        shown = times.wall[found.skipped]
        why = [f"{time:%Y-%m-%d %H:%M} does not exist in {zone.key}, where the clock went forward" for time in shown]
        aside.add(found.skipped, why, remedy="state the zone that the times are in")
    late = found.seconds > (latest.timestamp() if latest else np.inf)
    if late.any():
        why = [f"{time:%Y-%m-%d %H:%M} is in the future" for time in times.wall[late]]
        aside.add(late, why, remedy="correct it")
    set_outliers_aside(found.seconds, times, aside)
    return found


def set_outliers_aside(seconds: Floats, times: WallTimes, aside: SetAside) -> None:
    """Set the few rows aside that a gap of a year or more separates from nearly all others."""
    far = _far_from_all(seconds)
    if far.any():
        why = [f"{time:%Y-%m-%d %H:%M} lies years from all other rows" for time in times.wall[far]]
        aside.add(far, why, remedy="correct it")


def _far_from_all(seconds: Floats) -> Bools:
    known = np.flatnonzero(np.isfinite(seconds))
    far = np.zeros(len(seconds), dtype=np.bool_)
    if not len(known):
        return far
    order = known[np.argsort(seconds[known], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(seconds[order]) > 366 * 86_400) + 1)
    main = max(parts, key=len)
    for part in parts:
        if part is not main and len(part) <= SHARE * len(seconds):
            far[part] = True
    return far


def columns_sentence(columns: Iterable[str], used: Mapping[str, str], names: Sequence[str]) -> str:
    """Return which columns a reader used and did not; used: column to what it is."""
    near = near_misses([column for column in columns if column not in used], names)
    left = [
        f"{column} (looks like {near[column]})" if column in near else column
        for column in columns
        if column and column not in used  # a separator at the end of each line makes a column without a name
    ]
    shown = f"columns used: {', '.join(used)}"
    return f"{shown}; not used: {', '.join(left)}" if left else shown
