"""Reading of an hourly series from a file with a column of times and a column of values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from core.forecasting.engine import HourlySeries
from runtime.errors import UsageError
from runtime.tables.columns import SetAside, known_decimal, numbers, set_outliers_aside
from runtime.tables.recognise import TextForm
from runtime.tables.series import series_times, value_column
from runtime.tables.table import read_table
from runtime.tables.times import instants

_MOST_YEARS: Final = 100
_HOUR: Final = pd.Timedelta(hours=1)
_CODES: Final = frozenset({-999.0, -9999.0, 9999.0, 99999.0, -99999.0, 32767.0, 65535.0})
_CODE_FACTOR: Final = 5.0  # over all other values, before such a number is taken for a code


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFile:
    """A series in the local time of its file, with notes on its conversion to hours.

    column: of the values. notes: one sentence for each conversion that affects the results.
    """

    series: HourlySeries
    column: str
    notes: tuple[str, ...]


def read_series(
    path: Path,
    *,
    column: str | None = None,
    aggregate: Literal["mean", "sum"] = "mean",
    form: TextForm | None = None,
) -> SeriesFile:
    """Return the series of a file: its column of times, and `column` or the only other one with numbers.

    Local times are used as written: offsets from UTC are dropped, a repeated hour becomes one, and a skipped hour is
    missing. Several values within an hour become their mean, or their sum.

    Raises:
        UsageError: no such file, no times, no or several columns of numbers, too many unusable rows, values less often
            than hourly.
    """
    table = read_table(path, form)
    aside = SetAside(table)
    times, written = series_times(table, aside)
    name = value_column(table, times, column)
    table = known_decimal(table, [name])
    aside.table = table
    values = numbers(table, name, aside)
    codes = _codes(values)
    aside.add(
        codes, [f"{value:g} stands for a missing value" for value in values[codes].tolist()], remedy="leave it empty"
    )
    set_outliers_aside(instants(written, zone=ZoneInfo("UTC")).seconds, written, aside)
    kept = aside.kept()
    wall = written.wall.reset_index(drop=True)[kept]
    steps: Any = wall.sort_values().diff().dropna()
    rows = pd.DataFrame({"hour": wall.dt.floor("h"), "time": wall, "value": values[kept]})
    rows = rows.dropna(subset=["value"]).sort_values("time")
    if rows.empty:
        raise UsageError(f"{path}: column {name} holds no numbers; name another with --column")
    hours = rows.groupby("hour")["value"]
    hourly = hours.sum() if aggregate == "sum" else hours.mean()
    if len(hourly) > 1 and steps.median() > _HOUR:
        raise UsageError(f"{path}: its values are {steps.median()} apart; an hourly series, or a finer one, is needed")
    first, last = (int(edge.timestamp()) // 3600 for edge in (hourly.index[0], hourly.index[-1]))
    if last - first > _MOST_YEARS * 366 * 24:
        raise UsageError(f"{path}: its times reach from {hourly.index[0]} to {hourly.index[-1]}; correct them")
    filled = np.full(last - first + 1, np.nan)
    filled[(hourly.index.to_numpy().astype("datetime64[h]").astype(np.int64)) - first] = hourly.to_numpy(dtype=float)
    form_note = [] if table.form is None or table.form.sentence() == _PLAIN else [table.form.sentence()]
    notes = (*form_note, *aside.sentences(), *_notes(rows, filled, aggregate))
    return SeriesFile(series=HourlySeries(first_hour=first, values=filled), column=name, notes=notes)


_PLAIN: Final = TextForm(encoding="utf-8", separator=",", decimal=".").sentence()


def _codes(values: Any) -> Any:
    """Return which values are codes for a missing one: 9999 and the like, far outside of all others."""
    code = np.isin(values, list(_CODES))
    others = np.abs(values[~code & np.isfinite(values)])
    if not code.any() or not len(others):
        return np.zeros(len(values), dtype=np.bool_)
    return code & (np.abs(values) > _CODE_FACTOR * others.max())


def _notes(rows: Any, filled: Any, aggregate: str) -> tuple[str, ...]:
    notes = []
    more = len(rows) - int((~np.isnan(filled)).sum())
    if more:
        notes.append(f"{more:,} rows share an hour with another; the {aggregate} of an hour counts")
    missing = int(np.isnan(filled).sum())
    if missing:
        notes.append(f"{missing:,} of {len(filled):,} hours are missing")
    return tuple(notes)
