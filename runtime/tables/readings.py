"""Readings of machines from a file, with the plant file's sensors as columns, and labels if present."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from core.arrays import Floats
from core.plant import CsvFormat, Plant
from core.plant.sensors import TRUTH_COLUMNS
from runtime.tables.columns import (
    SetAside,
    columns_sentence,
    epoch_seconds,
    ids,
    known_decimal,
    numbers,
    refuse,
    time_columns,
)
from runtime.tables.recognise import TextForm
from runtime.tables.table import Table, read_table
from schemas.near_names import near_misses

_CANONICAL: Final = {"machine_id", "timestamp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsFile:
    """Readings of a file in its order, n of them.

    timestamps: epoch seconds, (n,). values: (n, sensors), NaN where missing. truth: columns of labels by name, (n,).
    notes: one sentence for each conversion that affects the results.
    """

    machine_ids: list[str]
    timestamps: Floats
    values: Floats
    truth: Mapping[str, Floats]
    notes: tuple[str, ...]


def read_readings(
    path: Path, plant: Plant, *, truth: Sequence[str] = (), latest: datetime | None = None
) -> ReadingsFile:
    """Return the readings of a CSV or Parquet file.

    Columns are named as the plant file's `[csv]` says, or canonically: machine_id, timestamp, the sensors. truth:
    columns of labels to read where they are there. latest: later readings are implausible.

    Raises:
        UsageError: the file is missing or empty, or too many of its rows cannot be used; the message says which.
    """
    form = plant.csv
    given = TextForm(encoding=form.encoding, separator=form.delimiter, decimal=form.decimal)
    table = read_table(path, given)
    if given.separator and _times_of(table, form) == () and _CANONICAL.isdisjoint(table.columns):
        # a canonical file needs no [csv] of its own
        table = read_table(path, TextForm(encoding=form.encoding, decimal=form.decimal))
    return readings_of(table, plant, truth=truth, latest=latest)


def readings_of(
    table: Table, plant: Plant, *, truth: Sequence[str] = (), latest: datetime | None = None
) -> ReadingsFile:
    """Return the readings of a table; arguments and errors as in `read_readings`."""
    form = plant.csv
    canonical = set(table.columns) >= _CANONICAL
    if canonical:
        form = CsvFormat(machine_id_column="machine_id", timezone=form.timezone)
    times = _times_of(table, form)
    if not times:
        refuse(f"{table.path}: there is no column {form.timestamp_column!r}", "name it in the plant file's [csv]")
    columns = _sensor_columns(table, plant, {} if canonical else form.columns)
    if not columns:
        near = near_misses(table.columns, plant.sensor_names)
        looks = "".join(f"; {column!r} looks like {sensor}" for column, sensor in near.items())
        remedy = "rename it, or map it in [csv.columns]" if near else "choose the plant file with --plant"
        refuse(f"{table.path}: no column is a sensor of plant {plant.name!r}{looks}", remedy)
    labels = [name for name in truth if name in table.columns]
    table = known_decimal(table, [*columns.values(), *labels])
    aside = SetAside(table)
    machines, machine_column = _machine_ids(table, form)
    zone = form.timezone or plant.timezone
    found = epoch_seconds(table, times, aside, zone=ZoneInfo(zone), groups=machines, latest=latest)
    values = np.full((len(table.frame), len(plant.sensors)), np.nan)
    for index, name in enumerate(plant.sensor_names):
        if name in columns:
            values[:, index] = numbers(table, columns[name], aside)
    label_values = {name: numbers(table, name, aside) for name in labels}
    kept = aside.kept()
    used = dict.fromkeys([*machine_column, *times, *columns.values(), *labels, *TRUTH_COLUMNS], "")
    used = {column: "" for column in used if column in table.columns}
    notes = [columns_sentence(table.columns, used, plant.sensor_names)]
    if table.form is not None:
        notes.insert(0, table.form.sentence())
    if not machine_column:
        notes.append(f"machine id {machines[0]}, from the file's name")
    if found.repeated.any():
        notes.append(f"{int(found.repeated.sum()):,} rows in an hour that {zone} has twice")
    notes += aside.sentences()
    return ReadingsFile(
        machine_ids=[one for one, use in zip(machines, kept.tolist(), strict=True) if use],
        timestamps=found.seconds[kept],
        values=values[kept],
        truth={name: column[kept] for name, column in label_values.items()},
        notes=tuple(notes),
    )


def _times_of(table: Table, form: CsvFormat) -> tuple[str, ...]:
    if form.time_column is not None and {form.timestamp_column, form.time_column} <= set(table.columns):
        return (form.timestamp_column, form.time_column)
    return time_columns(table, form.timestamp_column)


def _sensor_columns(table: Table, plant: Plant, mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the file's column of each sensor that it has."""
    named = mapping or {name: name for name in plant.sensor_names}
    return {sensor: column for column, sensor in named.items() if column in table.columns}


def _machine_ids(table: Table, form: CsvFormat) -> tuple[list[str], tuple[str, ...]]:
    """Return the machine of each row, and the column it is from; none: the file's name."""
    column = form.machine_id_column
    if column is None and "machine_id" in table.columns:
        column = "machine_id"
    if column is None or column not in table.columns:
        return [f"{form.machine_prefix}{table.path.stem}"] * len(table.frame), ()
    return ids(table, column), (column,)
