"""A small plant as its topics show it after some days: machines, readings, scores, alerts, energy and forecasts."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from schemas.alerts import Alert, AlertModel, Signal
from schemas.energy import EnergyWindow
from schemas.feedback import Feedback
from schemas.forecasts import Forecast, ForecastPoint, TrackRecord, plant_series
from schemas.machines import MachineStatus
from schemas.message import Message
from schemas.recommendations import HoursToFailure, Reason, Recommendation
from schemas.topics import ALERTS, ENERGY, FEEDBACK, FORECASTS, MACHINES, READINGS, RECOMMENDATIONS, SCORES
from tests.api.live_data import publish
from tests.brokers import Broker

NAMES: Final = ("press-01", "press-02", "press-03", "pump-01", "pump-02", "compressor-01", "compressor-02", "mill-01")
HOSTILE: Final = 'x<script>alert(1)</script>"&.exe'
"""A machine's name; what inputs refuse in names, such as marks that turn the reading direction, is in the note."""
HOSTILE_NOTE: Final = f"@{HOSTILE}\u202egnp.exe\n=2+2"
_MODEL: Final = AlertModel(name="distance", version="1", level="machine")
_USUAL: Final = {"power": (62.0, 3.0), "temperature": (46.0, 0.8), "vibration": (2.2, 0.2), "production": (110.0, 5.0)}

Messages = list[tuple[str, Message | bytes]]


def an_episode(number: int, machine_id: str, opened: datetime, *, sensor: str = "vibration", **changes: Any) -> Alert:
    """An alert of a machine whose signal left its usual course."""
    unit = {"vibration": "mm/s", "temperature": "°C", "power": "kW"}.get(sensor, "units/h")
    mean, scale = _USUAL[sensor]
    actual = round(mean + 9 * scale, 2)
    signals = (
        Signal(sensor=sensor, actual=actual, expected=mean, deviation=9.0, contribution=0.82),
        Signal(sensor="power", actual=68.1, expected=62.0, deviation=2.0, contribution=0.18),
    )
    return Alert(
        **{
            "alert_id": f"episode-{number:03}",
            "machine_id": machine_id,
            "kind": "anomaly",
            "severity": "warning",
            "state": "opened",
            "opened_at": opened,
            "updated_at": opened,
            "peak_score": 0.91,
            "threshold": 0.5,
            "readings": 12,
            "signals": signals,
            "summary": f"{machine_id}: {sensor} is {actual:g} {unit}, above the expected {mean:g} {unit} by 9.0 "
            "standard deviations.",
            "model": _MODEL,
            "confidence": 0.86,
            **changes,
        }
    )


def publish_plant(broker: Broker, *, now: datetime | None = None, names: tuple[str, ...] = NAMES) -> None:
    """Publish the whole story up to `now`."""
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    chance = np.random.default_rng(7)
    statuses: Messages = []
    readings: Messages = []
    scores: Messages = []
    hours: Messages = []
    forecasts: Messages = []
    for index, name in enumerate(names):
        faulty = index in {0, 3}
        readings += _readings(name, now, chance, faulty=faulty)
        scores += _scores(name, now, chance, faulty=faulty)
        statuses.append((name, _status(name, index, now, faulty=faulty)))
        hours += [(one.key, one) for one in _hours(name, now, chance)]
        forecasts.append((name, _forecast(name, now, 60.0 + 4 * index)))
    forecasts.append((plant_series("default"), _forecast(plant_series("default"), now, 75.0 * len(names))))
    publish(broker, READINGS, readings)
    publish(broker, SCORES, scores)
    publish(broker, ENERGY, hours)
    publish(broker, FORECASTS, forecasts)
    publish(broker, RECOMMENDATIONS, [(names[0], _advice(names[0], now))])
    publish(broker, ALERTS, [(one.alert_id, one) for one in _alerts(names, now)])
    publish(broker, FEEDBACK, [(one.machine_id, one) for one in _feedback(names, now)])
    publish(broker, MACHINES, statuses)


def _readings(name: str, now: datetime, chance: np.random.Generator, *, faulty: bool) -> Messages:
    found: Messages = []
    for minute in range(180, -1, -1):
        document: dict[str, Any] = {"machine_id": name, "timestamp": (now - timedelta(minutes=minute)).isoformat()}
        for sensor, (mean, deviation) in _USUAL.items():
            document[sensor] = round(
                float(chance.normal(mean, deviation)) + 2.0 * math.sin(minute / 25.0) * deviation, 2
            )
        if faulty and minute < 22:
            document["vibration"] = round(document["vibration"] + 1.8 * (1 - minute / 30), 2)
        found.append((name, json.dumps(document).encode()))
    return found


def _scores(name: str, now: datetime, chance: np.random.Generator, *, faulty: bool) -> Messages:
    return [
        (
            name,
            json.dumps(
                {
                    "machine_id": name,
                    "timestamp": (now - timedelta(minutes=minute)).isoformat(),
                    "anomaly_score": round(0.9 if faulty and minute < 20 else float(chance.uniform(0.02, 0.3)), 3),
                }
            ).encode(),
        )
        for minute in range(120, -1, -1)
    ]


