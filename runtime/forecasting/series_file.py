"""An hourly series from a CSV file of any usual shape: a column of times, a column of values."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from core.forecasting.engine import HourlySeries, KnownInputs
from core.forecasting.engine.inputs import MOST_INPUTS
from core.forecasting.engine.series import IMPOSSIBLE
from runtime.errors import UsageError

_ZONE: Final = re.compile(r"\s*(?:Z|UTC|[+-]\d{2}:?\d{2})$")
_LEAST_PARSED: Final = 0.9
_MOST_YEARS: Final = 100
_SEPARATORS: Final = ",;\t|"
_HOUR: Final = pd.Timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFile:
    """A series on the clock that its file is written in, and what was done to make it hourly.

    column: where the values stood. notes: one sentence for each thing that a reader of results should know.
    """

    series: HourlySeries
    column: str
    notes: tuple[str, ...]


def read_series(path: Path, *, column: str | None = None, aggregate: Literal["mean", "sum"] = "mean") -> SeriesFile:
    """Return the series of a CSV file: its first column of times, and `column` or the only column of numbers.

    The clock is taken as it stands: an offset from UTC is cut off, an hour that comes twice becomes one, one that does
    not come is missing. Several values within an hour become their mean, or their sum.

    Raises:
        UsageError: no such file, no times, no or several columns of numbers, values less often than hourly.
    """
    frame = _table(path)
    times_name, times = _times(path, frame)
    name = _value_column(path, frame, times_name, column)
    series, rows = _hourly(path, frame, times, name, aggregate)
    return SeriesFile(series=series, column=str(name), notes=_notes(frame, rows, series.values, aggregate))


def read_inputs(path: Path) -> KnownInputs:
    """Return the known-future inputs of a CSV file: its first column of times, and every column of numbers.

    Several values within an hour become their mean; the clock is taken as it stands, as that of the series.

    Raises:
        UsageError: no such file, no times, no column of numbers, too many, or values less often than hourly.
    """
    frame = _table(path)
    times_name, times = _times(path, frame)
    names = [name for name in frame.columns if name != times_name and _has_numbers(frame[name])]
    if not 1 <= len(names) <= MOST_INPUTS:
        raise UsageError(f"{path}: {len(names)} columns hold numbers; 1 to {MOST_INPUTS} inputs can be used")
    found = [_hourly(path, frame, times, name, "mean")[0] for name in names]
    first, end = min(one.first_hour for one in found), max(one.end for one in found)
    values = np.stack([one.at(np.arange(first, end)) for one in found])
    return KnownInputs(names=tuple(map(str, names)), first_hour=first, values=values)


def _hourly(
    path: Path, frame: pd.DataFrame, times: Any, name: str, aggregate: Literal["mean", "sum"]
) -> tuple[HourlySeries, pd.DataFrame]:
    """Return a column as an hourly series, and its rows with a time and a number."""
    values = pd.to_numeric(frame[name], errors="coerce").astype(float)
    values = values.where(values.abs() < IMPOSSIBLE)
    rows = pd.DataFrame({"hour": times.dt.floor("h"), "time": times, "value": values}).dropna(subset=["time"])
    steps: Any = rows["time"].sort_values().diff().dropna()
    rows = rows.dropna(subset=["value"]).sort_values("time")
    if rows.empty:
        raise UsageError(f"{path}: column {name} holds no numbers; name another with --column")
    hours = rows.groupby("hour")["value"]
    hourly = hours.sum() if aggregate == "sum" else hours.mean()
    if len(hourly) > 1 and steps.median() > _HOUR:
        raise UsageError(f"{path}: its values are {steps.median()} apart; an hourly series, or a finer one, is needed")
    first, last = (int(edge.timestamp()) // 3600 for edge in (hourly.index[0], hourly.index[-1]))
    if last - first > _MOST_YEARS * 366 * 24:
        raise UsageError(f"{path}: its times reach from {hourly.index[0]} to {hourly.index[-1]}; mend what is wrong")
    filled = np.full(last - first + 1, np.nan)
    filled[(hourly.index.to_numpy().astype("datetime64[h]").astype(np.int64)) - first] = hourly.to_numpy(dtype=float)
    return HourlySeries(first_hour=first, values=filled), rows


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(f"{path}: is no file; name a CSV file with a column of times and one of values")
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            heads = file.readline()
        separator = max(_SEPARATORS, key=heads.count)
        frame = pd.read_csv(path, dtype=str, sep=separator, skipinitialspace=True, encoding_errors="replace")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise UsageError(f"{path}: is no CSV table ({' '.join(str(error).split())[:120]})") from None
    if frame.empty:
        raise UsageError(f"{path}: has no rows; a line of names and a line for each hour are needed")
    return frame


def _times(path: Path, frame: pd.DataFrame) -> tuple[str, Any]:
    for name in frame.columns:
        if pd.to_numeric(frame[name], errors="coerce").notna().mean() > 1 - _LEAST_PARSED:
            continue
        found = _parsed(frame[name].str.strip().str.replace(_ZONE, "", regex=True))
        if found is not None:
            return name, found
    raise UsageError(f"{path}: none of its columns ({_listed(frame.columns)}) holds times such as 2026-03-01 12:00:00")


def _parsed(texts: Any) -> Any:
    """Return times of texts, read so that most of them can be, and so that they follow each other most evenly."""
    best, least = None, (1.0, 1.0)
    for form, day_first in (("ISO8601", False), ("mixed", False), ("mixed", True)):
        found = pd.to_datetime(texts, errors="coerce", format=form, dayfirst=day_first)
        missing = float(found.isna().mean())
        steps = found.dropna().diff().dropna()
        uneven = 1 - float((steps == steps.median()).mean()) if len(steps) else 1.0
        if missing <= 1 - _LEAST_PARSED and (missing, uneven) < least:
            best, least = found, (missing, uneven)
        if least == (0.0, 0.0) or (form == "ISO8601" and missing == 0):
            break
    return best


def _value_column(path: Path, frame: pd.DataFrame, times: str, column: str | None) -> str:
    others = [name for name in frame.columns if name != times]
    if column is not None:
        if column in others:
            return column
        raise UsageError(f"--column {column}: {path} has {_listed(others) or 'no column beside its times'}")
    numbers = [name for name in others if _has_numbers(frame[name])]
    if len(numbers) == 1:
        return numbers[0]
    if not numbers:
        raise UsageError(f"{path}: no column beside {times} holds numbers")
    raise UsageError(f"{path}: several columns hold numbers ({_listed(numbers)}); say which with --column")


def _has_numbers(column: Any) -> bool:
    return bool(pd.to_numeric(column, errors="coerce").notna().any())


def _notes(frame: pd.DataFrame, rows: pd.DataFrame, filled: Any, aggregate: str) -> tuple[str, ...]:
    notes = []
    unusable = len(frame) - len(rows)
    if unusable:
        notes.append(f"{unusable:,} rows without a time or a number were left out")
    more = len(rows) - int((~np.isnan(filled)).sum())
    if more:
        notes.append(f"{more:,} rows share an hour with another; the {aggregate} of an hour counts")
    missing = int(np.isnan(filled).sum())
    if missing:
        notes.append(f"{missing:,} of {len(filled):,} hours are missing")
    return tuple(notes)


def _listed(names: Any) -> str:
    listed = [str(name)[:40] for name in names]
    return ", ".join(listed[:12]) + (", …" if len(listed) > 12 else "")  # noqa: PLR2004
