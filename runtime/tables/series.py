"""Selection of a table's columns with the times and values of a series."""

from collections.abc import Sequence
from typing import Final

from runtime.errors import UsageError
from runtime.tables.columns import SetAside, holds_numbers, time_columns, walls
from runtime.tables.table import Table
from runtime.tables.times import WallTimes

_SHOWN: Final = 12
_TIME_NAME: Final = "timestamp"
_VALUE_NAME: Final = "value"


def series_times(table: Table, aside: SetAside) -> tuple[tuple[str, ...], WallTimes]:
    """Return the columns of the times of a series, and the times in local form.

    Raises:
        UsageError: no column holds times, or day and month cannot be told apart.
    """
    wanted = time_columns(table, _TIME_NAME)
    if wanted:
        return wanted, walls(table, wanted, aside)
    for column in table.columns:
        kind = table.frame[column].dtype.kind
        if kind in "iufb" or (kind != "M" and holds_numbers(table, column)):
            continue
        trial = SetAside(table)
        try:
            found = walls(table, (column,), trial)
        except UsageError as error:
            if "may begin with the day or the month" in error.message:
                raise
            continue
        aside.reasons |= trial.reasons
        aside.remedy = trial.remedy
        return (column,), found
    raise UsageError(
        f"{table.path}: none of its columns ({listed(table.columns)}) holds times such as 2026-03-01 12:00:00; "
        "add one, or name the right file"
    )


def value_column(table: Table, times: Sequence[str], column: str | None) -> str:
    """Return the column of the values: the one that is named, or the only one with numbers.

    Raises:
        UsageError: there is no such column, or none or several hold numbers.
    """
    others = [name for name in table.columns if name not in times]
    if column is not None:
        if column in others:
            return column
        raise UsageError(f"--column {column}: {table.path} has {listed(others) or 'no column beside its times'}")
    if _VALUE_NAME in others:
        return _VALUE_NAME
    candidates = [name for name in others if holds_numbers(table, name)]
    if len(candidates) == 1:
        return candidates[0]
    shown = " and ".join(times)
    if not candidates:
        raise UsageError(f"{table.path}: no column beside {shown} holds numbers; name another file")
    raise UsageError(f"{table.path}: several columns hold numbers ({listed(candidates)}); say which with --column")


def listed(names: Sequence[str]) -> str:
    """Return the first names of many, separated by commas."""
    shown = [str(name)[:40] for name in names]
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")
