"""Alerts as the processor publishes them, for tests of the forwarder."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Producer

from forwarder.changes import Change
from runtime.kafka import producer_config
from schemas.alerts import Alert, AlertModel, Signal
from schemas.topics import ALERTS
from tests.brokers import Broker

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_alert(machine: str = "press-01", *, minute: int = 0, **changes: Any) -> Alert:
    state = changes.get("state", "opened")
    fields: dict[str, Any] = {
        "alert_id": f"{machine}-anomaly-1",
        "machine_id": machine,
        "kind": "anomaly",
        "severity": "warning",
        "state": "opened",
        "opened_at": START,
        "updated_at": START + timedelta(minutes=minute),
        "resolved_at": START + timedelta(minutes=minute) if state == "resolved" else None,
        "peak_score": 0.9,
        "threshold": 0.5,
        "readings": 4,
        "signals": (Signal(sensor="vibration", actual=7.1, expected=2.3, deviation=8.0, contribution=1.0),),
        "summary": f"{machine}: vibration 7.1 mm/s instead of 2.3.",
        "model": AlertModel(name="anomaly", version="20260301T120000Z", level="machine"),
        "confidence": 0.95,
    }
    return Alert(**fields | changes)


def a_change(machine: str = "press-01", *, position: str = "nexova.alerts/0/7", **changes: Any) -> Change:
    return Change(what=changes.pop("what", "opened"), alert=an_alert(machine, **changes), position=position)


def publish(broker: Broker, alerts: Sequence[Alert]) -> None:
    producer = Producer(producer_config(broker.kafka))
    for alert in alerts:
        producer.produce(ALERTS, alert.encode(), alert.alert_id, partition=sum(alert.machine_id.encode()) % 8)
    assert producer.flush(30) == 0