def _status(name: str, index: int, now: datetime, *, faulty: bool) -> MachineStatus:
    condition = {5: "idle", 6: "off"}.get(index, "running")
    return MachineStatus.model_validate(
        {
            "machine_id": name,
            "timestamp": now,
            "machine_type": name.partition("-")[0],
            "condition": condition,
            "warm_up": 0.35 if index == 7 else 1.0,
            "values": {"power": 0.2 if condition == "off" else 58.4 + index, "temperature": 46.1, "vibration": 2.3},
            "anomaly_score": None if condition == "off" else 0.9 if faulty else 0.08 + index / 50,
            "risk": 2.1 if index == 0 else 0.3,
            "readings": 40_000 + index,
            "alerts_open": int(faulty),
        }
    )


def _hours(name: str, now: datetime, chance: np.random.Generator) -> list[EnergyWindow]:
    first = now.replace(minute=0, second=0) - timedelta(hours=48)
    found = []
    for hour in range(48):
        start = first + timedelta(hours=hour)
        energy = round(float(62 + 14 * math.sin(hour / 24 * 2 * math.pi) + chance.normal(0, 2)), 2)
        found.append(
            EnergyWindow(
                machine_id=name,
                start=start,
                end=start + timedelta(hours=1),
                energy_kwh=energy,
                mean_power_kw=energy,
                peak_power_kw=energy + 9,
                production=2600.0,
                readings=60,
                expected_readings=60,
                completeness=1.0,
            )
        )
    return found


def _forecast(series: str, now: datetime, level: float) -> Forecast:
    first = now.replace(minute=0, second=0)
    points = []
    for hour in range(72):
        value = level * (1 + 0.22 * math.sin((hour + 48) / 24 * 2 * math.pi))
        spread = level * (0.06 + 0.0015 * hour)
        points.append(
            ForecastPoint(
                timestamp=first + timedelta(hours=hour),
                value=round(value, 2),
                lower=round(value - spread, 2),
                upper=round(value + spread, 2),
            )
        )
    record = TrackRecord(horizon_day=1, points=240, wape=0.071, coverage=0.81, interval_score=12.0)
    return Forecast(series_id=series, issued_at=first, model="blend", points=tuple(points), track_record=(record,))


def _advice(name: str, now: datetime) -> Recommendation:
    return Recommendation(
        machine_id=name,
        issued_at=now - timedelta(hours=2),
        risk_level=2.1,
        band="plan",
        urgent=False,
        text=f"{name}: plan maintenance within three days; vibration has been rising for two days.",
        hours_to_failure=HoursToFailure(low=31.0, mid=58.0, high=96.0),
        reasons=(
            Reason(sensor="vibration", contribution=0.7, sentence="Vibration rose by 34 % over 72 running hours."),
            Reason(
                sensor="temperature", contribution=0.3, sentence="Temperature is 1.9 °C above its level of last week."
            ),
        ),
        model=AlertModel(name="maintenance", version="20260301T000000Z", level="type"),
    )


def _alerts(names: tuple[str, ...], now: datetime) -> list[Alert]:
    def ago(**span: float) -> datetime:
        return now - timedelta(**span)

    def over(number: int, name: str, opened: datetime, minutes: float, **changes: Any) -> Alert:
        end = opened + timedelta(minutes=minutes)
        return an_episode(number, name, opened, state="resolved", updated_at=end, resolved_at=end, **changes)

    return [
        over(1, names[0], ago(days=5, hours=2), 41),
        over(2, names[0], ago(days=2, hours=7), 25),
        over(3, names[2], ago(hours=9), 12, severity="info", sensor="power"),
        over(4, names[4], ago(hours=5), 55, sensor="temperature"),
        over(5, names[1], ago(hours=3), 8, severity="critical", kind="limit"),
        an_episode(6, names[0], ago(minutes=20), severity="critical"),
        an_episode(7, names[3], ago(minutes=16)),
        an_episode(8, names[4], ago(minutes=70), sensor="temperature", severity="info"),
        an_episode(9, names[2], ago(days=2), sensor="power", severity="info"),
        an_episode(10, names[1], ago(minutes=95), severity="warning", sensor="power"),
    ]


def _feedback(names: tuple[str, ...], now: datetime) -> list[Feedback]:
    return [
        Feedback(
            machine_id=names[0], kind="confirmed", at=now - timedelta(days=5), alert_id="episode-001", author="kim"
        ),
        Feedback(
            machine_id=names[0],
            kind="false_alarm",
            at=now - timedelta(days=2, hours=6),
            alert_id="episode-002",
            author="jo",
            comment="forklift hit the frame",
        ),
        Feedback(
            machine_id=names[4], kind="confirmed", at=now - timedelta(hours=4), alert_id="episode-004", author="kim"
        ),
        Feedback(
            machine_id=names[4], kind="acknowledged", at=now - timedelta(hours=1), alert_id="episode-008", author="kim"
        ),
        Feedback(
            machine_id=names[1],
            kind="snoozed",
            at=now - timedelta(hours=1),
            until=now + timedelta(hours=7),
            alert_id="episode-010",
            author="jo",
        ),
    ]


def this_moment() -> datetime:
    """The present, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
