"""Alert messages, written from the changes of episodes."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import numpy as np

from core import row_results
from core.alerting.episodes import RESOLVED, SEVERITIES, UPDATED, Changes
from core.arrays import Floats
from core.batch import ReadingBatch
from core.plant import Plant, Sensor
from core.plant.limits import broken_limits
from core.row_results import LEVEL_PLANT, LEVEL_TYPE, RowResults
from core.state.fleet import FleetState
from core.state.tracks import watched_sensors
from schemas.alerts import Alert, AlertKind, AlertModel, Signal
from schemas.rounding import in_words
from schemas.scores import FLAG_AT

RULE: Final = AlertModel(name="plant", version="1", level="rule")
"""Model of alerts that are raised by rules of the plant file."""
MOST_SIGNALS: Final = 8
_STRIKING: Final = 3.0  # scales; below, the combination of values is unusual rather than one of them


def alert_id(machine_id: str, kind: str, opened_at: datetime) -> str:
    """Return the id of an episode, a function of machine, kind and start only."""
    identity = f"{machine_id}\0{kind}\0{opened_at.timestamp():.6f}"
    return hashlib.sha256(identity.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertWriter:
    """Writer of the alerts of one batch; stores the newest alert of each machine and kind in the state."""

    batch: ReadingBatch
    values: Floats
    rows: RowResults
    confidence: Floats
    state: FleetState
    plant: Plant

    def write(self, kind: str, changes: Changes, position: int, *, model: AlertModel) -> list[tuple[int, Alert]]:
        """Return the alert of one change, and the row that caused it."""
        row = int(changes.row[position])
        machine_id = self.batch.machine_ids[self.batch.machine[row]]
        at = datetime.fromtimestamp(self.rows.newest[row], UTC)
        known = self.state.alerts.get((machine_id, kind))
        figures: dict[str, Any] = {
            "updated_at": at,
            "peak_score": _share(changes.peak[position]),
            "readings": int(changes.over[position]),
        }
        if changes.code[position] == RESOLVED:
            if known is None:
                return []
            alert = known.model_copy(update=figures | {"state": "resolved", "resolved_at": at})
        else:
            signals, summary = self._describe(kind, row)
            figures |= {
                "severity": SEVERITIES[changes.severity[position]],
                "confidence": _share(changes.share[position] * (self.confidence[row] if kind == "anomaly" else 1.0)),
            }
            if known is not None and changes.code[position] == UPDATED:
                # the figures of the peak are more useful than the latest ones, but every alert names a sensor
                news = {signal.sensor for signal in signals} - {signal.sensor for signal in known.signals}
                if figures["peak_score"] > known.peak_score or (news and kind != "anomaly"):
                    figures |= {"signals": signals, "summary": summary}
                alert = known.model_copy(update=figures | {"state": "updated", "resolved_at": None})
            else:
                alert = Alert(
                    alert_id=alert_id(machine_id, kind, at),
                    machine_id=machine_id,
                    kind=cast("AlertKind", kind),
                    state="opened",
                    opened_at=at,
                    threshold=FLAG_AT,
                    signals=signals,
                    summary=summary,
                    model=self._model(model, row) if kind == "anomaly" else model,
                    warm_up=not bool(self.rows.warm[row]),
                    **figures,
                )
        self.state.alerts[machine_id, kind] = alert
        return [(row, alert)]

    def _model(self, model: AlertModel, row: int) -> AlertModel:
        """Return `model` with the level of the baseline that a reading was compared with."""
        borrowed = self.rows.level[row] in {LEVEL_PLANT, LEVEL_TYPE}
        return model.model_copy(update={"level": "type"}) if borrowed else model

    def _describe(self, kind: str, row: int) -> tuple[tuple[Signal, ...], str]:
        machine_id = self.batch.machine_ids[self.batch.machine[row]]
        if kind == "limit":
            return self._describe_limits(machine_id, row)
        if kind == "sensor_fault":
            return self._describe_faults(machine_id, row)
        return self._describe_anomaly(machine_id, row)

    def _describe_limits(self, machine_id: str, row: int) -> tuple[tuple[Signal, ...], str]:
        broken = broken_limits(self.values[row], self.plant)
        signals = tuple(
            Signal(
                sensor=self.plant.sensors[item.sensor].name,
                actual=item.actual,
                expected=item.limit,
                deviation=None,
                contribution=1 / len(broken),
            )
            for item in broken
        )
        words = []
        for item in broken:
            sensor = self.plant.sensors[item.sensor]
            side = "above" if item.actual > item.limit else "below"
            words.append(
                f"{sensor.name} is {_figure(item.actual, sensor)}, "
                f"{side} its {SEVERITIES[item.severity]} limit of {_figure(item.limit, sensor)}"
            )
        return signals[:MOST_SIGNALS], f"{machine_id}: {_listed(words)}."

    def _describe_faults(self, machine_id: str, row: int) -> tuple[tuple[Signal, ...], str]:
        faulty = np.flatnonzero(self.rows.fault[row]).tolist()
        signals, words = [], []
        for index in faulty:
            sensor = self.plant.sensors[index]
            raw = float(self.batch.values[row, index])
            signals.append(
                Signal(
                    sensor=sensor.name,
                    actual=_known(raw),
                    expected=None,
                    deviation=None,
                    contribution=1 / len(faulty),
                )
            )
            match self.rows.fault[row, index]:
                case row_results.FAULT_MISSING:
                    said = "has stopped reporting"
                case row_results.FAULT_IMPOSSIBLE:
                    span = f"{in_words(sensor.minimum)} to {in_words(sensor.maximum)} {sensor.unit}"
                    said = f"reports {_figure(raw, sensor)}, outside the possible {span}"
                case row_results.FAULT_TIMES_1000:
                    said = f"reports {_figure(raw, sensor)}, about 1000 times its usual values, as in another unit"
                case row_results.FAULT_BY_1000:
                    said = f"reports {_figure(raw, sensor)}, about a thousandth of its usual values, as in another unit"
                case row_results.FAULT_FAHRENHEIT:
                    said = f"reports {in_words(raw)}, its usual values in °F instead of {sensor.unit}"
                case row_results.FAULT_CELSIUS:
                    said = f"reports {in_words(raw)}, its usual values in °C instead of {sensor.unit}"
                case _:
                    said = f"is stuck at {_figure(raw, sensor)}"
            words.append(f"the {sensor.name} sensor {said}")
        what = "the sensor and its line" if len(faulty) == 1 else "the sensors and their lines"
        return tuple(signals[:MOST_SIGNALS]), f"{machine_id}: {_listed(words)}; check {what}."

    def _describe_anomaly(self, machine_id: str, row: int) -> tuple[tuple[Signal, ...], str]:
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
            for d in np.argsort(-parts, kind="stable")[:MOST_SIGNALS]
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


def resolved(alert: Alert, *, at: float) -> Alert:
    """Return an alert as resolved at `at`, epoch s, or at its last change if that is later."""
    end = max(datetime.fromtimestamp(at, UTC), alert.updated_at)
    return alert.model_copy(update={"state": "resolved", "updated_at": end, "resolved_at": end})


def forget_resolved(state: FleetState) -> None:
    """Drop resolved alerts that no new episode can continue."""
    for key, alert in list(state.alerts.items()):
        if alert.resolved_at is None:
            continue
        # by the machine's own time, as others may be far ahead; one second allows for rounding
        passed = state.newest_of(alert.machine_id) - alert.resolved_at.timestamp()
        if passed > float(state.rules.merge_gap_seconds[state.slots[alert.machine_id]].max()) + 1.0:
            del state.alerts[key]


def _listed(clauses: list[str]) -> str:
    """Return up to three of `clauses` as one, with the number of the others."""
    shown = clauses[:3] if len(clauses) <= 3 else [*clauses[:3], f"{len(clauses) - 3} more"]  # noqa: PLR2004
    return shown[0] if len(shown) == 1 else f"{'; '.join(shown[:-1])}; and {shown[-1]}"


def _figure(value: float, sensor: Sensor) -> str:
    return f"{in_words(value)} {sensor.unit}"


def _share(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
