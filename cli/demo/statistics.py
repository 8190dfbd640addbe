"""Statistics of a demo run, counted by message; `cli.demo.truth` compares them with the injected faults."""

import time
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from cli.demo.truth import Opening
from runtime.errors import BrokerUnavailable
from runtime.topic_reader import TopicReader
from schemas.alerts import Alert, Severity
from schemas.codec import derive_struct
from schemas.machines import MachineStatus
from schemas.recommendations import Recommendation
from schemas.scores import Score
from schemas.topics import ALERTS, DEAD_LETTERS, ENERGY, MACHINES, RECOMMENDATIONS, SCORES

TOPICS: Final = (SCORES, ALERTS, RECOMMENDATIONS, ENERGY, DEAD_LETTERS, MACHINES)
TREND_POINTS: Final = 120


@dataclass(slots=True)
class MachineNow:
    """Current state of a machine; trend: its last scores, None where it was not scored."""

    condition: str = "unknown"
    machine_type: str | None = None
    warm_up: float = 0.0
    score: float | None = None
    risk: float | None = None
    power: float | None = None
    trend: deque[float | None] = field(default_factory=lambda: deque(maxlen=TREND_POINTS))


@dataclass(slots=True)
class RunStatistics:
    """Counters of the published messages. live_from: start of the live phase, epoch seconds; None before.

    power: the sensor of the machine's power, if the plant has one. changes: alerts as they opened, reopened or were
    resolved.
    """

    power: str | None = None
    live_from: float | None = None
    readings_scored: int = 0
    live_readings: int = 0
    dead_letters: int = 0
    recommendations: int = 0
    energy_windows: set[str] = field(default_factory=set)
    machines: dict[str, MachineNow] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    advice: dict[str, Recommendation] = field(default_factory=dict)
    openings: list[Opening] = field(default_factory=list)
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    changes: list[Alert] = field(default_factory=list)
    unnamed_alerts: int = 0
    _scored_span: tuple[float, float] | None = None
    _open: dict[str, Opening] = field(default_factory=dict)
    _take: dict[str, Callable[[bytes, bytes, float], None]] = field(init=False)
    _score: Any = field(init=False)

    def __post_init__(self) -> None:
        self._score = msgspec.json.Decoder(derive_struct(Score))
        self._take = {
            SCORES: self._take_score,
            ALERTS: self._take_alert,
            RECOMMENDATIONS: self._take_recommendation,
            ENERGY: self._take_window,
            DEAD_LETTERS: self._take_dead_letter,
            MACHINES: self._take_status,
        }

    def take(self, topic: str, *, key: bytes, value: bytes, written_at: float) -> None:
        """Count one message of an output topic; `written_at` is Kafka's timestamp, epoch seconds."""
        self._take[topic](key, value, written_at)

    @property
    def accounted(self) -> int:
        """Number of readings that were scored or dead-lettered."""
        return self.readings_scored + self.dead_letters

    @property
    def alerts_resolved(self) -> int:
        """Number of alerts whose latest state is resolved."""
        return sum(alert.state == "resolved" for alert in self.alerts.values())

    def scoring_rate(self) -> float | None:
        """Return the scored readings a second, by Kafka's timestamps; None with fewer than two scores."""
        first, last = self._scored_span or (0.0, 0.0)
        return (self.readings_scored - 1) / (last - first) if last > first else None

    def open_alerts(self, machine_id: str | None = None) -> list[Alert]:
        """Return the open alerts, by falling severity and from new to old."""
        order: dict[Severity, int] = {"critical": 0, "warning": 1, "info": 2}
        found = [
            alert
            for alert in self.alerts.values()
            if alert.state != "resolved" and machine_id in (None, alert.machine_id)
        ]
        return sorted(found, key=lambda alert: (order[alert.severity], -alert.opened_at.timestamp()))

    def _take_score(self, _: bytes, value: bytes, written_at: float) -> None:
        score = self._score.decode(value)
        self.readings_scored += 1
        first, last = self._scored_span or (written_at, written_at)
        self._scored_span = (min(first, written_at), max(last, written_at))
        at = score.timestamp.timestamp()
        if self.live_from is not None and at >= self.live_from:
            self.live_readings += 1
            self.latencies.append(written_at - at)
        now = self._machine(score.machine_id)
        now.score, now.risk, now.condition = score.anomaly_score, score.risk, score.condition
        now.trend.append(score.anomaly_score)

    def _take_alert(self, _: bytes, value: bytes, written_at: float) -> None:
        alert = Alert.model_validate_json(value)
        self.alerts[alert.alert_id] = alert
        if not alert.machine_id or not alert.signals or not alert.signals[0].sensor:
            self.unnamed_alerts += 1
        at = alert.updated_at.timestamp()
        if alert.state == "resolved":
            opening = self._open.pop(alert.alert_id, None)
            if opening is not None:
                opening.until = at
                self.changes.append(alert)
        elif alert.alert_id not in self._open:
            opening = Opening(
                alert_id=alert.alert_id,
                machine_id=alert.machine_id,
                kind=alert.kind,
                again=alert.state != "opened",
                at=at,
                published_at=written_at,
            )
            self._open[alert.alert_id] = opening
            self.openings.append(opening)
            self.changes.append(alert)

    def _take_recommendation(self, _: bytes, value: bytes, __: float) -> None:
        advice = Recommendation.model_validate_json(value)
        self.recommendations += 1
        self.advice[advice.machine_id] = advice

    def _take_window(self, key: bytes, _: bytes, __: float) -> None:
        self.energy_windows.add(key.decode())

    def _take_dead_letter(self, _: bytes, __: bytes, ___: float) -> None:
        self.dead_letters += 1

    def _take_status(self, _: bytes, value: bytes, __: float) -> None:
        status = MachineStatus.model_validate_json(value)
        now = self._machine(status.machine_id)
        now.machine_type, now.warm_up = status.machine_type, status.warm_up
        now.power = status.values.get(self.power) if self.power else None
        if status.condition == "silent":
            now.condition = "silent"

    def _machine(self, machine_id: str) -> MachineNow:
        if machine_id not in self.machines:
            self.machines[machine_id] = MachineNow()
        return self.machines[machine_id]


def take_records(reader: TopicReader, statistics: RunStatistics, seconds: float) -> int:
    """Count the records that have arrived, and return their number; wait at most `seconds` for the first."""
    records = reader.read(seconds)
    for record in records:
        if record.value is not None:
            statistics.take(record.topic, key=record.key or b"", value=record.value, written_at=record.written_at)
    return len(records)


def take_all(reader: TopicReader, statistics: RunStatistics, *, timeout_seconds: float) -> None:
    """Count all records up to the current end of the topics.

    Raises:
        BrokerUnavailable: not all of them could be read in time.
    """
    deadline = time.monotonic() + timeout_seconds
    reader.mark_end()
    while not reader.caught_up:
        take_records(reader, statistics, 0.1)
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"the demo could not read all results within {timeout_seconds:g} s")


@dataclass(slots=True)
class Meter:
    """Rate of a growing count over the last few seconds."""

    window_seconds: float = 5.0
    clock: Callable[[], float] = time.monotonic
    _points: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, count: int) -> None:
        """Record the current count; to be called often."""
        now = self.clock()
        self._points.append((now, count))
        while now - self._points[0][0] > self.window_seconds:
            self._points.popleft()

    def rate(self) -> float:
        """Return the growth of the count a second."""
        if len(self._points) < 2:  # noqa: PLR2004  growth is between two points
            return 0.0
        (first, before), (last, after) = self._points[0], self._points[-1]
        return (after - before) / (last - first) if last > first else 0.0
