"""Past hourly energy of a machine from a file, one row for each hour."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn
from zoneinfo import ZoneInfo

import numpy as np

from core.forecasting.engine import HourlySeries
from runtime.errors import UsageError
from runtime.tables.columns import SetAside, epoch_seconds, known_decimal, numbers
from runtime.tables.recognise import TextForm
from runtime.tables.series import series_times, value_column
from runtime.tables.table import Table, read_table

_HOUR: Final = 3600
_MOST_HOURS: Final = 1_000_000


def _ignore(_: str) -> None:
    pass


def read_hours(
    path: Path,
    zone: ZoneInfo,
    *,
    column: str | None = None,
    form: TextForm | None = None,
    latest: datetime | None = None,
    note: Callable[[str], None] = _ignore,
) -> HourlySeries:
    """Return the series of a file as UTC hours, kWh, NaN where missing.

    zone: of times without one; of a repeated local hour, the first row is in summer time.
    column: of the values; None: `value`, or the only one with numbers. latest: later rows are implausible. note: called
    with one sentence on how the file was read.

    Raises:
        UsageError: the file is missing or empty, too many rows are unusable, or an hour is duplicated or not whole.
    """
    table = read_table(path, form)
    aside = SetAside(table)
    times, _ = series_times(table, SetAside(table))
    name = value_column(table, times, column)
    table = known_decimal(table, [name])
    aside = SetAside(table)
    found = epoch_seconds(table, times, aside, zone=zone, latest=latest)
    values = numbers(table, name, aside)
    rows = np.flatnonzero(aside.kept())
    hours, rest = np.divmod(found.seconds[rows], _HOUR)
    if rest.any():
        _refuse(table, int(rows[rest.argmax()]), times, "is no whole hour", "give one value an hour")
    order = np.argsort(hours, kind="stable")
    twice = np.flatnonzero(np.diff(hours[order]) == 0)
    if len(twice):
        _refuse(table, int(rows[order[twice + 1]].min()), times, "is there twice", "keep one of them")
    first, count = int(hours.min()), int(hours.max() - hours.min()) + 1
    if count > _MOST_HOURS:
        _refuse(table, 0, times, f"is one of {count:,} hours between first and last row", "correct the wrong time")
    series = np.full(count, np.nan)
    series[(hours - first).astype(np.int64)] = values[rows]
    form_note = [] if table.form is None else [table.form.sentence()]
    notes = [*form_note, f"columns used: {', '.join((*times, name))}", f"zone {zone.key}", *aside.sentences()]
    note(f"{path}: {len(rows):,} rows; {'; '.join(notes)}")
    return HourlySeries(first_hour=first, values=series)


def parts_of(hours: HourlySeries, size: int) -> Iterator[tuple[datetime, tuple[float | None, ...]]]:
    """Yield start and values, None where missing, of consecutive parts of `size` hours; empty parts are omitted."""
    for begin in range(0, len(hours.values), size):
        part = hours.values[begin : begin + size]
        if np.isfinite(part).any():
            start = datetime.fromtimestamp((hours.first_hour + begin) * 3600, UTC)
            yield start, tuple(value if np.isfinite(value) else None for value in part.tolist())


def _refuse(table: Table, row: int, times: tuple[str, ...], rule: str, remedy: str) -> NoReturn:
    shown = " ".join(str(table.frame[column].iloc[row]) for column in times)
    raise UsageError(f"{table.place(row)}: {shown} {rule}; {remedy}")
