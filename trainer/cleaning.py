"""Cleaning and labelling of a history for training, by feedback: pure rules on rows of readings.

Rows that would teach a model that a fault is normal are excluded: alerts without feedback, stuck sensors,
work on the machine, and the time from a failure to its repair. Readings of machines that are off or still warming up
stay in the history, because features are averages over it; the families do not learn from them and count them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from core.arrays import HOUR, Bools, Floats, Ints
from core.batch import ReadingBatch
from core.detection.features import physical
from core.plant import Plant, Sensor
from core.state.traits import traits_of
from schemas.alerts import Alert
from schemas.feedback import Feedback

Reason = Literal[
    "in an alert that nobody judged", "sensor stuck", "during maintenance", "between a failure and its repair"
]

MAINTENANCE_HOURS: Final = 4.0
"""So long before it was reported done, a maintenance is taken to have begun."""
REPAIR_HOURS: Final = 24.0
"""So long after a failure, without a word of maintenance, the machine is taken to be repaired."""
LONGEST_REPAIR_HOURS: Final = 168.0
"""Maintenance that is done later than that after a failure is not its repair."""
_FEW_RUNS: Final = 3
"""Minimum number of runs of equal values from which a usual length is determined."""
_ABOUT_READINGS: Final = frozenset({"anomaly", "limit", "sensor_fault"})
_JUDGEMENTS: Final = frozenset({"confirmed", "false_alarm", "expected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackHistory:
    """Alerts and feedback, in the order of their topics."""

    alerts: Sequence[Alert] = ()
    feedback: Sequence[Feedback] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanHistory:
    """n readings to learn from, by machine and then time.

    anomaly (n,): confirmed by people; None where people judged no alert. hours_to_failure (n,): infinite where none
    comes in time; None where no failure was reported. outcome_known (n,): false where the time to come would tell.
    excluded: rows left out, by reason, each row once.
    """

    batch: ReadingBatch
    anomaly: Bools | None
    hours_to_failure: Floats | None
    outcome_known: Bools
    duplicates: int
    excluded: Mapping[Reason, int] = field(default_factory=dict)


def clean(batch: ReadingBatch, statements: FeedbackHistory, *, plant: Plant, horizon_hours: float) -> CleanHistory:
    """Sort a history, exclude rows that would spoil a model, and label the rest by feedback.

    horizon_hours: a failure further away than that does not show.
    """
    batch, duplicates = _in_order(batch)
    unjudged, confirmed = _alerts(batch, statements)
    reasons: list[tuple[Reason, Bools]] = [
        ("between a failure and its repair", _broken(batch, statements.feedback)),
        ("during maintenance", _maintained(batch, statements.feedback)),
        ("sensor stuck", stuck(batch, plant)),
        ("in an alert that nobody judged", unjudged),
    ]
    left_out = np.zeros(len(batch), dtype=bool)
    excluded: dict[Reason, int] = {}
    for reason, rows in reasons:
        excluded[reason] = int((rows & ~left_out).sum())
        left_out |= rows
    hours, known = _hours_to_failure(batch, statements.feedback, horizon=horizon_hours)
    judged = any(statement.kind in _JUDGEMENTS for statement in statements.feedback)
    failed = any(statement.kind == "failure" for statement in statements.feedback)
    kept = ~left_out
    return CleanHistory(
        batch=batch.take(kept),
        anomaly=confirmed[kept] if judged else None,
        hours_to_failure=hours[kept] if failed else None,
        outcome_known=known[kept],
        duplicates=duplicates,
        excluded=excluded,
    )


def resting(batch: ReadingBatch, plant: Plant) -> tuple[Bools, Bools]:
    """Return the rows of machines that are off, and of those that idle, (n,) each; none where no power is known."""
    power = plant.index_of_role("power")
    if power is None:
        none = np.zeros(len(batch), dtype=bool)
        return none, none.copy()
    limits = np.array([traits_of(plant, machine_id)[:2] for machine_id in batch.machine_ids]).reshape(-1, 2)
    drawn = batch.values[:, power]
    off = drawn < limits[batch.machine, 0]
    return off, ~off & (drawn < limits[batch.machine, 1])


def stuck(batch: ReadingBatch, plant: Plant) -> Bools:
    """Return the rows in a run of equal values of a sensor that is stuck by the plant file, its first rows included.

    As in the stream: a run of zeros is none, gaps do not break it, a machine that stands may repeat itself, and runs
    are judged by the usual one of that sensor and machine, as a gateway may repeat the values of a slow sensor.
    """
    off, idle = resting(batch, plant)
    running = np.flatnonzero(~(off | idle))
    found = np.zeros(len(batch), dtype=bool)
    values = physical(batch.values, plant)
    for sensor, column in zip(plant.sensors, values.T, strict=True):
        if not sensor.stuck_after_readings:
            continue
        rows = running[~np.isnan(column[running])]
        said, machine = column[rows], batch.machine[rows]
        begins = np.ones(rows.size, dtype=bool)
        begins[1:] = (said[1:] != said[:-1]) | (machine[1:] != machine[:-1]) | (said[1:] == 0)
        run = np.cumsum(begins) - 1
        lengths = np.bincount(run)
        usual = _usual_runs(lengths, machine[begins], least=_own_readings(sensor, plant))
        found[rows[(lengths >= sensor.stuck_after_readings * usual)[run]]] = True
    return found


def _own_readings(sensor: Sensor, plant: Plant) -> float:
    return max(1.0, (sensor.interval_seconds or 0.0) / plant.interval_seconds)


def _usual_runs(lengths: Ints, machine: Ints, *, least: float) -> Floats:
    """Return the median length of the runs of the machine of each run, (n,); `least` where it has few."""
    usual = np.full(lengths.size, least)
    for one in np.unique(machine):
        runs = machine == one
        if runs.sum() >= _FEW_RUNS:
            usual[runs] = max(least, float(np.median(lengths[runs])))
    return usual


def _in_order(batch: ReadingBatch) -> tuple[ReadingBatch, int]:
    """By machine and time; of several readings of a machine at one moment, the first that came."""
    names = np.argsort(np.argsort(batch.machine_ids)) if batch.machine_ids else np.zeros(0, dtype=np.int64)
    machine = names[batch.machine] if len(batch) else batch.machine
    order = np.lexsort((batch.offsets, batch.timestamps, machine))
    ordered = ReadingBatch(
        machine_ids=tuple(sorted(batch.machine_ids)),
        machine=np.asarray(machine[order], dtype=np.int64),
        timestamps=batch.timestamps[order],
        values=batch.values[order],
        offsets=np.arange(len(batch), dtype=np.int64),
    )
    again = np.zeros(len(batch), dtype=bool)
    again[1:] = (np.diff(ordered.machine) == 0) & (np.diff(ordered.timestamps) == 0)
    return ordered.take(~again), int(again.sum())


def _alerts(batch: ReadingBatch, statements: FeedbackHistory) -> tuple[Bools, Bools]:
    """Return the rows in alerts without feedback, and rows in confirmed ones, (n,) each; confirmed goes before."""
    latest = {alert.alert_id: alert for alert in statements.alerts if alert.kind in _ABOUT_READINGS}
    judged = {one.alert_id: one for one in statements.feedback if one.kind in _JUDGEMENTS and one.alert_id is not None}
    unjudged, confirmed = np.zeros(len(batch), dtype=bool), np.zeros(len(batch), dtype=bool)
    for alert in latest.values():
        end = np.inf if alert.resolved_at is None else alert.resolved_at.timestamp()
        rows = _between(batch, alert.machine_id, alert.opened_at.timestamp(), end)
        statement = judged.get(alert.alert_id)
        if statement is None:
            unjudged[rows] = True
        elif statement.kind == "confirmed" and alert.kind != "sensor_fault":
            confirmed[rows] = True
        elif statement.kind == "confirmed":
            unjudged[rows] = True  # a sensor that is broken teaches nothing of the machine
    return unjudged & ~confirmed, confirmed


def _maintained(batch: ReadingBatch, feedback: Iterable[Feedback]) -> Bools:
    rows = np.zeros(len(batch), dtype=bool)
    for one in feedback:
        if one.kind == "maintenance_done":
            done = one.at.timestamp()
            rows[_between(batch, one.machine_id, done - MAINTENANCE_HOURS * HOUR, done)] = True
    return rows


def _broken(batch: ReadingBatch, feedback: Sequence[Feedback]) -> Bools:
    rows = np.zeros(len(batch), dtype=bool)
    repairs = _moments(feedback, "maintenance_done")
    for machine_id, failures in _moments(feedback, "failure").items():
        for failed in failures.tolist():
            later = repairs.get(machine_id, np.zeros(0))
            later = later[(later >= failed) & (later <= failed + LONGEST_REPAIR_HOURS * HOUR)]
            repaired = float(later[0]) if later.size else failed + REPAIR_HOURS * HOUR
            rows[_between(batch, machine_id, failed, repaired)] = True
    return rows


def _hours_to_failure(batch: ReadingBatch, feedback: Sequence[Feedback], *, horizon: float) -> tuple[Floats, Bools]:
    """Return the hours to the failure that follows, (n,), and whether what follows is known.

    Work on the machine before it failed hides whether it would have; so does the end of the history.
    """
    hours, known = np.full(len(batch), np.inf), np.zeros(len(batch), dtype=bool)
    failures, repairs = _moments(feedback, "failure"), _moments(feedback, "maintenance_done")
    for number, machine_id in enumerate(batch.machine_ids):
        rows = _rows_of(batch, number)
        at = batch.timestamps[rows]
        failure = _next(failures.get(machine_id), at)
        repair = _next(repairs.get(machine_id), at)
        # a machine that failed may have sent nothing since
        fails = np.isfinite(failure) & (failure <= repair)
        hidden = np.minimum(repair, batch.timestamps.max())
        hours[rows] = np.where(fails, (failure - at) / HOUR, np.inf)
        known[rows] = fails | (hidden - at >= horizon * HOUR)
    return hours, known


def _moments(feedback: Iterable[Feedback], kind: str) -> dict[str, Floats]:
    found: dict[str, list[float]] = {}
    for one in feedback:
        if one.kind == kind:
            found.setdefault(one.machine_id, []).append(one.at.timestamp())
    return {machine_id: np.unique(moments) for machine_id, moments in found.items()}


def _next(moments: Floats | None, at: Floats) -> Floats:
    """Return the first of the moments at or after each of `at`, infinite where none is."""
    if moments is None:
        return np.full(at.size, np.inf)
    return np.append(moments, np.inf)[np.searchsorted(moments, at, side="left")]


def _rows_of(batch: ReadingBatch, number: int) -> slice:
    """Return the rows of a machine, in a batch that is in order."""
    first, end = np.searchsorted(batch.machine, (number, number + 1))
    return slice(int(first), int(end))


def _between(batch: ReadingBatch, machine_id: str, begin: float, end: float) -> slice:
    """Return the rows of a machine from `begin` to `end`, both included, in a batch that is in order."""
    if machine_id not in batch.machine_ids:
        return slice(0, 0)
    own = _rows_of(batch, batch.machine_ids.index(machine_id))
    at = batch.timestamps[own]
    first, last = np.searchsorted(at, begin, side="left"), np.searchsorted(at, end, side="right")
    return slice(own.start + int(first), own.start + int(last))
