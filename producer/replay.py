"""Recorded readings from CSV files, in the form that the plant file describes or in the canonical one."""

from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.plant import CsvFormat, Plant
from producer.publish import Readings
from runtime.errors import UsageError


class BadFile(UsageError):
    """A CSV file that cannot be read as readings; names file, line, value, rule and remedy."""


def read_readings_csv(path: Path, plant: Plant) -> tuple[Readings, NDArray[np.bool_] | None]:
    """The readings of a file in its own order, and the labels of its rows where it has any.

    Columns are named as the plant file's `[csv]` says, or canonically: machine_id, timestamp, the sensors.

    Raises:
        BadFile: the file is missing, empty, or a row of it cannot be used; nothing of it was returned.
    """
    form = plant.csv
    frame = _table(path, form)
    canonical = {"machine_id", "timestamp"} <= set(frame.columns)
    if canonical:
        form = CsvFormat(machine_id_column="machine_id", label_column="anomaly", timezone=form.timezone)
    if form.timestamp_column not in frame.columns:
        _refuse(path, f"there is no column {form.timestamp_column!r}", "name it in the plant file's [csv]")
    columns = _sensor_columns(frame, plant, {} if canonical else form.columns)
    if not columns:
        _refuse(path, f"no column is a sensor of plant {plant.name!r}", "choose the plant file with --plant")
    values = np.full((len(frame), len(plant.sensors)), np.nan)
    for index, name in enumerate(plant.sensor_names):
        if name in columns:
            values[:, index] = _numbers(path, frame[columns[name]])
    readings = Readings(
        machine_ids=_machine_ids(path, frame, form), timestamps=_timestamps(path, frame, form), values=values
    )
    label = form.label_column
    return readings, None if label is None or label not in frame.columns else _numbers(path, frame[label]) > 0


def _table(path: Path, form: CsvFormat) -> pd.DataFrame:
    try:
        # text first: what is no number is to be shown as it stands, with its line
        frame = pd.read_csv(path, sep=form.delimiter, dtype=str, keep_default_na=False)
        if {"machine_id", "timestamp"}.isdisjoint(frame.columns) and form.timestamp_column not in frame.columns:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise BadFile(f"{path}: there is no such file; check the path") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BadFile(f"{path}: cannot be read as CSV ({error}); save it as UTF-8 text") from None
    if frame.empty:
        _refuse(path, "it has no rows", "choose a file with readings")
    return frame


def _sensor_columns(frame: pd.DataFrame, plant: Plant, mapping: Mapping[str, str]) -> dict[str, str]:
    """The file's column of each sensor that it has."""
    named = mapping or {name: name for name in plant.sensor_names}
    return {sensor: column for column, sensor in named.items() if column in frame.columns}


def _machine_ids(path: Path, frame: pd.DataFrame, form: CsvFormat) -> list[str]:
    if form.machine_id_column is None or form.machine_id_column not in frame.columns:
        return [f"{form.machine_prefix}{path.stem}"] * len(frame)
    ids: list[str] = frame[form.machine_id_column].tolist()
    if "" in ids:
        _refuse(path, f"line {ids.index('') + 2}: the machine id is empty", "fill it in")
    return ids


def _timestamps(path: Path, frame: pd.DataFrame, form: CsvFormat) -> NDArray[np.float64]:
    text = frame[form.timestamp_column]
    moments = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=False)
    if not isinstance(moments.dtype, pd.DatetimeTZDtype):
        if moments.dtype == object:  # zones differ from row to row
            moments = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=True)
        else:
            moments = moments.dt.tz_localize(ZoneInfo(form.timezone), ambiguous=False, nonexistent="shift_forward")
    if moments.isna().any():
        line = int(np.flatnonzero(moments.isna())[0])
        _refuse(path, f"line {line + 2}: {text[line]!r} is no time", "write it as 2026-03-01T12:00:00Z")
    return moments.dt.as_unit("us").astype("int64").to_numpy() / 1e6


def _numbers(path: Path, text: pd.Series) -> NDArray[np.float64]:
    stripped = text.str.strip()
    numbers = pd.to_numeric(stripped.where(stripped != ""), errors="coerce")
    wrong = numbers.isna() & (stripped != "") & ~stripped.str.lower().isin(["nan", "null", "na"])
    wrong |= np.isinf(numbers)
    if wrong.any():
        line = int(np.flatnonzero(wrong)[0])
        _refuse(path, f"line {line + 2}, {text.name}: {text[line]!r} is no finite number", "mend it or leave it empty")
    return numbers.to_numpy(dtype=np.float64)


def _refuse(path: Path, rule: str, remedy: str) -> None:
    raise BadFile(f"{path}: {rule}; {remedy}")
