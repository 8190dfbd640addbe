"""Runs of the stream's rules over recorded readings, one state a file, for `nexova backtest detect`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core.arrays import Bools, Floats, Ints
from core.assess import assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from producer.publish import Readings
from producer.replay import read_readings_csv
from runtime.errors import UsageError
from schemas.alerts import Alert

_BATCH: Final = 8192  # readings; the results do not depend on it


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCourse:
    """Results of the rules for the n readings of one file, in the order of the file.

    truth (n,): labelled anomalous, None without labels. score (n,) in [0, 1], NaN where not scored. flagged (n,).
    opened (n,): alerts that the reading opened; open (n,): its machine has an open alert after it. measured (n,): not
    used for learning only. alerts: every change of an alert, in order.
    """

    path: Path
    readings: Readings
    truth: Bools | None
    score: Floats
    flagged: Bools
    opened: Ints
    open: Bools
    measured: Bools
    alerts: tuple[Alert, ...]

    def machines(self) -> Iterator[tuple[str, Ints]]:
        """Return each machine of the file with its measured rows."""
        ids = np.asarray(self.readings.machine_ids)
        for machine_id in dict.fromkeys(self.readings.machine_ids):
            yield machine_id, np.flatnonzero((ids == machine_id) & self.measured)


def assess_file(path: Path, *, plant: Plant, models: Models, taught: int | None) -> FileCourse:
    """Return the results of the rules for a file's readings, each based only on the readings before it.

    taught: number of readings of each machine used for learning only; None: those before its baseline is known.

    Raises:
        UsageError: the file cannot be used; the message names the line and the reason.
    """
    readings, truth = read_readings_csv(path, plant)
    _check_times(path, readings, plant)
    n = len(readings)
    state = FleetState(plant)
    score, flagged = np.full(n, np.nan), np.zeros(n, dtype=np.bool_)
    warm = np.zeros(n, dtype=np.bool_)
    changes: list[tuple[int, Alert]] = []
    for begin in range(0, n, _BATCH):
        part = slice(begin, min(begin + _BATCH, n))
        batch = ReadingBatch.from_columns(
            readings.machine_ids[part],
            readings.timestamps[part],
            readings.values[part],
            np.arange(part.start, part.stop, dtype=np.int64),
        )
        found = assess(batch, state=state, models=models, plant=plant)
        state = found.state
        score[part], flagged[part], warm[part] = found.scores.anomaly, found.scores.flagged, found.scores.warm
        changes += [(begin + row, alert) for row, alert in found.alerts]
    opened, is_open = _alert_rows(readings.machine_ids, changes)
    return FileCourse(
        path=path,
        readings=readings,
        truth=truth,
        score=score,
        flagged=flagged,
        opened=opened,
        open=is_open,
        measured=warm if taught is None else _number_of_machine(readings.machine_ids) >= taught,
        alerts=tuple(alert for _, alert in changes),
    )


def _check_times(path: Path, readings: Readings, plant: Plant) -> None:
    early = readings.timestamps < plant.readings.earliest.timestamp()
    if early.any():
        row = int(early.argmax())
        raise UsageError(
            f"{path}: reading {row + 1} is older than {plant.readings.earliest.isoformat()}, the plant file's "
            "readings.earliest; correct its time, or set an earlier one"
        )


def _number_of_machine(machine_ids: Sequence[str]) -> Ints:
    """Return for each reading the number of earlier readings of its machine, (n,)."""
    seen: dict[str, int] = {}
    numbers = np.empty(len(machine_ids), dtype=np.int64)
    for row, machine_id in enumerate(machine_ids):
        numbers[row] = seen.get(machine_id, 0)
        seen[machine_id] = int(numbers[row]) + 1
    return numbers


def _alert_rows(machine_ids: Sequence[str], changes: list[tuple[int, Alert]]) -> tuple[Ints, Bools]:
    """Return the number of alerts each reading opened, and whether its machine has an open one after it, (n,) each."""
    n = len(machine_ids)
    opened, is_open = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    by_row: dict[int, list[Alert]] = {}
    for row, alert in changes:
        by_row.setdefault(row, []).append(alert)
    kinds: dict[str, set[str]] = {}
    for row, machine_id in enumerate(machine_ids):
        for alert in by_row.get(row, ()):
            opened[row] += alert.state == "opened"
            if alert.state == "resolved":
                kinds.setdefault(alert.machine_id, set()).discard(alert.kind)
            else:
                kinds.setdefault(alert.machine_id, set()).add(alert.kind)
        is_open[row] = bool(kinds.get(machine_id))
    return opened, is_open
