"""Labelled readings for training: read from files or frames, checked, and split in time.

A table has the columns machine_id, timestamp, one per sensor of the plant, and columns of the truth:
`anomaly` (0 or 1), and `hours_to_failure` (empty where no failure is known to follow).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import pandas as pd

from core.arrays import Bools, Codes, Floats
from core.batch import ReadingBatch
from core.plant import Plant
from runtime.errors import UsageError
from runtime.tables.readings import readings_of
from runtime.tables.recognise import TextForm
from runtime.tables.table import Table, read_table
from schemas.near_names import looks_like

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
    """A history of n readings, by machine and then time, with its known truth.

    split: 0 train, 1 val, 2 test, (n,). anomaly: (n,). hours_to_failure: (n,), infinite where no failure is
    known to follow; None where that truth is not in the data at all. notes: how files were read and what is odd about
    the data, in sentences. duplicates: rows left out because their machine and time were there already.
    outcome_known: (n,), false where it will only show whether a failure follows; None where it is known of all rows.
    excluded: rows left out before, by reason.
    """

    batch: ReadingBatch
    split: Codes
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
            UsageError: a file is missing, empty or unreadable, a column is missing, or too many rows are unusable.
        """
        if not folder.is_dir():
            raise UsageError(f"data folder {folder}: does not exist; nexova data generate --out {folder} creates one")
        paths = {split: _find(folder, f"{split}_data") for split in SPLITS}
        form = TextForm(encoding=plant.csv.encoding, decimal=plant.csv.decimal)
        checked = {split: _checked(read_table(path, form), plant=plant) for split, path in paths.items()}
        found = cls.of_splits({split: frame for split, (frame, _) in checked.items()}, plant=plant)
        return replace(found, notes=(*(note for _, note in checked.values()), *found.notes))

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, *, plant: Plant, ratio: Ratio = DEFAULT_RATIO, source: str = "data") -> Self:
        """Split one table in time, the same moment for all machines.

        Raises:
            UsageError: as `read`.
        """
        rows = frame.set_axis(pd.RangeIndex(1, len(frame) + 1))
        checked, _ = _checked(Table(path=Path(source), frame=rows, form=None), plant=plant)
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


def split_in_time(seconds: Floats, ratio: Ratio = DEFAULT_RATIO) -> Codes:
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


def _checked(table: Table, *, plant: Plant) -> tuple[pd.DataFrame, str]:
    """Return the columns we use (machine ids as text, epoch seconds, floats), and how they were read."""
    missing = [column for column in ("machine_id", "timestamp", *plant.measured_names) if column not in table.columns]
    if missing:
        raise UsageError(
            f"{table.path}: has no column {', '.join(missing)}; it has {', '.join(table.columns)}"
            f"{looks_like(table.columns, plant.sensor_names)}: "
            "name the columns as the plant file does"
        )
    found = readings_of(table, plant, truth=(ANOMALY_COLUMN, FAILURE_COLUMN))
    truth = dict(found.truth)
    if ANOMALY_COLUMN in truth and not np.isin(truth[ANOMALY_COLUMN], (0, 1)).all():
        raise UsageError(f"{table.path}: {ANOMALY_COLUMN} must be 0 or 1 in every row; label the rows that are neither")
    sensors = {name: found.values[:, index] for index, name in enumerate(plant.sensor_names)}  # noqa: PD011  an array
    frame = pd.DataFrame({"machine_id": found.machine_ids, "timestamp": found.timestamps} | sensors | truth)
    return frame, f"{table.path}: {'; '.join(found.notes)}"


def oddities(values: Floats, plant: Plant) -> tuple[str, ...]:
    """Return a note for each sensor without information in the training part; it is harmless, but not learned from."""
    notes = []
    for name, column in zip(plant.sensor_names, values.T, strict=True):
        if name not in plant.measured_names:
            continue
        present = column[np.isfinite(column)]
        missing = 1 - present.size / max(column.size, 1)
        if missing >= _MOSTLY_MISSING:
            notes.append(f"sensor {name} is missing in {missing:.1%} of the training rows: it teaches nothing")
        elif np.ptp(present) == 0:
            notes.append(f"sensor {name} is {present[0]:g} in all training rows: it teaches nothing")
    return tuple(notes)
