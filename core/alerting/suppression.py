"""Suppression of alerts: planned work, shelving, and thresholds raised by feedback."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

import numpy as np

from core.alerting.episodes import IN_MAINTENANCE, SHELVED
from core.arrays import Codes, Floats, Ints
from core.plant import MaintenanceWindow
from core.state.episodes import FOLLOWED_KINDS, SuppressionReason
from core.state.fleet import FleetState

_WEEK_SECONDS: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Suppression of a kind of alert at a machine. until: epoch s; None: no known end."""

    kind: str
    cause: SuppressionReason
    until: float | None = None
    comment: str = ""


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


def windows_at(
    timestamp: float, windows: Iterable[MaintenanceWindow], machine_id: str | None = None
) -> Iterator[MaintenanceWindow]:
    """Yield the maintenance windows that apply at an instant, epoch s, of all machines or of one."""
    for window in windows:
        if window.start.timestamp() <= timestamp < window.end.timestamp() and (
            machine_id is None or any(fnmatchcase(machine_id, pattern) for pattern in window.machines)
        ):
            yield window


def holds_at(slot: int, timestamp: float, state: FleetState) -> list[Hold]:
    """Return the strongest suppression of each kind of alert at a machine at an instant, epoch s."""
    windows = [*windows_at(timestamp, state.plant.alerts.maintenance, state.ids[slot])]
    found = []
    for column, kind in enumerate(FOLLOWED_KINDS):
        if windows:
            last = max(windows, key=lambda window: window.end)
            found.append(Hold(kind=kind, cause="maintenance", until=last.end.timestamp(), comment=last.comment))
        elif (until := _shelved_until(slot, kind, state)) > timestamp:
            found.append(Hold(kind=kind, cause="shelved", until=until))
        elif not state.rules.enabled[slot, column]:
            found.append(Hold(kind=kind, cause="disabled"))
        elif not state.episodes.open[slot, column]:
            found += _own_holds(slot, column, timestamp, state)
    return found


def _shelved_until(slot: int, kind: str, state: FleetState) -> float:
    annotation = state.annotations.get(slot)
    return -math.inf if annotation is None else annotation.shelved.get(kind, -math.inf)


def _own_holds(slot: int, column: int, timestamp: float, state: FleetState) -> Iterator[Hold]:
    """Yield the cool-down after the last episode, or the week's budget if it is exhausted."""
    kind, episodes, rules = FOLLOWED_KINDS[column], state.episodes, state.rules
    quiet_until = float(episodes.updated_at[slot, column] + rules.cooldown_seconds[slot, column])
    merges_until = float(episodes.updated_at[slot, column] + rules.merge_gap_seconds[slot, column])
    if merges_until < timestamp < quiet_until:
        yield Hold(kind=kind, cause="cooldown", until=quiet_until)
        return
    budget, openings = float(rules.budget_per_week[slot, column]), float(episodes.openings[slot, column])
    opened = float(episodes.opened_at[slot, column])
    if openings <= 0 or openings * math.exp(-max(timestamp - opened, 0.0) / _WEEK_SECONDS) + 1.0 <= budget:
        return
    free = opened + _WEEK_SECONDS * math.log(openings / (budget - 1.0)) if budget > 1.0 else None
    yield Hold(kind=kind, cause="budget", until=free)


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
