"""Messages as the processor publishes them, and a way to publish them."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from confluent_kafka import Producer

from runtime.kafka import producer_config
from schemas.alerts import Alert, AlertModel, Signal
from schemas.energy import EnergyWindow
from schemas.forecasts import Forecast, ForecastPoint
from schemas.machines import MachineStatus
from schemas.message import Message
from schemas.recommendations import Recommendation
from tests.brokers import Broker

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_alert(number: int = 1, *, machine_id: str = "press-01", minutes: float = 0, **changes: Any) -> Alert:
    at = NOON + timedelta(minutes=minutes)
    signal = Signal(sensor="vibration", actual=9.0, expected=3.0, deviation=6.0, contribution=1.0)
    return Alert(
        **{
            "alert_id": f"alert-{number:04}",
            "machine_id": machine_id,
            "kind": "anomaly",
            "severity": "warning",
            "state": "opened",
            "opened_at": at,
            "updated_at": at,
            "peak_score": 0.9,
            "threshold": 0.5,
            "readings": 4,
            "signals": (signal,),
            "summary": f"{machine_id}: vibration is 9 mm/s, above the expected 3 mm/s by 6.0 standard deviations.",
            "model": AlertModel(name="distance", version="1", level="machine"),
            "confidence": 0.9,
            **changes,
        }
    )


def a_status(machine_id: str = "press-01", **changes: Any) -> MachineStatus:
    return MachineStatus(
        **{
            "machine_id": machine_id,
            "timestamp": NOON,
            "machine_type": machine_id.partition("-")[0],
            "condition": "running",
            "warm_up": 1.0,
            "values": {"power": 55.0, "vibration": 3.4},
            "anomaly_score": 0.2,
            "risk": 0.4,
            "readings": 1000,
            **changes,
        }
    )


def advice(machine_id: str = "press-01", **changes: Any) -> Recommendation:
    return Recommendation(
        **{
            "machine_id": machine_id,
            "issued_at": NOON,
            "risk_level": 1.9,
            "band": "plan",
            "urgent": False,
            "text": f"Plan maintenance of {machine_id} within three days.",
            "model": AlertModel(name="maintenance", version="20260301T000000Z", level="type"),
            **changes,
        }
    )


def a_window(machine_id: str = "press-01", *, hour: int = 0, **changes: Any) -> EnergyWindow:
    start = NOON + timedelta(hours=hour)
    return EnergyWindow(
        **{
            "machine_id": machine_id,
            "start": start,
            "end": start + timedelta(hours=1),
            "energy_kwh": 55.0,
            "mean_power_kw": 55.0,
            "peak_power_kw": 60.0,
            "production": 320.0,
            "readings": 60,
            "expected_readings": 60,
            "completeness": 1.0,
            **changes,
        }
    )


def a_forecast(series_id: str = "press-01") -> Forecast:
    point = ForecastPoint(timestamp=NOON, value=55.0, lower=50.0, upper=60.0)
    return Forecast(series_id=series_id, issued_at=NOON, model="seasonal_median", points=(point,))


def publish(broker: Broker, topic: str, messages: Iterable[tuple[str, Message | bytes]]) -> None:
    """Publishes (key, message) and waits until the broker has them."""
    producer = Producer(producer_config(broker.kafka))
    for key, message in messages:
        producer.produce(topic, message if isinstance(message, bytes) else message.encode(), key)
    assert producer.flush(30) == 0


@dataclass(frozen=True, kw_only=True)
class Event:
    """One server-sent event."""

    id: str
    name: str
    data: str


@contextmanager
def events(url: str, *, last_id: str | None = None, **query: str) -> Iterator[Iterator[Event]]:
    """A client of the event stream, as a browser would read it."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with (
        httpx.Client(timeout=httpx.Timeout(20)) as client,
        client.stream("GET", f"{url}/events", params=query, headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _parsed(answer.iter_lines(), seconds=60)


def _parsed(lines: Iterator[str], *, seconds: float) -> Iterator[Event]:
    """The events; a stream says that it is still there for ever, so what is awaited must come in time."""
    deadline = time.monotonic() + seconds
    name, identity, data = "", "", []
    for line in lines:
        assert time.monotonic() < deadline, f"what was awaited did not come within {seconds:g} s"
        if not line:
            if data:
                yield Event(id=identity, name=name, data="\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            identity = value
        elif field == "data":
            data.append(value)
