"""Suppression of alerts: planned work, shelving, and thresholds raised by feedback."""

from fnmatch import fnmatchcase

import numpy as np

from core.alerting.episodes import IN_MAINTENANCE, SHELVED
from core.arrays import Codes, Floats, Ints
from core.state.fleet import FleetState


def suppression_of(kind: str, *, slots: Ints, timestamps: Floats, state: FleetState) -> Codes:
    """Return the codes of `SUPPRESSIONS` for maintenance windows and shelving, (n,).

    slots, timestamps: table row and epoch s of each reading, (n,).
    """
    codes = np.zeros(len(slots), dtype=np.int8)
    for annotated in _annotated(slots, state):
        until = state.annotations[annotated].shelved.get(kind)
        if until is not None:
            codes[(slots == annotated) & (timestamps < until)] = SHELVED
    if not len(timestamps):
        return codes
    starts, ends = state.maintenance_spans.T
    for place in np.flatnonzero((starts <= timestamps.max()) & (ends > timestamps.min())).tolist():
        window = state.plant.alerts.maintenance[place]
        within = (timestamps >= window.start.timestamp()) & (timestamps < window.end.timestamp())
        if not within.any():
            continue
        for slot in np.unique(slots[within]).tolist():
            if any(fnmatchcase(state.ids[slot], pattern) for pattern in window.machines):
                codes[within & (slots == slot)] = IN_MAINTENANCE
    return codes


def suppressed_at(kind: str, slot: int, timestamp: float, state: FleetState) -> bool:
    """Return whether maintenance or shelving suppresses a kind of alert at a machine at an instant, epoch s."""
    one = np.array([slot], dtype=np.int64)
    return bool(suppression_of(kind, slots=one, timestamps=np.array([timestamp]), state=state)[0])


def raised_thresholds(slots: Ints, strongest: Ints, sensors: tuple[str, ...], state: FleetState) -> Floats:
    """Return the amount by which reported false alarms raise the threshold of the score, (n,).

    strongest: index into `sensors` of the strongest signal of each reading, (n,).
    """
    raised = np.zeros(len(slots))
    for annotated in _annotated(slots, state):
        annotation = state.annotations[annotated]
        by_sensor = np.array([annotation.raised(name) for name in sensors])
        if by_sensor.any():
            own = slots == annotated
            raised[own] = by_sensor[strongest[own]]
    return raised


def _annotated(slots: Ints, state: FleetState) -> list[int]:
    if not state.annotations:
        return []
    return [slot for slot in np.unique(slots).tolist() if slot in state.annotations]
