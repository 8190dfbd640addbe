"""Run-to-failure tables: each machine's rows from some moment of its life to its failure, which is the last row.

A table has columns for machines, for times or cycles, and for sensors, and may have one for hours to failure.
The original files of C-MAPSS (26 columns without names, separated by spaces) are read as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.arrays import Codes, Floats
from core.batch import ReadingBatch
from core.plant import Plant, parse_plant
from runtime.errors import UsageError
from runtime.tables.columns import SetAside, holds_numbers, numbers
from runtime.tables.plant_draft import MACHINE_COLUMNS, draft_plant
from runtime.tables.readings import readings_of
from runtime.tables.recognise import TextForm
from runtime.tables.table import Table, read_table
from trainer.datasets import FAILURE_COLUMN, Datasets, oddities

_UNIT_COLUMNS: Final = ("unit", "unit_id", "unit_number", "unit_nr", "engine", "engine_id")
_MACHINE_COLUMNS: Final = (*MACHINE_COLUMNS[:2], *_UNIT_COLUMNS, *MACHINE_COLUMNS[2:])
_TIMES: Final = ("timestamp", "time", "datetime", "date")
_CYCLES: Final = ("cycle", "cycles", "time_in_cycles", "time_cycles", "time_cycle", "timestep", "step", "time", "hours")
_TARGETS: Final = (FAILURE_COLUMN, "rul", "remaining_useful_life", "cycles_to_failure", "time_to_failure")
_ORIGINAL_WIDTH: Final = 26
_ORIGINAL: Final = (
    "machine_id", "cycle", "setting_1", "setting_2", "setting_3", *(f"sensor_{number}" for number in range(1, 22)),
)  # fmt: skip
_BEGIN: Final = np.datetime64("2000-01-01T00:00:00")
_FILES: Final = (".csv", ".txt", ".parquet", ".pq")
_HELD_OUT: Final = 5  # every fifth machine
_SHORTEST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Rows of run-to-failure tables, n of them, by machine and then time.

    hours_to_failure: (n,), infinite where unknown; recorded: they are a column of the table. cycles: the table counts
    cycles, each of which counts as an hour. duplicates: rows left out. notes: how the tables were read.
    """

    batch: ReadingBatch
    hours_to_failure: Floats
    recorded: bool
    cycles: bool
    duplicates: int
    notes: tuple[str, ...]

    @property
    def step(self) -> float:
        """Median time between two rows of a machine in hours; 1 where no machine has two rows."""
        own = self.batch.machine[1:] == self.batch.machine[:-1]
        steps = np.diff(self.batch.timestamps)[own]
        return float(np.median(steps)) / 3600 if steps.size else 1.0


def files_of(data: Path, test: Path | None, truth: Path | None) -> tuple[list[Path], Path | None, Path | None]:
    """Return the training tables, the test table and its file of truth; a folder may name them as C-MAPSS does.

    Raises:
        UsageError: there is no such file or folder, it holds no tables, or it has several for one test table.
    """
    if data.is_file():
        return [data], test, truth
    if not data.is_dir():
        raise UsageError(f"--data {data}: there is no such file or folder; give a run-to-failure table")
    found = sorted(path for path in data.iterdir() if path.suffix.lower() in _FILES)
    learned = [path for path in found if path.name.lower().startswith("train")]
    tests = [path for path in found if path.name.lower().startswith("test")]
    truths = [path for path in found if path.name.lower().startswith(("rul", "truth"))]
    if len(learned) == 1:
        alone = len(tests) == len(truths) == 1 and test is None and truth is None
        return learned, tests[0] if alone else test, truths[0] if alone else truth
    if len(learned) > 1 and tests:
        raise UsageError(f"--data {data}: holds {len(learned)} files train*; name one of them, and its test by --test")
    if not found:
        raise UsageError(f"--data {data}: holds no file {', '.join(_FILES)}; give run-to-failure tables")
    return found, test, truth


def plant_for(paths: Sequence[Path], plant: Plant, *, chosen: bool) -> tuple[Plant, str | None]:
    """Return the plant of the tables; where `plant` does not fit, a drafted one with the text of its plant file.

    chosen: the user named `plant`, which is then used in any case.
    """
    if chosen:
        return plant, None
    table, _ = _canonical(paths[0], plant)
    if set(plant.measured_names) <= set(table.columns):
        return plant, None
    raw, _ = _canonical(paths[0], None)
    text = draft_plant(raw, name="recorded", zone="UTC").text
    return parse_plant(text, source="the drafted plant file"), text


