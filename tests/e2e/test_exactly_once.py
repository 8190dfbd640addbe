"""Whatever dies, every reading counts once: two workers, kill -9 of each in turn, on both brokers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from core.advance import advance_time
from core.assess import assess
from core.batch import ReadingBatch
from core.models import Models
from core.state.fleet import FleetState
from processor.changelog import MACHINES as MACHINES_TABLE
from processor.changelog import changelog_of
from runtime.kafka import create_topics
from runtime.plants import load_plant
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.topics import ALERTS, ENERGY, SCORES
from tests.brokers import Broker
from tests.e2e.suites import OnApacheKafka, OnTansu
from tests.e2e.workers import publish, read_all, wait_committed, workers

MACHINES = tuple(f"pump-{number:02d}" for number in range(20))
SECONDS = 10_000
READINGS_TOTAL = len(MACHINES) * SECONDS
START = datetime(2026, 3, 2, 6, tzinfo=UTC).timestamp()
PLANT = load_plant(None)


def a_history() -> np.ndarray:
    """Values (SECONDS, MACHINES, 5): steady machines, three of which begin to vibrate."""
    random = np.random.default_rng(7)
    values = random.normal([40, 60, 2.5, 0, 300], [2, 1, 0.2, 0, 10], (SECONDS, len(MACHINES), 5))
    values[:, :, 3] = np.arange(SECONDS)[:, None] / 3600
    for machine, begin in ((2, 4000), (9, 6000), (15, 8000)):
        values[begin : begin + 300, machine, 2] += 4
    return np.round(values, 3)


HISTORY = a_history()


def messages(first: int, last: int) -> Iterator[tuple[str, bytes]]:
    names = PLANT.sensor_names
    for second in range(first, last):
        at = datetime.fromtimestamp(START + second, UTC).isoformat()
        for machine, machine_id in enumerate(MACHINES):
            values = dict(zip(names, HISTORY[second, machine].tolist(), strict=True))
            yield machine_id, json.dumps({"machine_id": machine_id, "timestamp": at} | values).encode()


def offline() -> tuple[list[Alert], dict[str, EnergyWindow]]:
    """What the same rules make of each machine's readings, in one go and without Kafka."""
    alerts, windows = [], {}
    times = START + np.arange(SECONDS)
    for machine, machine_id in enumerate(MACHINES):
        state = FleetState(PLANT)
        batch = ReadingBatch.from_columns([machine_id] * SECONDS, times, HISTORY[:, machine])
        assessment = assess(batch, state=state, models=Models(), plant=PLANT)
        alerts += [alert for _, alert in assessment.alerts]
        for window in assessment.energy_windows:
            windows[window.key] = window
        last = advance_time(state, plant=PLANT, now=times[-1] + 7200, idle_seconds=3600).energy_windows
        windows |= {window.key: window for window in last}
    return alerts, windows


class ExactlyOnce:
    """The story that every broker's suite inherits."""

    @pytest.fixture(scope="class")
    @classmethod
    def survived(cls, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Broker:
        """The broker after two workers took all readings, each killed once on the way."""
        create_topics(broker.kafka)
        folder: Path = tmp_path_factory.mktemp("workers")
        with workers(broker, folder) as group:
            first, second = group.start(), group.start()
            group.wait_ready()
            publish(broker, messages(0, 4000))
            first.kill()
            publish(broker, messages(4000, 5000))
            group.start()
            publish(broker, messages(5000, 7000))
            group.wait_ready()
            second.kill()
            end = publish(broker, messages(7000, SECONDS))
            group.start()
            wait_committed(broker, end, seconds=120)
        return broker

    @pytest.mark.timeout(280)
    def test_the_state_counts_every_reading_of_every_machine_once(self, survived: Broker) -> None:
        state = FleetState(PLANT)
        log = read_all(survived, changelog_of(survived.kafka, MACHINES_TABLE))
        state.restore([(key or b"", record) for key, record in log])
        counts = {machine_id: int(state.tracks.readings[state.slots[machine_id]]) for machine_id in MACHINES}
        assert counts == dict.fromkeys(MACHINES, SECONDS)

    @pytest.mark.timeout(280)
    def test_energy_windows_hold_the_exact_sums(self, survived: Broker) -> None:
        _, expected = offline()
        published: dict[str, EnergyWindow] = {}
        for key, value in read_all(survived, ENERGY):
            assert key is not None
            assert value is not None
            window = EnergyWindow.model_validate_json(value)
            if key.decode() not in published or window.revision >= published[key.decode()].revision:
                published[key.decode()] = window
        closed = {key: window for key, window in expected.items() if key in published}
        assert {window.start.hour for window in closed.values()} == {6, 7}
        assert len(closed) == 2 * len(MACHINES)
        for key, window in closed.items():
            sent = EnergyWindow.model_validate_json(window.encode())  # with the digits of the wire
            assert published[key].model_copy(update={"revision": 0}) == sent.model_copy(update={"revision": 0})

    @pytest.mark.timeout(280)
    def test_alerts_are_those_of_the_rules_and_never_contradict_themselves(self, survived: Broker) -> None:
        said: dict[tuple[str, str, datetime], set[bytes]] = {}
        for _, value in read_all(survived, ALERTS):
            assert value is not None
            alert = Alert.model_validate_json(value)
            if alert.kind != "silent":  # silence is a matter of the clock, and workers were silent themselves
                said.setdefault((alert.alert_id, alert.state, alert.updated_at), set()).add(value)
        assert all(len(contents) == 1 for contents in said.values())
        expected, _ = offline()
        assert {next(iter(contents)) for contents in said.values()} == {alert.encode() for alert in expected}
        assert {alert.machine_id for alert in expected} >= {"pump-02", "pump-09", "pump-15"}

    @pytest.mark.timeout(280)
    def test_every_reading_has_its_score(self, survived: Broker) -> None:
        scored = {
            tuple(json.loads(value or b"")[k] for k in ("machine_id", "timestamp"))
            for _, value in read_all(survived, SCORES)
        }
        assert len(scored) == READINGS_TOTAL


class TestOnTansu(OnTansu, ExactlyOnce):
    pass


class TestOnApacheKafka(OnApacheKafka, ExactlyOnce):
    pass
