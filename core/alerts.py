"""From an episode's change to the alert that says so in words and figures."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from core.alerting import OPENED, RESOLVED, SEVERITIES, Changes
from core.batch import ReadingBatch
from core.features import CONDITIONS, watched_sensors
from core.limits import BrokenLimits
from core.plant import Plant, Sensor
from core.state import FleetState
from core.tracking import FAULT_IMPOSSIBLE, FAULT_MISSING, RowResults
from schemas.alerts import Alert, AlertKind, AlertModel, Signal

RULE: Final = AlertModel(name="plant", version="1", level="rule")
_SIGNALS: Final = 8
_STRIKING: Final = 3.0  # scales; below, it is the combination that is unusual and not one value
_THRESHOLD: Final = 0.5


def alert_id(machine_id: str, kind: str, opened_at: datetime) -> str:
    """The id of an episode: the same for the same machine, kind and start, whoever computes it."""
    identity = f"{machine_id}\0{kind}\0{opened_at.timestamp():.6f}"
    return hashlib.sha256(identity.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertWriter:
    """Writes the alerts of one batch and keeps the newest of each machine and kind in the state."""

    batch: ReadingBatch
    values: NDArray[np.float64]
    rows: RowResults
    state: FleetState
    plant: Plant

    def write(
        self, kind: str, changes: Changes, position: int, *, model: AlertModel, limits: BrokenLimits
    ) -> list[tuple[int, Alert]]:
        """The alert of one change, with the row that caused it."""
        row = int(changes.row[position])
        machine_id = self.batch.machine_ids[self.batch.machine[row]]
        at = datetime.fromtimestamp(self.batch.timestamps[row], UTC)
        known = self.state.alerts.get((machine_id, kind))
        if changes.code[position] == RESOLVED:
            if known is None:
                return []
            alert = known.model_copy(
                update={
                    "state": "resolved",
                    "updated_at": at,
                    "resolved_at": at,
                    "peak_score": max(_share(changes.peak[position]), known.peak_score),
                    "readings": max(int(changes.over[position]), known.readings),
                }
            )
        else:
            signals, summary = self._say(kind, row, limits)
            alert = self._alarm(kind, changes, position, model=model, signals=signals, summary=summary)
        self.state.alerts[machine_id, kind] = alert
        return [(row, alert)]

    def _alarm(
        self,
        kind: str,
        changes: Changes,
        position: int,
        *,
        model: AlertModel,
        signals: tuple[Signal, ...],
        summary: str,
    ) -> Alert:
        row = int(changes.row[position])
        machine_id = self.batch.machine_ids[self.batch.machine[row]]
        at = datetime.fromtimestamp(self.batch.timestamps[row], UTC)
        known = self.state.alerts.get((machine_id, kind))
        opened = changes.code[position] == OPENED
        # an episode that starts again at once is the same one to the people who hear of it
        continued = known is not None and (not opened or self._recent(known, at))
        peak = _share(changes.peak[position])
        readings = int(changes.over[position])
        if known is not None and continued:
            if opened:
                readings += known.readings
            return known.model_copy(
                update={
                    "state": "updated",
                    "severity": max(known.severity, SEVERITIES[changes.severity[position]], key=SEVERITIES.index),
                    "updated_at": at,
                    "resolved_at": None,
                    "peak_score": max(peak, known.peak_score),
                    "readings": readings,
                    "confidence": _share(changes.share[position]),
                    # the figures of the worst moment say more than those of the last
                    **({"signals": signals, "summary": summary} if peak > known.peak_score else {}),
                }
            )
        return Alert(
            alert_id=alert_id(machine_id, kind, at),
            machine_id=machine_id,
            kind=cast("AlertKind", kind),
            severity=SEVERITIES[changes.severity[position]],
            state="opened",
            opened_at=at,
            updated_at=at,
            peak_score=peak,
            threshold=_THRESHOLD,
            readings=readings,
            signals=signals,
            summary=summary,
            model=model,
            confidence=_share(changes.share[position]),
            warm_up=not bool(self.rows.warm[row]),
        )

    def _recent(self, known: Alert, at: datetime) -> bool:
        if known.resolved_at is None:
            return False
        gap = (at - known.resolved_at).total_seconds()
        return gap <= self.plant.alerts.merge_gap_seconds

    def _say(self, kind: str, row: int, limits: BrokenLimits) -> tuple[tuple[Signal, ...], str]:
        machine_id = self.batch.machine_ids[self.batch.machine[row]]
        if kind == "limit":
            sensor = self.plant.sensors[limits.sensor[row]]
            actual, limit = float(self.values[row, limits.sensor[row]]), float(limits.limit[row])
            grade = "critical" if limits.severity[row] > 1 else "warning"
            side = "above" if actual > limit else "below"
            signal = Signal(sensor=sensor.name, actual=actual, expected=limit, deviation=None, contribution=1.0)
            return (signal,), (
                f"{machine_id}: {sensor.name} is {_figure(actual, sensor)}, "
                f"{side} its {grade} limit of {_figure(limit, sensor)}."
            )
        if kind == "sensor_fault":
            return self._say_fault(machine_id, row)
        return self._say_anomaly(machine_id, row)

    def _say_fault(self, machine_id: str, row: int) -> tuple[tuple[Signal, ...], str]:
        index = int(self.rows.fault_sensor[row])
        sensor = self.plant.sensors[index]
        raw = float(self.batch.values[row, index])
        actual = None if np.isnan(raw) else raw
        signal = Signal(sensor=sensor.name, actual=actual, expected=None, deviation=None, contribution=1.0)
        if self.rows.fault[row] == FAULT_MISSING:
            words = "has stopped reporting"
        elif self.rows.fault[row] == FAULT_IMPOSSIBLE:
            span = f"{sensor.minimum:g} to {sensor.maximum:g} {sensor.unit}"
            words = f"reports {_figure(raw, sensor)}, outside the possible {span}"
        else:
            words = f"is stuck at {_figure(raw, sensor)}"
        return (signal,), f"{machine_id}: the {sensor.name} sensor {words}; check the sensor and its line."

    def _say_anomaly(self, machine_id: str, row: int) -> tuple[tuple[Signal, ...], str]:
        watched = watched_sensors(self.plant)
        parts = self.rows.contribution[row]
        signals = tuple(
            Signal(
                sensor=self.plant.sensors[watched[d]].name,
                actual=_known(self.values[row, watched[d]]),
                expected=_known(self.rows.expected[row, d]),
                deviation=_known(self.rows.deviation[row, d]),
                contribution=_share(parts[d]),
            )
            for d in np.argsort(-parts, kind="stable")[:_SIGNALS]
        )
        first, second = signals[0], signals[min(1, len(signals) - 1)]
        sensor = self.plant.sensors[self.plant.sensor_names.index(first.sensor)]
        if first.actual is None or first.expected is None or abs(first.deviation or 0) < _STRIKING:
            together = first.sensor if first is second else f"{first.sensor} and {second.sensor} together"
            return signals, f"{machine_id}: {together} have left their usual course."
        side = "above" if first.actual > first.expected else "below"
        return signals, (
            f"{machine_id}: {sensor.name} is {_figure(first.actual, sensor)}, {side} the expected "
            f"{_figure(first.expected, sensor)} by {abs(first.deviation or 0):.1f} standard deviations."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceWatch:
    """Alerts on machines that say nothing any more."""

    state: FleetState
    plant: Plant

    def resolved_by(self, batch: ReadingBatch) -> list[tuple[int, Alert]]:
        """Silence that the readings of `batch` end, with the row that ends it."""
        ended = []
        for index, machine_id in enumerate(batch.machine_ids):
            alert = self.state.alerts.get((machine_id, "silent"))
            rows = np.flatnonzero(batch.machine == index)
            if alert is None or alert.state == "resolved" or not len(rows):
                continue
            at = datetime.fromtimestamp(batch.timestamps[rows[0]], UTC)
            resolved = alert.model_copy(update={"state": "resolved", "updated_at": at, "resolved_at": at})
            self.state.alerts[machine_id, "silent"] = resolved
            ended.append((int(rows[0]), resolved))
        return ended

    def opened_after(self, idle_seconds: float) -> list[Alert]:
        """Machines that have been silent for too long, when the partition itself has been for `idle_seconds`."""
        opened = []
        limit = self.plant.alerts.silent_after_seconds
        last_seen = self.state.tracks.last_seen[: len(self.state.ids)]
        for slot in np.flatnonzero(self.state.watermark - last_seen + idle_seconds > limit):
            machine_id = self.state.ids[slot]
            known = self.state.alerts.get((machine_id, "silent"))
            if known is not None and known.state != "resolved":
                continue
            seen = float(last_seen[slot])
            at = datetime.fromtimestamp(seen + limit, UTC)
            off = CONDITIONS[self.state.tracks.condition[slot]] == "off"
            last = datetime.fromtimestamp(seen, UTC)
            alert = Alert(
                alert_id=alert_id(machine_id, "silent", last),
                machine_id=machine_id,
                kind="silent",
                severity="info" if off else "warning",
                state="opened",
                opened_at=at,
                updated_at=at,
                peak_score=1.0,
                threshold=_THRESHOLD,
                readings=0,
                signals=tuple(
                    Signal(sensor=name, actual=None, expected=None, deviation=None, contribution=1 / len(names))
                    for names in [self.plant.sensor_names]
                    for name in names[:_SIGNALS]
                ),
                summary=f"{machine_id} has sent no reading since {last:%Y-%m-%d %H:%M:%S} UTC; check its connection.",
                model=RULE,
                confidence=1.0,
                warm_up=not bool(self.state.tracks.fitted[slot]),
            )
            self.state.alerts[machine_id, "silent"] = alert
            self.state.dirty.add(int(slot))
            opened.append(alert)
        return opened


def forget_resolved(state: FleetState, plant: Plant) -> None:
    """Drops resolved alerts that no new episode can continue any more."""
    oldest = state.watermark - plant.alerts.merge_gap_seconds
    for key, alert in list(state.alerts.items()):
        if alert.resolved_at is not None and alert.resolved_at.timestamp() < oldest:
            del state.alerts[key]


def _figure(value: float, sensor: Sensor) -> str:
    return f"{value:.4g} {sensor.unit}"


def _share(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
