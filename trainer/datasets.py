"""Labelled readings for training: read from files or frames, checked, and split in time.

A table has the columns machine_id, timestamp, one per sensor of the plant, and what is known of the truth:
`anomaly` (0 or 1), and `hours_to_failure` (empty where no failure is known to follow).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.batch import ReadingBatch
from core.plant import Plant
from runtime.errors import UsageError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ANOMALY_COLUMN, FAILURE_COLUMN = "anomaly", "hours_to_failure"
SPLITS: Final = ("train", "val", "test")
_MOSTLY_MISSING = 0.99


class Ratio(NamedTuple):
    """Shares of the time that go to training, calibration and the untouched test, in this order."""

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1


DEFAULT_RATIO: Final = Ratio()


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasets:
    """A history of n readings, by machine and then time, with what is known of the truth.

    split: 0 train, 1 val, 2 test, (n,). anomaly: (n,). hours_to_failure: (n,), infinite where no failure is
    known to follow; None where that truth is not in the data at all. notes: what is odd about the data, in
    sentences. duplicates: rows left out because their machine and time were there already. outcome_known: (n,),
    false where it will only show whether a failure follows; None where it is known of all rows. excluded: rows left
    out before, by reason.
    """

    batch: ReadingBatch
    split: npt.NDArray[np.int8]
    anomaly: Bools | None
    hours_to_failure: Floats | None
    notes: tuple[str, ...]
    duplicates: int
    outcome_known: Bools | None = None
    excluded: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, *, plant: Plant) -> Self:
        """Read `train_data`, `val_data` and `test_data` (.parquet or .csv) from a folder.

        Raises:
            UsageError: a file is missing, empty or unreadable, a column is missing, or a value is no number.
        """
        if not folder.is_dir():
            raise UsageError(f"data folder {folder}: is not there; nexova data generate --out {folder} makes one")
        paths = {split: _find(folder, f"{split}_data") for split in SPLITS}
        frames = {split: _checked(_read(path), plant=plant, source=str(path)) for split, path in paths.items()}
        return cls.of_splits(frames, plant=plant)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, *, plant: Plant, ratio: Ratio = DEFAULT_RATIO, source: str = "data") -> Self:
        """Split one table in time, the same moment for all machines.

        Raises:
            UsageError: as `read`.
        """
        checked = _checked(frame, plant=plant, source=source)
        part = split_in_time(checked["timestamp"].to_numpy(), ratio)
        return cls.of_splits({name: checked[part == i] for i, name in enumerate(SPLITS)}, plant=plant)

    @classmethod
    def of_splits(cls, frames: Mapping[str, pd.DataFrame], *, plant: Plant) -> Self:
        """Join checked tables (see `_checked`) to one history."""
        whole = pd.concat([frames[split] for split in SPLITS], ignore_index=True)
        split = np.repeat(np.arange(len(SPLITS), dtype=np.int8), [len(frames[split]) for split in SPLITS])
        # the features of a test row need the readings before it, so one history runs through all splits
        order = np.lexsort((whole["timestamp"].to_numpy(), whole["machine_id"].to_numpy()))
        whole, split = whole.iloc[order], split[order]
        twice = whole.duplicated(["machine_id", "timestamp"]).to_numpy()
        whole, split = whole[~twice], split[~twice]
        values = whole[list(plant.sensor_names)].to_numpy(dtype=np.float64)
        return cls(
            batch=ReadingBatch.from_columns(
                whole["machine_id"].tolist(), whole["timestamp"].to_numpy(dtype=np.float64), values
            ),
            split=split,
            anomaly=whole[ANOMALY_COLUMN].to_numpy(dtype=bool) if ANOMALY_COLUMN in whole else None,
            hours_to_failure=_hours(whole),
            notes=oddities(values[split == 0], plant),
            duplicates=int(twice.sum()),
        )


def split_in_time(seconds: Floats, ratio: Ratio = DEFAULT_RATIO) -> npt.NDArray[np.int8]:
    """Return the split of each moment, (n,), the same moment for all machines."""
    first, length = float(seconds.min()), float(np.ptp(seconds))
    bounds = [first + ratio.train * length, first + (ratio.train + ratio.val) * length]
    return np.searchsorted(bounds, seconds, side="left").astype(np.int8)


def _hours(frame: pd.DataFrame) -> Floats | None:
    if FAILURE_COLUMN not in frame:
        return None
    hours = frame[FAILURE_COLUMN].to_numpy(dtype=np.float64)
    return np.where(np.isnan(hours), np.inf, hours)


def _find(folder: Path, stem: str) -> Path:
    for suffix in (".parquet", ".csv"):
        if (path := folder / f"{stem}{suffix}").is_file():
            return path
    raise UsageError(
        f"data folder {folder}: has no {stem}.csv or {stem}.parquet; nexova data generate --out {folder} writes it"
    )


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, engine="pyarrow")
    # the parsers raise errors of many kinds for files that are not what their names say
    except Exception as error:
        detail = "".join(each if each.isprintable() else "?" for each in " ".join(str(error).split()))[:120]
        raise UsageError(f"{path}: cannot be read: {detail}; give a CSV with a header, or a Parquet file") from error


def _checked(frame: pd.DataFrame, *, plant: Plant, source: str) -> pd.DataFrame:
    """Return the columns we use: machine ids as text, epoch seconds, floats."""
    needed = ["machine_id", "timestamp", *plant.sensor_names]
    missing = [column for column in needed if column not in frame]
    if missing:
        raise UsageError(
            f"{source}: has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns)) or 'none'}: "
            "name the columns as the plant file does"
        )
    if frame.empty:
        raise UsageError(f"{source}: has a header and no rows; nexova data generate writes some")
    if frame["machine_id"].isna().any():
        rows = int(frame["machine_id"].isna().sum())
        raise UsageError(f"{source}: machine_id is empty in {rows} rows; a reading belongs to a machine: fill it in")
    truth = [column for column in (ANOMALY_COLUMN, FAILURE_COLUMN) if column in frame]
    columns: dict[str, Any] = {
        "machine_id": frame["machine_id"].astype(str),
        "timestamp": _epoch_seconds(frame["timestamp"], plant=plant, source=source),
    }
    for column in (*plant.sensor_names, *truth):
        columns[column] = _numbers(frame[column], source=source)
    if ANOMALY_COLUMN in columns and not np.isin(columns[ANOMALY_COLUMN], (0, 1)).all():
        raise UsageError(f"{source}: {ANOMALY_COLUMN} must be 0 or 1 in every row; label the rows that are neither")
    return pd.DataFrame(columns)


def _epoch_seconds(column: "pd.Series[Any]", *, plant: Plant, source: str) -> Floats:
    try:
        moments = pd.to_datetime(column, format=None if column.dtype.kind == "M" else "ISO8601")
        if moments.dt.tz is None:
            moments = moments.dt.tz_localize(plant.csv.timezone)
    except (ValueError, TypeError, AttributeError) as error:
        detail = " ".join(str(error).split())[:120]
        raise UsageError(f"{source}: timestamp: {detail}; write them in ISO 8601 with one zone") from error
    if moments.isna().any():
        raise UsageError(f"{source}: timestamp: {int(moments.isna().sum())} rows have none; remove those rows")
    nanoseconds = moments.dt.tz_convert("UTC").dt.as_unit("ns").astype("int64")
    return np.asarray(nanoseconds, dtype=np.float64) / 1e9


def _numbers(column: "pd.Series[Any]", *, source: str) -> Floats:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    bad = numbers.isna() & column.notna()
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise UsageError(
            f"{source}: {column.name} = {column.iloc[row]!r} in row {row + 1} is no number ({int(bad.sum())} such); "
            "correct it, or leave the cell empty"
        )
    return np.asarray(numbers, dtype=np.float64)


def oddities(values: Floats, plant: Plant) -> tuple[str, ...]:
    """Name the sensors that the training part says nothing about; they cost nothing and teach nothing."""
    notes = []
    for name, column in zip(plant.sensor_names, values.T, strict=True):
        present = column[np.isfinite(column)]
        missing = 1 - present.size / max(column.size, 1)
        if missing >= _MOSTLY_MISSING:
            notes.append(f"sensor {name} is missing in {missing:.1%} of the training rows: it teaches nothing")
        elif np.ptp(present) == 0:
            notes.append(f"sensor {name} is {present[0]:g} in all training rows: it teaches nothing")
    return tuple(notes)
