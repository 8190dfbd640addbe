"""Alerts on devices with a wrong clock.

A single delayed reading does not show a wrong clock: it may have waited in a buffer, or the whole partition may be
behind with its worker. A clock is wrong if its readings are repeatedly ahead or behind by about the same time while the
clocks of most other machines of the partition are right.

    ours      12:00 12:01 12:02 12:03 12:04 12:05 12:06
    device    12:50 12:51 12:52 12:53 12:04 12:05 12:06
    finding               O                       R
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from core.alerting.messages import alert_id, resolved
from core.alerting.suppression import suppressed_at
from core.arrays import HOUR, Floats, Ints
from core.batch import ReadingBatch, Stray
from core.plant import Plant
from core.state.episodes import FOLLOWED_KINDS
from core.state.fleet import CLOCK, ClockRun, FleetState
from schemas.alerts import Alert, AlertModel, Signal
from schemas.scores import FLAG_AT

LONG_ENOUGH_SECONDS: Final = 60.0
"""Minimum time, by our clock, for which a device's clock must have been wrong before an alert."""
ENOUGH: Final = 3
"""Consecutive arrivals after which a clock counts as wrong, or as right again."""
_MODEL: Final = AlertModel(name=CLOCK, version="1", level="rule")
_KIND: Final = "sensor_fault"
_COLUMN: Final = FOLLOWED_KINDS.index(_KIND)
_NEAR_AN_HOUR: Final = 120.0
_ZONES: Final = 14 * HOUR


def clock_findings(
    batch: ReadingBatch, strays: Sequence[Stray], *, arrived_at: float, state: FleetState, plant: Plant
) -> list[Alert]:
    """Return the alerts that open, change or resolve with a batch; its findings are noted in `state`.

    The alerts have the kind `sensor_fault`, the model `clock`, and one signal `clock` in seconds, positive where the
    device is ahead. batch: new readings, of machines known to the state. arrived_at: time of arrival, epoch s.
    """
    slots, ahead = _newest_arrivals(batch, strays, arrived_at, state)
    state.clock_ahead[slots] = ahead
    tolerance = max(plant.readings.clock_tolerance_seconds, 2 * plant.interval_seconds)
    wrong = np.abs(ahead) > tolerance
    if state.clock_runs:
        followed = [state.slots[name] for name in state.clock_runs]
        relevant = np.flatnonzero(wrong | np.isin(slots, followed))
    else:
        relevant = np.flatnonzero(wrong)
    if not len(relevant):
        return []
    known = state.clock_ahead[: len(state.ids)]
    right = int((np.abs(known) <= tolerance).sum())
    off = int(np.isfinite(known).sum()) - right
    found = []
    for place in relevant.tolist():
        slot, by = int(slots[place]), float(ahead[place])
        if not wrong[place]:
            found += _is_right(state, slot, arrived_at)
        # a device behind cannot be distinguished from a worker behind unless others are right; one ahead can
        elif right > off - 1 or (by > 0 and right == off - 1):
            found += _is_wrong(state, slot, by, at=arrived_at, tolerance=tolerance)
        elif not _is_open(state, slot):
            state.clock_runs.pop(state.ids[slot], None)
    return found


def _newest_arrivals(
    batch: ReadingBatch, strays: Sequence[Stray], arrived_at: float, state: FleetState
) -> tuple[Ints, Floats]:
    """Return the slots of the machines with readings, (m,), and how far the last of each is ahead of us in s, (m,)."""
    slots, timestamps = state.slots_of(batch.machine_ids)[batch.machine], batch.timestamps
    strange = [stray for stray in strays if stray.machine_id in state.slots]
    if strange:
        offsets = np.append(batch.offsets, [stray.offset for stray in strange])
        order = np.argsort(offsets, kind="stable")
        slots = np.append(slots, [state.slots[stray.machine_id] for stray in strange])[order]
        timestamps = np.append(timestamps, [stray.timestamp for stray in strange])[order]
    # the last reading of a machine to arrive counts: earlier ones may have waited for it in a buffer
    distinct, from_the_end = np.unique(slots[::-1], return_index=True)
    return distinct, timestamps[::-1][from_the_end] - arrived_at


def _is_wrong(state: FleetState, slot: int, ahead: float, *, at: float, tolerance: float) -> list[Alert]:
    machine_id = state.ids[slot]
    run = state.clock_runs.get(machine_id)
    # a device that empties its buffer is behind by less and less; a wrong clock is off by about the same time
    if run is None or abs(ahead - run.ahead) > tolerance:
        run = state.clock_runs[machine_id] = ClockRun(since=at, ahead=ahead)
    run.wrong, run.right = run.wrong + 1, 0
    if run.wrong < ENOUGH or at - run.since < LONG_ENOUGH_SECONDS:
        return []
    now = datetime.fromtimestamp(at, UTC)
    content = {
        "updated_at": now,
        "readings": run.wrong,
        "signals": (Signal(sensor=CLOCK, actual=ahead, expected=0.0, deviation=None, contribution=1.0),),
        "summary": _sentence(machine_id, ahead),
    }
    known = state.alerts.get((machine_id, CLOCK))
    if known is not None and known.state != "resolved":
        if abs(ahead - (known.signals[0].actual or 0.0)) <= tolerance:
            return []
        alert = known.model_copy(update=content | {"state": "updated", "updated_at": max(now, known.updated_at)})
    elif not state.rules.enabled[slot, _COLUMN] or suppressed_at(_KIND, slot, at, state):
        return []
    else:
        alert = Alert(
            alert_id=alert_id(machine_id, CLOCK, now),
            machine_id=machine_id,
            kind=_KIND,
            severity="warning",
            state="opened",
            opened_at=now,
            peak_score=1.0,
            threshold=FLAG_AT,
            model=_MODEL,
            confidence=1.0,
            warm_up=not bool(state.tracks.fitted[slot]),
            **content,
        )
    return _stored(state, slot, alert)


def _is_right(state: FleetState, slot: int, at: float) -> list[Alert]:
    machine_id = state.ids[slot]
    run = state.clock_runs[machine_id]
    run.right += 1
    if run.right < ENOUGH:
        return []
    del state.clock_runs[machine_id]
    if not _is_open(state, slot):
        return []
    return _stored(state, slot, resolved(state.alerts[machine_id, CLOCK], at=at))


def _is_open(state: FleetState, slot: int) -> bool:
    known = state.alerts.get((state.ids[slot], CLOCK))
    return known is not None and known.state != "resolved"


def _stored(state: FleetState, slot: int, alert: Alert) -> list[Alert]:
    state.alerts[alert.machine_id, CLOCK] = alert
    state.dirty.add(slot)
    return [alert]


def _sentence(machine_id: str, ahead: float) -> str:
    side = "ahead of" if ahead > 0 else "behind"
    hours = round(ahead / HOUR)
    hint = ""
    if hours and abs(ahead) <= _ZONES and abs(ahead - hours * HOUR) <= _NEAR_AN_HOUR:
        hint = ", and look at its time zone and daylight-saving time, as it is whole hours"
    return f"{machine_id}: its device's clock is {_duration(abs(ahead))} {side} ours; set it{hint}."


def _duration(seconds: float) -> str:
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 48 * HOUR else f"{seconds / 24 / HOUR:.0f} days"
