"""Feedback on alerts and machines, and its immediate effects.

    false_alarm        closes the alert; repeated ones of one signature raise its threshold, within bounds
    expected, snoozed  close it (expected) and shelve its kind until the end that is given (ISA-18.2: shelving)
    new_normal         closes it, and the machine's present level becomes its baseline
    maintenance_done   closes all alerts of the machine; resets its slow averages and its advice
    withdrawn          revokes shelving and raised thresholds of the machine

Other feedback (acknowledged, confirmed, failure) changes nothing here; the trainer learns from it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from core.state.annotations import Annotation
from core.state.episodes import FOLLOWED_KINDS
from core.state.fleet import CLOCK, FleetState, alert_key
from core.state.tracks import watched_sensors
from schemas.alerts import Alert
from schemas.feedback import Feedback

LONGEST_SHELVING_SECONDS: Final = 31 * 86_400.0
"""Maximum duration of shelving; a later end is cut to this."""
ANSWERED_SECONDS: Final = 3600.0
"""Time after feedback for which no alert of the same kind opens although the readings stay anomalous."""
CLOSING: Final = frozenset({"false_alarm", "expected", "new_normal", "maintenance_done"})
"""Kinds of feedback that close their alert."""
_LAGS: Final = 3.0  # maximum difference of the recent level from the newest value, in noises, to use the level


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackOutcome:
    """Alerts resolved by feedback, and whether it changed anything."""

    alerts: tuple[Alert, ...] = ()
    changed: bool = False


def take_feedback(state: FleetState, feedback: Feedback, *, partition: int, offset: int) -> FeedbackOutcome:
    """Apply feedback to the state of its machine, in place; a known offset changes nothing.

    partition, offset: position of the message in its topic. Feedback on an unknown machine changes nothing.
    """
    slot = state.slots.get(feedback.machine_id)
    if slot is None:
        return FeedbackOutcome()
    annotation = state.annotations.get(slot, Annotation())
    if offset <= annotation.taken.get(partition, -1):
        return FeedbackOutcome()
    annotation = Annotation(
        shelved=dict(annotation.shelved),
        false_alarms=dict(annotation.false_alarms),
        taken=annotation.taken | {partition: offset},
    )
    state.annotations[slot] = annotation
    state.dirty.add(slot)
    alert = _alert_of(state, feedback)
    if feedback.kind == "maintenance_done":
        closed = _closed(state, slot, _alerts_of(state, feedback.machine_id), feedback.at)
        _reset_wear(state, slot)
    elif feedback.kind in CLOSING and alert is not None:
        closed = _closed(state, slot, [alert], feedback.at)
    else:
        closed = []
    _store_effects(annotation, feedback, alert)
    if feedback.kind == "new_normal":
        accept_level(state, slot)
    return FeedbackOutcome(alerts=tuple(closed), changed=True)


def _store_effects(annotation: Annotation, feedback: Feedback, alert: Alert | None) -> None:
    """Store the lasting effects of feedback, in place."""
    given_at = feedback.at.timestamp()
    kinds = FOLLOWED_KINDS if alert is None else (alert.kind,)
    if feedback.kind == "withdrawn":
        annotation.shelved.clear()
        annotation.false_alarms.clear()
        return
    if feedback.kind == "false_alarm" and alert is not None and alert.signals:
        signature = alert.signals[0].sensor
        annotation.false_alarms[signature] = annotation.false_alarms.get(signature, 0) + 1
    until = given_at
    if feedback.kind in {"false_alarm", "expected"} and alert is not None:
        until += ANSWERED_SECONDS
    if feedback.kind in {"expected", "snoozed"} and feedback.until is not None:
        until = max(until, min(feedback.until.timestamp(), given_at + LONGEST_SHELVING_SECONDS))
    if until > given_at:
        for kind in kinds:
            annotation.shelved[kind] = max(annotation.shelved.get(kind, until), until)


def accept_level(state: FleetState, slot: int) -> None:
    """Make the recent level of a machine its baseline, in place.

    A machine in warm-up starts it again.
    """
    tracks = state.tracks
    if not tracks.fitted[slot]:
        state.warm_ups.pop(slot, None)
        tracks.learned[slot] = 0
        tracks.level[slot] = 0.0
        return
    level = np.nan_to_num(tracks.level[slot])
    last = tracks.last_values[slot, list(watched_sensors(state.plant))]
    newest = np.nan_to_num((last - tracks.mean[slot]) / tracks.scale[slot])
    # after a large jump the smoothed level needs hours to arrive
    level = np.where(np.abs(newest - level) > _LAGS * tracks.noise[slot], newest, level)
    tracks.mean[slot] += level * tracks.scale[slot]
    for column in (tracks.level, tracks.moved, tracks.shift, tracks.averages, tracks.previous, tracks.lasting):
        column[slot] = 0.0
    tracks.strain[slot] = tracks.plateau[slot] = 0.0
    tracks.recent[slot] = np.nan


def _reset_wear(state: FleetState, slot: int) -> None:
    """Reset the slow averages and the advice of a machine after maintenance, in place."""
    state.tracks.slow[slot] = np.nan
    state.tracks.slow_hours[slot] = 0.0
    state.wear.risk[slot] = np.nan
    state.wear.band[slot] = 0


def _alert_of(state: FleetState, feedback: Feedback) -> Alert | None:
    """Return the alert that feedback refers to, None if unknown; without an id, the machine's newest open one."""
    own = _alerts_of(state, feedback.machine_id)
    if feedback.alert_id is not None:
        return next((alert for alert in own if alert.alert_id == feedback.alert_id), None)
    still_open = [alert for alert in own if alert.state != "resolved"]
    return max(still_open, key=lambda alert: alert.opened_at, default=None)


def _alerts_of(state: FleetState, machine_id: str) -> list[Alert]:
    return [alert for (machine, _), alert in state.alerts.items() if machine == machine_id]


def _closed(state: FleetState, slot: int, alerts: list[Alert], at: datetime) -> list[Alert]:
    closed = []
    for alert in alerts:
        if alert.state == "resolved":
            continue
        # alerts use the machine's own time; a person's clock may be ahead of it
        newest = float(state.tracks.last_seen[slot])
        when = at if not np.isfinite(newest) else min(at, datetime.fromtimestamp(newest, UTC))
        when = max(when, alert.updated_at)
        resolved = alert.model_copy(update={"state": "resolved", "updated_at": when, "resolved_at": when})
        state.alerts[alert_key(alert)] = resolved
        if alert.kind in FOLLOWED_KINDS and alert.model.name != CLOCK:
            column = FOLLOWED_KINDS.index(alert.kind)
            state.episodes.open[slot, column] = False
            state.episodes.recent[slot, column] = 0
            state.episodes.calm[slot, column] = 0
            # a reopening within the merge gap would continue an alert that a person has just closed
            state.episodes.updated_at[slot, column] = when.timestamp()
        closed.append(resolved)
    return closed
