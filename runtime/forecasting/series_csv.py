"""Hourly series from CSV files: `timestamp,value`, one row an hour."""

import warnings
from pathlib import Path
from typing import Final, NoReturn
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from core.forecasting.engine import HourlySeries
from runtime.errors import UsageError

_COLUMNS: Final = ("timestamp", "value")
_ZONE: Final = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"
_HOUR: Final = pd.Timedelta(hours=1)
_MOST_HOURS: Final = 1_000_000


def read_hours(path: Path, zone: ZoneInfo) -> HourlySeries:
    """Return the series of a file as hours of UTC, NaN where one is missing; `zone` is meant where a time carries none.

    Of an hour that local time has twice, the first row is the one of summer time.

    Raises:
        UsageError: the file is missing or empty, or a row is not a whole hour, not a number, or there twice.
    """
    frame = _table(path)
    moments = _moments(path, frame["timestamp"], zone)
    text = frame["value"].str.strip()
    values = pd.to_numeric(text.where(text != ""), errors="coerce")
    wrong = values.isna() & ~text.str.lower().isin(["", "nan", "null", "na"]) | np.isinf(values)
    if wrong.any():
        line = _first(wrong)
        _refuse(path, line, f"{frame['value'].loc[line]!r} is no finite number", "mend it or leave it empty")
    off = moments != moments.dt.floor("h")
    if off.any():
        line = _first(off)
        _refuse(path, line, f"{frame['timestamp'].loc[line]} is no whole hour", "give one value an hour")
    twice = moments.duplicated()
    if twice.any():
        line = _first(twice)
        _refuse(path, line, f"{frame['timestamp'].loc[line]} is there twice", "keep one of them")
    hours = ((moments - pd.Timestamp(0, tz="UTC")) // _HOUR).to_numpy(np.int64)
    first, count = int(hours.min()), int(hours.max() - hours.min()) + 1
    if count > _MOST_HOURS:
        _refuse(path, 2, f"{count:,} hours between first and last row", "correct the wrong time")
    series = np.full(count, np.nan)
    series[hours - first] = values.to_numpy(np.float64)
    return HourlySeries(first_hour=first, values=series)


def _table(path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file; check the path") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning) as e:
        raise UsageError(f"{path}: cannot be read as CSV ({' '.join(str(e).split())}); save it as UTF-8 text") from None
    for column in _COLUMNS:
        if column not in frame.columns:
            raise UsageError(f"{path}: there is no column {column!r}; a series has the columns timestamp,value")
    if frame.empty:
        raise UsageError(f"{path}: it has no rows; choose a file with a series")
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    return frame.fillna("")


def _moments(path: Path, text: "pd.Series[str]", zone: ZoneInfo) -> "pd.Series[pd.Timestamp]":
    zoned = text.str.contains(_ZONE)
    moments = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us, UTC]")
    moments[zoned] = pd.to_datetime(text[zoned], errors="coerce", format="ISO8601", utc=True)
    naive = pd.to_datetime(text[~zoned], errors="coerce", format="ISO8601")
    local = naive.dt.tz_localize(zone, ambiguous=(~naive.duplicated()).to_numpy(), nonexistent="shift_forward")
    moments[~zoned] = local.dt.tz_convert("UTC")
    wrong = moments.isna()
    if wrong.any():
        line = _first(wrong)
        _refuse(path, line, f"{text.loc[line]!r} is no time", "write it as 2026-03-01T12:00:00Z")
    return moments


def _first(wrong: "pd.Series[bool]") -> int:
    """Return the line of the first row that is wrong."""
    return int(wrong.index[int(wrong.to_numpy().argmax())])


def _refuse(path: Path, line: int, rule: str, remedy: str) -> NoReturn:
    raise UsageError(f"{path}, line {line}: {rule}; {remedy}")