def read_runs(paths: Sequence[Path], plant: Plant) -> Runs:
    """Return the rows of run-to-failure tables; of rows with the same machine and time, the first.

    Raises:
        UsageError: a file has no column of machines or of times, no sensor of the plant, or unusable rows.
    """
    ids: list[str] = []
    times, values, recorded = [], [], []
    notes: list[str] = []
    cycles = False
    for path in paths:
        table, counted = _canonical(path, plant)
        cycles |= counted
        found = readings_of(table, plant, truth=(FAILURE_COLUMN,))
        ids += found.machine_ids
        times.append(found.timestamps)
        values.append(found.values)
        recorded.append(found.truth.get(FAILURE_COLUMN, np.full(len(found.timestamps), np.nan)))
        notes.append(f"{path}: {'; '.join(found.notes)}")
    seconds, hours = np.concatenate(times), np.concatenate(recorded)
    batch = ReadingBatch.from_columns(ids, seconds, np.concatenate(values))
    order = np.lexsort((seconds, batch.machine))
    machine, seconds = batch.machine[order], seconds[order]
    twice = np.append(False, (np.diff(machine) == 0) & (np.diff(seconds) == 0))
    kept = order[~twice]
    hours = hours[kept]
    batch = ReadingBatch(
        machine_ids=batch.machine_ids,
        machine=batch.machine[kept],
        timestamps=batch.timestamps[kept],
        values=batch.values[kept],  # noqa: PD011  an array
        offsets=np.arange(len(kept)),
    )
    known = bool(np.isfinite(hours).any())
    return Runs(
        batch=batch,
        hours_to_failure=np.where(np.isnan(hours), np.inf, hours) if known else _to_last_row(batch),
        recorded=known,
        cycles=cycles,
        duplicates=int(twice.sum()),
        notes=tuple(notes),
    )


def read_truth(path: Path, machines: int) -> Floats:
    """Return the time to failure after the last row of each test machine: one number a line, (machines,).

    Raises:
        UsageError: the file cannot be read, or does not hold one number of at least 0 for each machine.
    """
    try:
        words = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--truth {path}: cannot be read ({error}); give a text file of numbers") from error
    found: list[float] = []
    for number, word in enumerate(words):
        try:
            found.append(float(word))
        except ValueError:
            if number == 0:  # a heading
                continue
            raise UsageError(f"--truth {path}: {word!r} is no number; write one number a line") from None
    if len(found) != machines or not all(np.isfinite(found)) or min(found) < 0:
        raise UsageError(
            f"--truth {path}: {len(found)} times to failure, the test file has {machines} machines; give one number "
            "of at least 0 for each, in the order of the machines"
        )
    return np.array(found)


def datasets_of_runs(runs: Runs, test: Runs | None, plant: Plant) -> Datasets:
    """Return a data set whose test split is the machines of `test` or, without one, a fifth of the machines."""
    if test is None:
        names = sorted(runs.batch.machine_ids)
        order = np.random.default_rng(1).permutation(len(names))
        held = {names[index] for index in order[::_HELD_OUT]}
        split = np.array([2 * (one in held) for one in runs.batch.machine_ids], dtype=np.int8)[runs.batch.machine]
        return _datasets(runs.batch, runs.hours_to_failure, split, runs, plant)
    count = len(runs.batch.machine_ids)
    batch = ReadingBatch(
        machine_ids=(*runs.batch.machine_ids, *(f"{one} (test)" for one in test.batch.machine_ids)),
        machine=np.concatenate([runs.batch.machine, test.batch.machine + count]),
        timestamps=np.concatenate([runs.batch.timestamps, test.batch.timestamps]),
        values=np.concatenate([runs.batch.values, test.batch.values]),  # noqa: PD011  arrays
        offsets=np.arange(len(runs.batch) + len(test.batch)),
    )
    hours = np.concatenate([runs.hours_to_failure, test.hours_to_failure])
    return _datasets(batch, hours, np.where(batch.machine < count, 0, 2).astype(np.int8), runs, plant)


def with_truth(test: Runs, after_last: Floats) -> Runs:
    """Return `test` with hours to failure, computed from those after each machine's last row, (machines,)."""
    return Runs(
        batch=test.batch,
        hours_to_failure=_to_last_row(test.batch) + after_last[test.batch.machine],
        recorded=True,
        cycles=test.cycles,
        duplicates=test.duplicates,
        notes=test.notes,
    )


