"""The live view: current content of the output topics in bounded memory; for one thread, without I/O."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from api.live.records import MOST_RING_BYTES, RINGS, ViewRecord
from runtime.settings import ApiSettings
from schemas.topics import ALERTS, ENERGY, FEEDBACK, FORECASTS, MACHINES, READINGS, RECOMMENDATIONS

_MOST_FEEDBACK: Final = 50  # statements kept of one alert
_MOST_SERIES: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Filter of alerts; None matches all. opened_from, opened_until: bounds of the opening."""

    machine_id: str | None = None
    kind: str | None = None
    severity: str | None = None
    open: bool | None = None
    acknowledged: bool | None = None
    opened_from: datetime | None = None
    opened_until: datetime | None = None

    def matches(self, alert: Any, answers: Iterable[Any]) -> bool:
        """Return whether an alert with this feedback matches."""
        wanted = ((self.machine_id, alert.machine_id), (self.kind, alert.kind), (self.severity, alert.severity))
        return (
            all(value is None or value == actual for value, actual in wanted)
            and (self.open is None or self.open == (alert.state != "resolved"))
            and (self.opened_from is None or alert.opened_at >= self.opened_from)
            and (self.opened_until is None or alert.opened_at < self.opened_until)
            and (self.acknowledged is None or self.acknowledged == any(True for _ in answers))
        )


@dataclass(slots=True)
class Rings:
    """Newest messages of a machine, still encoded."""

    readings: deque[bytes]
    scores: deque[bytes]


@dataclass(slots=True)
class View:
    """Newest records by identity; above the settings' bounds, the oldest are evicted."""

    settings: ApiSettings
    machines: OrderedDict[str, ViewRecord] = field(default_factory=OrderedDict)
    alerts: dict[str, ViewRecord] = field(default_factory=dict)
    feedback: dict[str, deque[ViewRecord]] = field(default_factory=dict)
    recommendations: OrderedDict[str, ViewRecord] = field(default_factory=OrderedDict)
    forecasts: OrderedDict[str, ViewRecord] = field(default_factory=OrderedDict)
    energy: OrderedDict[str, OrderedDict[str, ViewRecord]] = field(default_factory=OrderedDict)
    rings: OrderedDict[str, Rings] = field(default_factory=OrderedDict)

    def apply(self, record: ViewRecord) -> None:
        """Apply one record; records of one identity arrive in order."""
        if record.topic in RINGS:
            self._ring(record)
        elif record.topic == ALERTS:
            self._alert(record)
        elif record.topic == FEEDBACK:
            self._feedback(record)
        elif record.topic == ENERGY:
            self._energy(record)
        elif record.topic in {MACHINES, RECOMMENDATIONS, FORECASTS}:
            table, most = {
                MACHINES: (self.machines, self.settings.most_machines),
                RECOMMENDATIONS: (self.recommendations, self.settings.most_machines),
                FORECASTS: (self.forecasts, _MOST_SERIES),
            }[record.topic]
            _keep(table, record.identity, record, most)

    def _alert(self, record: ViewRecord) -> None:
        if record.message is None:
            self.alerts.pop(record.identity, None)
            self.feedback.pop(record.identity, None)
            return
        self.alerts[record.identity] = record
        if len(self.alerts) > self.settings.most_alerts:
            # seldom, so a tenth goes at once: closed ones first, then those that were opened first
            order = sorted(
                self.alerts.values(), key=lambda one: (one.message.state != "resolved", one.message.opened_at)
            )
            for one in order[: max(1, self.settings.most_alerts // 10)]:
                del self.alerts[one.identity]
                self.feedback.pop(one.identity, None)

    def _feedback(self, record: ViewRecord) -> None:
        alert_id = None if record.message is None else record.message.alert_id
        if alert_id is None:
            return
        said = self.feedback.setdefault(alert_id, deque(maxlen=_MOST_FEEDBACK))
        said.append(record)
        if len(self.feedback) > 2 * self.settings.most_alerts:
            for unknown in [one for one in self.feedback if one not in self.alerts][: self.settings.most_alerts]:
                del self.feedback[unknown]

    def _energy(self, record: ViewRecord) -> None:
        machine_id, _, start = record.identity.rpartition("@")
        hours = self.energy.get(machine_id)
        if record.message is None:
            if hours is not None:
                hours.pop(start, None)
            return
        if hours is None:
            hours = OrderedDict()
        _keep(self.energy, machine_id, hours, self.settings.most_machines)
        hours[start] = record
        if len(hours) > self.settings.recent_hours:
            del hours[min(hours)]  # RFC 3339 in UTC sorts as time does

    def _ring(self, record: ViewRecord) -> None:
        value, machine_id = record.value, record.machine_id
        if not value or not machine_id or len(value) > MOST_RING_BYTES:
            return
        rings = self.rings.get(machine_id)
        if rings is None:
            size = self.settings.recent_readings
            rings = Rings(deque(maxlen=size), deque(maxlen=size))
            _keep(self.rings, machine_id, rings, self.settings.most_machines)
        (rings.readings if record.topic == READINGS else rings.scores).append(value)

    def find_alerts(
        self, wanted: AlertFilter, *, after: tuple[float, str] | None, limit: int
    ) -> tuple[list[ViewRecord], int]:
        """Return the matching alerts after `after`, by falling time of opening, and the number of all matches."""
        found = [
            (-record.message.opened_at.timestamp(), record.identity, record)
            for record in self.alerts.values()
            if wanted.matches(record.message, self.feedback.get(record.identity, ()))
        ]
        found.sort(key=lambda one: one[:2])
        begin = 0 if after is None else sum(one[:2] <= after for one in found)
        return [record for *_, record in found[begin : begin + limit]], len(found)

    def items(self, topic: str) -> Iterator[ViewRecord]:
        """Return all records of a topic in the view."""
        if topic == ENERGY:
            for hours in self.energy.values():
                yield from hours.values()
        elif topic == FEEDBACK:
            for said in self.feedback.values():
                yield from said
        else:
            yield from {
                ALERTS: self.alerts,
                MACHINES: self.machines,
                RECOMMENDATIONS: self.recommendations,
                FORECASTS: self.forecasts,
            }[topic].values()

    def sizes(self) -> dict[str, int]:
        """Return the number of items of each kind."""
        return {
            "machines": len(self.machines),
            "alerts": len(self.alerts),
            "feedback": sum(map(len, self.feedback.values())),
            "recommendations": len(self.recommendations),
            "forecasts": len(self.forecasts),
            "energy": sum(map(len, self.energy.values())),
            "ring_messages": sum(len(one.readings) + len(one.scores) for one in self.rings.values()),
        }


def _keep(table: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    """Set a value as the newest, or remove its key for a deletion; above the bound, evict the oldest."""
    if isinstance(value, ViewRecord) and value.message is None:
        table.pop(key, None)
        return
    table[key] = value
    table.move_to_end(key)
    if len(table) > most:
        table.popitem(last=False)
