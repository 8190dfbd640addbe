"""What people hear of, through real workers: answers, shelving, a common cause, and a policy that changes meanwhile.

The machines send a reading a minute of event time; "hot" is beyond the critical limit of the shipped plant.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from runtime.kafka import create_topics
from runtime.plants import shipped_plants
from schemas.alerts import Alert
from schemas.feedback import Feedback, FeedbackKind
from schemas.topics import ALERTS, CATALOGUE, FEEDBACK
from tests.brokers import Broker
from tests.e2e.suites import OnApacheKafka, OnTansu
from tests.e2e.workers import Workers, eventually, publish, read_all, workers

NORMAL: Final = {"power": 60.0, "temperature": 70.0, "vibration": 2.0, "runtime": 100.0, "production": 300.0}
HOT: Final = 150.0


@dataclass
class Plant:
    """Machines that a test lets run, and what is said of them."""

    broker: Broker
    group: Workers
    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12))

    def run(self, minutes: int, *, hot: tuple[str, ...] = (), calm: tuple[str, ...] = ()) -> None:
        messages = []
        for _ in range(minutes):
            self.at += timedelta(minutes=1)
            for machine_id in (*hot, *calm):
                wobble = self.at.minute / 100
                values = {name: value + wobble for name, value in NORMAL.items()}
                values["temperature"] += HOT - NORMAL["temperature"] if machine_id in hot else 0.0
                reading = {"machine_id": machine_id, "timestamp": self.at.isoformat(), **values}
                messages.append((machine_id, json.dumps(reading).encode()))
        publish(self.broker, messages)

    def say(self, kind: FeedbackKind, alert: Alert, **changes: Any) -> None:
        statement = Feedback(machine_id=alert.machine_id, kind=kind, at=self.at, alert_id=alert.alert_id, **changes)
        publish(self.broker, [(alert.machine_id, statement.encode())], topic=FEEDBACK)

    def all_alerts(self) -> list[Alert]:
        return [Alert.model_validate_json(value) for _, value in read_all(self.broker, ALERTS) if value]

    def alerts(self, machine_id: str, kind: str = "limit") -> list[Alert]:
        return [alert for alert in self.all_alerts() if alert.machine_id == machine_id and alert.kind == kind]

    def last(self, machine_id: str, kind: str, state: str, *, count: int = 1) -> Alert:
        def there() -> bool:
            return sum(alert.state == state for alert in self.alerts(machine_id, kind)) >= count

        eventually(there, seconds=60, what=lambda: f"{count} {state} at {machine_id}\n{self.group.logs()}")
        return [alert for alert in self.alerts(machine_id, kind) if alert.state == state][-1]


class AlertPolicyContract:
    """Inherited for each broker."""

    @pytest.fixture(scope="class")
    @classmethod
    def plant_file(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("plant") / "works.toml"
        path.write_text(shipped_plants()["default"].read_text(encoding="utf-8"), encoding="utf-8")
        return path

    @pytest.fixture(scope="class")
    @classmethod
    def plant(cls, broker: Broker, plant_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
        create_topics(broker.kafka, CATALOGUE)
        folder = tmp_path_factory.mktemp("workers")
        with workers(broker, folder, NEXOVA_PLANT_FILE=str(plant_file)) as group:
            group.start()
            group.wait_ready()
            yield Plant(broker, group)

    def test_a_false_alarm_closes_its_alert_which_does_not_come_back_at_once(self, plant: Plant) -> None:
        plant.run(8, hot=("press-01",))
        opened = plant.last("press-01", "limit", "opened")
        plant.say("false_alarm", opened, comment="the sensor was being calibrated")
        closed = plant.last("press-01", "limit", "resolved")
        assert closed.alert_id == opened.alert_id
        plant.run(20, hot=("press-01",), calm=("press-02",))
        plant.run(8, hot=("press-03",))
        plant.last("press-03", "limit", "opened")  # so all before it has been scored
        assert plant.alerts("press-01")[-1].state == "resolved"

    def test_a_shelved_machine_stays_quiet_also_under_the_next_worker(self, plant: Plant) -> None:
        plant.run(8, hot=("pump-01",))
        opened = plant.last("pump-01", "limit", "opened")
        plant.say("snoozed", opened, until=plant.at + timedelta(hours=3))
        plant.run(15, calm=("pump-01",))
        plant.last("pump-01", "limit", "resolved")
        plant.group.started[0].process.terminate()
        plant.group.started[0].process.wait(20)
        plant.group.start()
        plant.group.wait_ready()
        plant.run(30, hot=("pump-01",))
        plant.run(8, hot=("pump-02",))
        plant.last("pump-02", "limit", "opened")
        assert plant.alerts("pump-01")[-1].state == "resolved"

    def test_what_is_hot_everywhere_is_one_alert_of_the_plant(self, plant: Plant) -> None:
        machines = tuple(f"compressor-{number:02d}" for number in range(1, 13))
        plant.run(8, hot=machines)
        fleet = plant.last("default", "fleet", "opened")

        def all_named() -> bool:
            # read once: on a busy machine each reading of the topic takes seconds
            said = plant.all_alerts()
            members = set([alert for alert in said if alert.kind == "fleet"][-1].members)
            return {alert.machine_id for alert in said if alert.alert_id in members} >= set(machines)

        eventually(
            all_named, seconds=60, what=lambda: f"a member of each machine in {plant.alerts('default', 'fleet')[-1]}"
        )
        # machines of the other tests that fell silent meanwhile may have joined: they are back as well
        plant.run(30, calm=(*machines, "press-01", "press-02", "press-03", "pump-01", "pump-02"))
        assert plant.last("default", "fleet", "resolved").alert_id == fleet.alert_id
        assert [alert.state for alert in plant.alerts("default", "fleet")].count("opened") == 1

    def test_a_changed_policy_is_used_and_a_bad_one_refused(self, plant: Plant, plant_file: Path) -> None:
        good = plant_file.read_text(encoding="utf-8")
        worker = plant.group.started[-1]
        plant_file.write_text(good.replace("[alerts]", "[alerts]\nreadings_under = 3"), encoding="utf-8")
        eventually(
            lambda: worker.metric('nexova_alert_policy_changes_total{result="refused"}') >= 1,
            seconds=60,
            what="the bad policy refused",
        )
        off = '\n[[alerts.overrides]]\nmachines = ["mixer-*"]\nkinds = ["limit"]\nenabled = false\n'
        plant_file.write_text(good + off, encoding="utf-8")
        eventually(
            lambda: worker.metric('nexova_alert_policy_changes_total{result="taken"}') >= 1,
            seconds=60,
            what="the good policy in use",
        )
        plant.run(8, hot=("mixer-01", "press-09"))
        plant.last("press-09", "limit", "opened")
        assert plant.alerts("mixer-01") == []
        assert worker.metric('nexova_alerts_suppressed_total{reason="disabled"}') >= 1


class TestOnTansu(OnTansu, AlertPolicyContract):
    """Of the alert policy."""


class TestOnApacheKafka(OnApacheKafka, AlertPolicyContract):
    """Of the alert policy."""