def _datasets(batch: ReadingBatch, hours: Floats, split: Codes, runs: Runs, plant: Plant) -> Datasets:
    return Datasets(
        batch=batch,
        split=split,
        anomaly=None,
        hours_to_failure=hours,
        notes=(*runs.notes, *oddities(batch.values[split == 0], plant)),  # noqa: PD011  an array
        duplicates=runs.duplicates,
    )


def _to_last_row(batch: ReadingBatch) -> Floats:
    last = np.full(len(batch.machine_ids), -np.inf)
    np.maximum.at(last, batch.machine, batch.timestamps)
    return np.asarray((last[batch.machine] - batch.timestamps) / 3600)


def _canonical(path: Path, plant: Plant | None) -> tuple[Table, bool]:
    """Return a table with columns machine_id, timestamp and the sensors, and whether its times are cycles."""
    table = _original(path) or read_table(path, _form(plant))
    if len(table.columns) == 1 and table.form is not None:
        table = read_table(path)  # its form is not the one that the plant file's [csv] describes
    names = {name.lower(): name for name in table.columns}
    form = None if plant is None else plant.csv
    machine = _named(table, form.machine_id_column if form else None) or _first(names, _MACHINE_COLUMNS)
    if machine is None:
        raise UsageError(
            f"{path}: has no column of machines; it has {', '.join(table.columns)}: name one machine_id or unit"
        )
    stamped = _named(table, form.timestamp_column if form else None) or _first(names, _TIMES)
    counted = stamped is None or _is_count(table, stamped)
    time = _first(names, _CYCLES) if stamped is None else stamped
    if time is None:
        raise UsageError(
            f"{path}: has no column of times or cycles; it has {', '.join(table.columns)}: name one timestamp or cycle"
        )
    target = _first(names, _TARGETS)
    renamed = {machine: "machine_id", time: "timestamp"} | ({target: FAILURE_COLUMN} if target else {})
    if form is not None:
        renamed |= {column: sensor for column, sensor in form.columns.items() if column not in renamed}
    frame = table.frame.rename(columns=renamed)
    frame = frame[frame["machine_id"].astype(str).str.strip() != ""]
    frame = frame.assign(machine_id=frame["machine_id"].astype(str).str.strip())
    if counted:
        frame = frame.assign(timestamp=_moments(table, time))
    return Table(path=path, frame=frame, form=table.form), counted


def _moments(table: Table, column: str) -> "pd.Series[str]":
    """Return cycles as times in ISO 8601, an hour each, from 2000-01-01 on."""
    aside = SetAside(table)
    found = numbers(table, column, aside)
    aside.kept()
    if not np.isfinite(found).all() or np.abs(found).max() > 1e6:  # noqa: PLR2004  a century of hours
        raise UsageError(f"{table.path}: column {column} must hold a number up to 1,000,000 in each row; correct it")
    seconds = np.round(found * 3600).astype("timedelta64[s]")
    return pd.Series([f"{moment}Z" for moment in (_BEGIN + seconds).astype(str)], index=table.frame.index)


def _is_count(table: Table, column: str) -> bool:
    """Return whether a column of times holds cycles or hours: numbers too small for seconds since 1970."""
    if not holds_numbers(table, column):
        return False
    cells = pd.to_numeric(table.text(column), errors="coerce")
    return bool(cells.max() < 1e6)  # noqa: PLR2004  seconds since 1970 are more


def _original(path: Path) -> Table | None:
    """Return a table in the layout of C-MAPSS, or None for any other file."""
    if not path.is_file() or path.suffix.lower() in {".parquet", ".pq"}:
        return None
    try:
        with path.open(encoding="utf-8") as file:
            cells = file.readline().split()
        if len(cells) != _ORIGINAL_WIDTH or not all(_is_number(cell) for cell in cells):
            return None
        frame = pd.read_csv(path, sep=r"\s+", header=None, names=list(_ORIGINAL), dtype=str)
    except (OSError, ValueError):  # `read_table` reports what is wrong with the file
        return None
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return Table(path=path, frame=frame.fillna(""), form=TextForm(separator=" ", decimal="."))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _form(plant: Plant | None) -> TextForm:
    if plant is None:
        return TextForm()
    return TextForm(encoding=plant.csv.encoding, separator=plant.csv.delimiter, decimal=plant.csv.decimal)


def _named(table: Table, column: str | None) -> str | None:
    return column if column in table.columns else None


def _first(names: dict[str, str], wanted: Sequence[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)
