"""Recorded readings from files, in the form described by the plant file or in the canonical one."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from core.arrays import Bools
from core.plant import Plant
from producer.publish import Readings
from runtime.tables.readings import read_readings


def _ignore(_: str) -> None:
    pass


def read_readings_csv(
    path: Path, plant: Plant, *, latest: datetime | None = None, note: Callable[[str], None] = _ignore
) -> tuple[Readings, Bools | None]:
    """Return the readings of a file in its own order, and the labels of its rows, (n,), or None where it has none.

    latest: time after which readings are implausible. note: called with one sentence on how the file was read.

    Raises:
        UsageError: the file cannot be used; the message names file, line, value, rule and remedy.
    """
    names = dict.fromkeys((plant.csv.label_column or "anomaly", "anomaly"))
    found = read_readings(path, plant, truth=tuple(names), latest=latest)
    label = next((name for name in names if name in found.truth), None)
    note(f"{path}: {len(found.machine_ids):,} readings; {'; '.join(found.notes)}")
    readings = Readings(machine_ids=found.machine_ids, timestamps=found.timestamps, values=found.values)
    return readings, None if label is None else found.truth[label] > 0
