"""A worker under load changes its models without a restart, and never runs one that it should not.

    published:  first ─▶ second ─▶ rolled back ─▶ wrong features, cut, swapped (each refused) ─▶ end
    anomaly:    first    second    first          first

The first anomaly model calls every reading calm and the second every reading rare, so that each score tells which
of them gave it; the risk models likewise, 0 and 3.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cli.main import run
from runtime.announce import announce
from runtime.kafka import create_topics
from runtime.plants import shipped_plants
from runtime.repository import ModelRepository
from schemas.alerts import Alert
from schemas.recommendations import Recommendation
from schemas.topics import ALERTS, RECOMMENDATIONS, SCORES
from tests.brokers import Broker, running_apache_kafka, running_tansu
from tests.e2e.workers import Worker, eventually, publish, read_all, wait_committed, workers
from tests.shelf import Shelf, anomaly_files, risk_files

MACHINES = tuple(f"pump-{number:02d}" for number in range(8))
CHUNK = 25
BEGIN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
CALM, RARE = (0.0, 0.005, 0.01), (0.98, 0.985, 0.99)
FIRST, SECOND = "20260301T120000Z", "20260301T120500Z"
WARM_UP = 40
Scored = dict[str, list[tuple[int, float | None, float | None]]]
"""By machine: (minute, anomaly score, risk) of each score message, in the order of publication."""


@dataclass
class Load:
    """Readings of all machines, published a chunk at a time until stopped. step: how many minutes are acknowledged."""

    broker: Broker
    step: int = 0
    end: dict[int, int] = field(default_factory=dict)
    failure: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            while not self._stop.wait(0.1):
                self.end |= publish(self.broker, self._chunk())
                self.step += CHUNK
        except BaseException as error:
            self.failure = error
            raise

    def _chunk(self) -> Iterator[tuple[str, bytes]]:
        values = np.random.default_rng(self.step).normal([40, 60, 2.5, 300], [2, 1, 0.2, 10], (CHUNK, len(MACHINES), 4))
        for row in range(CHUNK):
            minute = self.step + row
            at = datetime.fromtimestamp(BEGIN + 60 * minute, UTC).isoformat()
            for machine, machine_id in enumerate(MACHINES):
                names = ("power", "temperature", "vibration", "production")
                reading = dict(zip(names, values[row, machine].round(3).tolist(), strict=True))
                reading |= {"machine_id": machine_id, "timestamp": at, "runtime": round(minute / 60, 4)}
                yield machine_id, json.dumps(reading).encode()

    def passes(self, chunks: int = 2) -> None:
        """Waits until some more was published."""
        least = self.step + chunks * CHUNK
        eventually(lambda: self.step >= least or self.failure is not None, seconds=20, what="more load")
        assert self.failure is None, self.failure


@contextmanager
def load(broker: Broker) -> Iterator[Load]:
    running = Load(broker)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        running._stop.set()
        thread.join()


def a_plant_that_learns_quickly(folder: Path) -> Path:
    text = shipped_plants()["default"].read_text()
    for setting, value in (("warm_up_readings", WARM_UP), ("settle_seconds", 0)):
        lines = [f"{setting} = {value}" if line.startswith(f"{setting} ") else line for line in text.splitlines()]
        text = "\n".join(lines)
    plant = folder / "plant.toml"
    plant.write_text(text)
    return plant


def running_versions(worker: Worker) -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for labels in worker.labels("nexova_model_info"):
        versions.setdefault(labels["name"], []).append(labels["version"])
    return versions


@dataclass(frozen=True, kw_only=True)
class Story:
    """What came of it. Steps: minutes published before the second version was asked for and since it ran, before
    the rollback was asked for and since it was done. refusals: metric labels, in order of the refusals."""

    broker: Broker
    steps: int
    second_asked: int
    second_runs: int
    back_asked: int
    back_runs: int
    refusals: list[dict[str, str]]
    versions: list[dict[str, list[str]]]
    log: str


def tell(broker: Broker, folder: Path) -> Story:
    create_topics(broker.kafka)
    shelf = Shelf(repository=ModelRepository(folder / "models"), path=folder / "models")
    shelf.put("anomaly", anomaly_files(scores=CALM))
    shelf.put("maintenance", risk_files(always=0.0))
    shelf.publish("anomaly", anomaly_files(scores=RARE), minutes=5)
    shelf.publish("maintenance", risk_files(always=3.0), minutes=5)
    where = ["--models", str(shelf.path)]
    versions = []
    with (
        pytest.MonkeyPatch.context() as environment,
        workers(broker, folder, NEXOVA_PLANT_FILE=str(a_plant_that_learns_quickly(folder))) as group,
    ):
        environment.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        worker = group.start()
        group.wait_ready()

        def runs(name: str, version: str) -> None:
            eventually(
                lambda: running_versions(worker)[name] == [version],
                seconds=20,
                what=f"{name} {version} runs; log:\n{worker.log.read_text()[-2000:]}",
            )
            versions.append(running_versions(worker))

        def refused(number: int) -> None:
            eventually(
                lambda: worker.metric("nexova_model_fallbacks_total") == number,
                seconds=20,
                what=f"{number} refusals; log:\n{worker.log.read_text()[-2000:]}",
            )
            versions.append(running_versions(worker))

        with load(broker) as stream:
            runs("anomaly", FIRST)
            eventually(
                lambda: worker.metric("nexova_readings_scored_total") > 500, seconds=30, what="readings are scored"
            )
            second_asked = stream.step
            assert run(["models", "promote", "anomaly", SECOND, *where]) == 0
            assert run(["models", "promote", "maintenance", SECOND, *where]) == 0
            runs("anomaly", SECOND)
            runs("maintenance", SECOND)
            second_runs = stream.step + CHUNK  # a chunk may be on its way
            stream.passes(8)
            back_asked = stream.step
            assert run(["models", "rollback", "anomaly", *where]) == 0
            runs("anomaly", FIRST)
            back_runs = stream.step + CHUNK
            stream.passes()

            strange = shelf.publish("anomaly", anomaly_files(scores=RARE), minutes=10, features="0" * 16)
            assert run(["models", "promote", "anomaly", strange.name, *where]) == 0
            refused(1)
            cut = shelf.publish("anomaly", anomaly_files(scores=RARE), minutes=15)
            entry = shelf.promote(cut)
            (cut / "model.onnx").write_bytes((cut / "model.onnx").read_bytes()[:-100])
            announce(entry, broker.kafka)
            refused(2)
            swapped = shelf.publish("anomaly", anomaly_files(scores=RARE), minutes=20)
            entry = shelf.promote(swapped)
            (swapped / "model.onnx").write_bytes(risk_files()["model.onnx"])
            announce(entry, broker.kafka)
            refused(3)
            stream.passes()
        wait_committed(broker, stream.end, seconds=30)
        refusals = worker.labels("nexova_model_fallbacks")
    return Story(
        broker=broker,
        steps=stream.step,
        second_asked=second_asked,
        second_runs=second_runs,
        back_asked=back_asked,
        back_runs=back_runs,
        refusals=refusals,
        versions=versions,
        log=worker.log.read_text(),
    )


def minute(text: str) -> int:
    return round((datetime.fromisoformat(text).timestamp() - BEGIN) / 60)


class ModelLifecycle:
    """The story that every broker's suite inherits."""

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> Iterator[Broker]:
        """A broker of the suite's own."""
        raise AssertionError

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Story:
        return tell(broker, tmp_path_factory.mktemp("lifecycle"))

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, story: Story) -> Scored:
        found: Scored = {}
        for _, value in read_all(story.broker, SCORES):
            score = json.loads(value or b"")
            row = (minute(score["timestamp"]), score["anomaly_score"], score["risk"])
            found.setdefault(score["machine_id"], []).append(row)
        return found

    def test_every_reading_is_scored_once_and_in_order(self, story: Story, scores: Scored) -> None:
        assert set(scores) == set(MACHINES)
        for rows in scores.values():
            assert [row[0] for row in rows] == list(range(story.steps))

    def test_the_next_messages_after_a_promotion_come_from_the_new_version_until_it_is_rolled_back(
        self, story: Story, scores: Scored
    ) -> None:
        for rows in scores.values():
            second = [at for at, score, _ in rows if score is not None and score >= RARE[0]]
            # one stretch without a gap: no batch of one version lies between batches of the other
            assert second == list(range(second[0], second[-1] + 1))
            assert story.second_asked - 200 < second[0] <= story.second_runs
            assert story.back_asked <= second[-1] + 200
            assert second[-1] < story.back_runs
            assert set(range(story.second_runs, story.back_asked)) <= set(second)

    def test_each_model_follows_its_own_promotions(self, scores: Scored, story: Story) -> None:
        for rows in scores.values():
            risks = [risk for _, _, risk in rows if risk is not None]
            assert risks == sorted(risks), "0 before the promotion, 3 since then"
            assert {risks[0], risks[-1]} == {0.0, 3.0}
        assert all(len(running) == 1 for seen in story.versions for running in seen.values())

    def test_alerts_and_recommendations_name_the_version_that_made_them(self, story: Story, scores: Scored) -> None:
        opened = [
            alert
            for _, value in read_all(story.broker, ALERTS)
            for alert in [Alert.model_validate_json(value or b"")]
            if alert.kind == "anomaly" and alert.state == "opened"
        ]
        for alert in opened:
            by_second = {at for at, score, _ in scores[alert.machine_id] if score is not None and score >= RARE[0]}
            version = SECOND if minute(alert.updated_at.isoformat()) in by_second else FIRST
            assert alert.model.version == version, alert
        assert SECOND in {alert.model.version for alert in opened}
        advice = [
            Recommendation.model_validate_json(value or b"") for _, value in read_all(story.broker, RECOMMENDATIONS)
        ]
        urgent = [one for one in advice if one.band == "urgent"]
        assert {one.machine_id for one in urgent} == set(MACHINES)
        assert {one.model.version for one in urgent} == {SECOND}
        assert {one.model.version for one in advice if one.band == "none"} <= {FIRST}

    def test_a_version_that_must_not_run_is_refused_counted_and_told_in_one_line_each(self, story: Story) -> None:
        lines = [line for line in story.log.splitlines() if "is refused" in line]
        assert len(lines) == 3
        complaints = ("was trained with features 0000000000000000", "was cut or changed", "was cut or changed")
        for line, complaint in zip(lines, complaints, strict=True):
            assert complaint in line
            assert f"{FIRST} goes on running" in line
        assert [(s["name"], s["reason"]) for s in story.refusals] == [
            ("anomaly", "incompatible"),
            ("anomaly", "damaged"),
        ]
        assert story.versions[-1] == {"anomaly": [FIRST], "maintenance": [SECOND]}


class TestOnTansu(ModelLifecycle):
    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> Iterator[Broker]:
        with running_tansu() as broker:
            yield broker


class TestOnApacheKafka(ModelLifecycle):
    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> Iterator[Broker]:
        with running_apache_kafka() as broker:
            yield broker
