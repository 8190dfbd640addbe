"""Recorded readings from CSV files, in the form that the plant file describes or in the canonical one."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.plant import CsvFormat, Plant
from producer.publish import Readings
from runtime.errors import UsageError

_LONGEST_ID: Final = 128
_ZONE: Final = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"  # at the end of a time that carries its zone


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
    """The file's cells as text; the index is the number of each row's line (where no cell holds a line break)."""
    try:
        frame = _read(path, form.delimiter)
        if {"machine_id", "timestamp"}.isdisjoint(frame.columns) and form.timestamp_column not in frame.columns:
            frame = _read(path, ",")
    except FileNotFoundError:
        raise BadFile(f"{path}: there is no such file; check the path") from None
    except pd.errors.ParserError as error:
        reason = " ".join(str(error).replace("Error tokenizing data. C error: ", "").split())
        raise BadFile(f"{path}: {reason}; give each line as many cells as the first one has") from None
    except pd.errors.ParserWarning:
        _refuse(path, "a line has more cells than the first one", "give each line as many cells as the first one has")
    except pd.errors.EmptyDataError:
        raise BadFile(f"{path}: it is empty; choose a file with readings") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: cannot be read as CSV ({error}); save it as UTF-8 text") from None
    if frame.empty:
        _refuse(path, "it has no rows", "choose a file with readings")
    return frame


def _read(path: Path, delimiter: str) -> pd.DataFrame:
    # text first: what is no number is to be shown as it stands, with its line
    with warnings.catch_warnings():
        # without index_col=False a first row with a cell too many would shift all columns by one
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path, sep=delimiter, dtype=str, keep_default_na=False, skip_blank_lines=False, index_col=False
        )
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    frame = frame.fillna("")  # a line that ends early
    return frame[(frame != "").any(axis=1)]


def _sensor_columns(frame: pd.DataFrame, plant: Plant, mapping: Mapping[str, str]) -> dict[str, str]:
    """The file's column of each sensor that it has."""
    named = mapping or {name: name for name in plant.sensor_names}
    return {sensor: column for column, sensor in named.items() if column in frame.columns}


def _machine_ids(path: Path, frame: pd.DataFrame, form: CsvFormat) -> list[str]:
    if form.machine_id_column is None or form.machine_id_column not in frame.columns:
        return [f"{form.machine_prefix}{path.stem}"] * len(frame)
    ids = frame[form.machine_id_column]
    wrong = (ids == "") | (ids.str.len() > _LONGEST_ID)
    if wrong.any():
        line = _first(wrong)
        rule = f"the machine id {ids.loc[line][:20]!r} must have 1 to {_LONGEST_ID} characters"
        _refuse(path, f"line {line}: {rule}", "mend it")
    return ids.tolist()


def _timestamps(path: Path, frame: pd.DataFrame, form: CsvFormat) -> NDArray[np.float64]:
    text = frame[form.timestamp_column]
    zoned = text.str.contains(_ZONE)
    moments = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us, UTC]")
    moments[zoned] = pd.to_datetime(text[zoned], errors="coerce", format="ISO8601", utc=True)
    naive = pd.to_datetime(text[~zoned], errors="coerce", format="ISO8601")
    local = naive.dt.tz_localize(form.timezone, ambiguous=False, nonexistent="shift_forward")
    moments[~zoned] = local.dt.tz_convert("UTC")
    wrong = moments.isna()
    if wrong.any():
        line = _first(wrong)
        _refuse(path, f"line {line}: {text.loc[line]!r} is no time", "write it as 2026-03-01T12:00:00Z")
    microseconds = moments.dt.as_unit("us").astype("int64").to_numpy()
    return np.asarray(microseconds / 1e6, dtype=np.float64)


def _numbers(path: Path, text: pd.Series) -> NDArray[np.float64]:
    stripped = text.str.strip()
    numbers = pd.to_numeric(stripped.where(stripped != ""), errors="coerce")
    wrong = numbers.isna() & (stripped != "") & ~stripped.str.lower().isin(["nan", "null", "na"])
    wrong |= np.isinf(numbers)
    if wrong.any():
        line = _first(wrong)
        _refuse(path, f"line {line}, {text.name}: {text.loc[line]!r} is no finite number", "mend it or leave it empty")
    return numbers.to_numpy(dtype=np.float64)


def _first(wrong: "pd.Series[bool]") -> int:
    """The line of the first row that is wrong."""
    return int(wrong.index[int(wrong.to_numpy().argmax())])


def _refuse(path: Path, rule: str, remedy: str) -> NoReturn:
    raise BadFile(f"{path}: {rule}; {remedy}")
