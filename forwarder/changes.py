"""What changed since a receiver last heard of an alert, and how changes are grouped. Pure: no I/O, no clock.

A receiver hears of an alert when it opens, when its severity rises, and when it is resolved. Between these an alert
changes often, and nobody wants to hear of each.
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
    """One thing that a receiver is to hear.

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
        """What tells this delivery from all others; the same when it is repeated after a restart."""
        return f"{self.changes[0].position}+{len(self.changes)}"

    @property
    def worst(self) -> Severity:
        """The highest severity in it."""
        return max((change.alert.severity for change in self.changes), key=ORDER.__getitem__)


@dataclass(slots=True)
class OpenAlerts:
    """The alerts that receivers know to be open, by id; the severity that they heard of last."""

    alerts: dict[str, Alert] = field(default_factory=dict)

    def change(self, alert: Alert, *, least: Severity, position: str, traceparent: str | None = None) -> Change | None:
        """Take a message of the topic and return what is to be said of it, or None.

        An alert below `least` is not heard of until it rises to it; its resolution is not heard of either.
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

    Of one alert only the newest change is kept, but what opened and was resolved within one batch is said once, as
    resolved: nobody has to act on it any more.
    """
    groups: dict[str, dict[str, Change]] = {}
    for change in changes:
        value = {"machine": change.alert.machine_id, "kind": change.alert.kind, "none": "all"}[by]
        newest = groups.setdefault(value, {})
        newest.pop(change.alert.alert_id, None)
        newest[change.alert.alert_id] = change
    return tuple(Notification(group=value, changes=tuple(newest.values())) for value, newest in groups.items())


def still_open(alerts: Sequence[Alert], *, least: Severity) -> OpenAlerts:
    """Return the state after these messages, oldest first, without saying anything of them."""
    state = OpenAlerts()
    for alert in alerts:
        state.change(alert, least=least, position="")
    return state
