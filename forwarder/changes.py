"""Changes of alerts since a receiver was last notified, and their grouping; pure functions without I/O or clock.

A receiver is notified when an alert opens, when its severity rises, and when it is resolved, but not of the frequent
updates between these.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from schemas.alerts import Alert, Severity

What = Literal["opened", "raised", "resolved"]
GroupBy = Literal["machine", "kind", "none"]
ORDER: Final[Mapping[Severity, int]] = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change for a receiver.

    position: "topic/partition/offset" of the message that says it: the same after every restart, so it identifies
    the change for receivers that remember. traceparent: of the reading that caused it (W3C trace context), if any.
    """

    what: What
    alert: Alert
    position: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Changes that are delivered together. group: the value that they share, such as a machine's id."""

    group: str
    changes: tuple[Change, ...]

    @property
    def identity(self) -> str:
        """Unique id of this delivery, equal when it is repeated after a restart."""
        return f"{self.changes[0].position}+{len(self.changes)}"

    @property
    def worst(self) -> Severity:
        """Highest severity of the changes."""
        return max((change.alert.severity for change in self.changes), key=ORDER.__getitem__)


@dataclass(slots=True)
class OpenAlerts:
    """Open alerts that receivers have been notified of, by id, with the last notified severity."""

    alerts: dict[str, Alert] = field(default_factory=dict)

    def change(self, alert: Alert, *, least: Severity, position: str, traceparent: str | None = None) -> Change | None:
        """Apply a message of the topic, and return the change to forward, or None.

        An alert below `least` is not forwarded until it reaches it; neither is its resolution.
        """
        known = self.alerts.get(alert.alert_id)
        what: What | None = None
        if alert.state == "resolved":
            self.alerts.pop(alert.alert_id, None)
            # compaction may have removed the opening before it was read again: a resolution too many does no harm
            what = "resolved" if known is not None or ORDER[alert.severity] >= ORDER[least] else None
        elif ORDER[alert.severity] >= ORDER[least]:
            self.alerts[alert.alert_id] = alert
            if known is None:
                what = "opened"
            elif ORDER[alert.severity] > ORDER[known.severity]:
                what = "raised"
        return None if what is None else Change(what=what, alert=alert, position=position, traceparent=traceparent)


def group(changes: Iterable[Change], by: GroupBy) -> tuple[Notification, ...]:
    """Return the notifications of these changes, in the order in which each group was first heard of.

    Only the newest change of an alert is kept; one that opened and was resolved within one batch is forwarded once, as
    resolved.
    """
    groups: dict[str, dict[str, Change]] = {}
    for change in changes:
        value = {"machine": change.alert.machine_id, "kind": change.alert.kind, "none": "all"}[by]
        newest = groups.setdefault(value, {})
        newest.pop(change.alert.alert_id, None)
        newest[change.alert.alert_id] = change
    return tuple(Notification(group=value, changes=tuple(newest.values())) for value, newest in groups.items())


def still_open(alerts: Sequence[Alert], *, least: Severity) -> OpenAlerts:
    """Return the state after these messages, oldest first, without forwarding any of them."""
    state = OpenAlerts()
    for alert in alerts:
        state.change(alert, least=least, position="")
    return state
