"""A worker that was paused for longer than its session wakes, and takes nothing from its successor."""

import json
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.kafka import create_topics
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.topics import ALERTS, ENERGY
from tests.brokers import Broker
from tests.e2e.suites import OnApacheKafka, OnTansu
from tests.e2e.workers import Worker, eventually, publish, read_all, wait_committed, workers

pytestmark = pytest.mark.long

MACHINES = tuple(f"pump-{number:02d}" for number in range(80))
START = datetime(2026, 3, 2, 6, tzinfo=UTC)
MINUTES = 20


def messages(first: int, last: int) -> Iterator[tuple[str, bytes]]:
    """A reading a minute; every fourth machine is too hot for seven of them, and calm again for eleven."""
    for minute in range(first, last):
        at = (START + timedelta(minutes=minute)).isoformat()
        for number, machine_id in enumerate(MACHINES):
            hot = number % 4 == 0 and 2 <= minute < 9
            values = {"power": 40.0 + minute % 7, "temperature": 118.0 if hot else 60.0 + minute % 3, "vibration": 2.5}
            yield machine_id, json.dumps({"machine_id": machine_id, "timestamp": at} | values).encode()


def next_day() -> Iterator[tuple[str, bytes]]:
    """A reading of each machine that closes the hour."""
    at = (START + timedelta(days=1)).isoformat()
    for machine_id in MACHINES:
        yield machine_id, json.dumps({"machine_id": machine_id, "timestamp": at, "power": 40.0}).encode()


def owns_all(worker: Worker, broker: Broker) -> bool:
    return len(worker.health().get("partitions", ())) == broker.kafka.partitions


class PausedWorker:
    """The story that every broker's suite inherits."""

    @pytest.fixture(scope="class")
    @classmethod
    def survived(cls, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Broker:
        """The broker after a worker with unsaved state slept through its session, and woke up."""
        create_topics(broker.kafka)
        folder: Path = tmp_path_factory.mktemp("workers")
        # what is unsaved when the worker is paused must not be saved by its last breath
        with workers(broker, folder, NEXOVA_PROCESSOR__CHECKPOINT_SECONDS="5") as group:
            paused, other = group.start(), group.start()
            group.wait_ready()
            wait_committed(broker, publish(broker, messages(0, 5)), seconds=60)
            publish(broker, messages(5, 10))
            read = paused.metric("nexova_readings_accepted_total")
            eventually(
                lambda: paused.metric("nexova_readings_accepted_total") >= read,
                seconds=60,
                what="readings that are not saved",
            )
            paused.process.send_signal(signal.SIGSTOP)
            try:
                eventually(lambda: owns_all(other, broker), seconds=60, what=group.logs)
                wait_committed(broker, publish(broker, messages(10, MINUTES)), seconds=60)
            finally:
                paused.process.send_signal(signal.SIGCONT)
            # it gives up what it had, and gets its share again
            eventually(lambda: not owns_all(other, broker), seconds=60, what=group.logs)
            group.wait_ready()
            wait_committed(broker, publish(broker, next_day()), seconds=60)
        return broker

    @pytest.mark.timeout(280)
    def test_no_reading_is_lost(self, survived: Broker) -> None:
        last: dict[str, int] = {}
        for _, value in read_all(survived, ENERGY):
            window = EnergyWindow.model_validate_json(value or b"")
            if window.start == START:
                last[window.machine_id] = window.readings
        assert Counter(last.values()) == {MINUTES: len(MACHINES)}

    @pytest.mark.timeout(280)
    def test_the_last_that_is_said_of_an_alert_is_the_newest(self, survived: Broker) -> None:
        said: defaultdict[str, list[Alert]] = defaultdict(list)
        for _, value in read_all(survived, ALERTS):
            alert = Alert.model_validate_json(value or b"")
            if alert.kind == "limit":
                said[alert.alert_id].append(alert)
        assert len({alerts[-1].machine_id for alerts in said.values()}) == len(MACHINES) / 4
        assert all(alerts[-1].updated_at == max(one.updated_at for one in alerts) for alerts in said.values())
        assert {alerts[-1].state for alerts in said.values()} == {"resolved"}


class TestOnTansu(OnTansu, PausedWorker):
    pass


class TestOnApacheKafka(OnApacheKafka, PausedWorker):
    pass
