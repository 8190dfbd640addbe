"""Fleet alerts: one alert of the plant for alerts at many of its machines at once.

A common cause (a power dip, a dead gateway, a hot day) opens alerts at many machines within minutes and should be
reported once: when a set share of the plant's machines has alerts, a fleet alert names them, adds later ones, and
resolves with the last of them. The second stage of the processor runs it on the alerts of all workers, so that it
covers machines of all partitions.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from core.alerting.messages import RULE, alert_id
from core.plant import FleetPolicy
from schemas.alerts import Alert, Signal
from schemas.scores import FLAG_AT

KIND: Final = "fleet"
MEMBER_KINDS: Final = frozenset({"anomaly", "limit", "silent", "sensor_fault"})
_NAMED: Final = 5  # machines that the sentence names
_MOST_MEMBERS: Final = 200  # that the message names; it stays far below a broker's limit


@dataclass(slots=True, kw_only=True)
class FleetWatch:
    """The open alerts of all machines, and their fleet alert, if any.

    plant_name: the alert's machine id. machines: known machines of the plant.
    catching_up: past messages are being read, in any order; nothing is due until `settle`.
    """

    plant_name: str
    policy: FleetPolicy
    machines: set[str] = field(default_factory=set)
    open: dict[str, Alert] = field(default_factory=dict)
    current: Alert | None = None
    catching_up: bool = False

    def take(self, alert: Alert) -> Alert | None:
        """Add an alert published by any worker; return the fleet alert if this changed it.

        Fleet alerts are taken while catching up, in the order in which they were written.
        """
        if alert.kind == KIND:
            # Only what earlier owners wrote is news. Our own messages come back later than they were made: one of
            # several with the same time would replace the newest, and the members that it lacks would be lost.
            if self.catching_up and alert.machine_id == self.plant_name:
                self.current = alert if alert.state != "resolved" else None
            return None
        if alert.kind not in MEMBER_KINDS:
            return None
        self.machines.add(alert.machine_id)
        if alert.state == "resolved":
            self.open.pop(alert.alert_id, None)
        else:
            self.open[alert.alert_id] = alert
        if not self.policy.enabled or self.catching_up:
            return None
        return self._opened(alert) if self.current is None else self._followed(alert)

    def settle(self) -> Alert | None:
        """End the catching up, and return what is due after it.

        That is the end of a fleet alert without open members, a new fleet alert, or one with the members that joined
        while no worker owned the plant.
        """
        self.catching_up = False
        known = self.current
        if known is None:
            newest_first = sorted(self.open.values(), key=lambda one: one.opened_at, reverse=True)
            return next((found for one in newest_first if (found := self._opened(one)) is not None), None)
        if not any(member in self.open for member in known.members):
            self.current = None
            return known.model_copy(update={"state": "resolved", "resolved_at": known.updated_at})
        grown = None
        for alert in sorted(self.open.values(), key=lambda one: (one.opened_at, one.alert_id)):
            grown = self._followed(alert) or grown
        return grown

    def _opened(self, newest: Alert) -> Alert | None:
        if newest.state == "resolved":
            return None
        members, common = self._around(newest)
        if not common and len(members) < self.policy.flood_openings:
            return None
        self.current = self._written(members, at=newest.updated_at, flood=not common)
        return self.current

    def _followed(self, newest: Alert) -> Alert | None:
        known = self.current
        if known is None:
            return None
        named = set(known.members)
        at = max(newest.updated_at, known.updated_at)
        if newest.state == "resolved":
            if newest.alert_id not in named or any(member in self.open for member in named):
                return None
            self.current = None
            return known.model_copy(update={"state": "resolved", "updated_at": at, "resolved_at": at})
        if newest.alert_id in named or len(named) >= _MOST_MEMBERS:
            return None
        joining = [newest]
        if abs((newest.opened_at - known.opened_at).total_seconds()) > self.policy.within_seconds:
            # another cause while this alert is open: its machines join once they would be an alert of their own
            joining, common = self._around(newest)
            if not common:
                return None
        members = {member: self.open[member] for member in known.members if member in self.open}
        members |= {one.alert_id: one for one in joining}
        self.current = self._written(list(members.values()), at=at, flood=False, known=known)
        return self.current

    def _around(self, newest: Alert) -> tuple[list[Alert], bool]:
        """Return the open alerts that opened about when `newest` did, and whether they are a common cause."""
        within = self.policy.within_seconds
        members = [
            one for one in self.open.values() if abs((one.opened_at - newest.opened_at).total_seconds()) <= within
        ]
        hit = {one.machine_id for one in members}
        return members, len(hit) >= max(self.policy.minimum_machines, self.policy.share * len(self.machines))

    def _written(self, members: list[Alert], *, at: datetime, flood: bool, known: Alert | None = None) -> Alert:
        members = sorted(members, key=lambda one: (one.opened_at, one.alert_id))[:_MOST_MEMBERS]
        first = members[0].opened_at if known is None else known.opened_at
        machines = sorted({one.machine_id for one in members})
        ids = tuple(dict.fromkeys([*(known.members if known is not None else ()), *(one.alert_id for one in members)]))
        critical = any(one.severity == "critical" for one in members)
        signals = _common_signals(members)
        shown = ", ".join(machines[:_NAMED]) + (f" and {len(machines) - _NAMED} more" if len(machines) > _NAMED else "")
        what = "alarm flood" if flood else "probable common cause"
        cause = f", mostly {signals[0].sensor}" if signals else ""
        share = min(1.0, len(machines) / max(len(self.machines), 1))
        return Alert(
            alert_id=alert_id(self.plant_name, KIND, first) if known is None else known.alert_id,
            machine_id=self.plant_name,
            kind=KIND,
            severity="critical" if critical else "warning",
            state="opened" if known is None else "updated",
            opened_at=first,
            updated_at=max(at, first),
            peak_score=max(one.peak_score for one in members),
            threshold=FLAG_AT,
            readings=sum(one.readings for one in members),
            signals=signals,
            summary=(
                f"{self.plant_name}: {len(ids)} alerts at {len(machines)} machines since "
                f"{first.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {what}{cause}: {shown}."
            ),
            model=RULE,
            confidence=round(share, 4),
            members=ids,
        )


def _common_signals(members: list[Alert]) -> tuple[Signal, ...]:
    """Return the sensors that contribute most over all members, without values, which differ by machine."""
    total: dict[str, float] = {}
    for member in members:
        for signal in member.signals:
            total[signal.sensor] = total.get(signal.sensor, 0.0) + signal.contribution / len(members)
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:8]
    return tuple(
        Signal(sensor=name, actual=None, expected=None, deviation=None, contribution=min(1.0, round(share, 4)))
        for name, share in ranked
    )
