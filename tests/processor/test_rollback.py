"""A promotion whose alert rate leaves its bounds: two workers judge it, and the registry has one rollback."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from core.rollout import AlertCounts
from processor.versions.canary import Rollbacks
from processor.versions.follower import ModelFollower
from processor.versions.running import RunningModels
from processor.versions.shadow import ShadowReader
from runtime.metrics import ProcessorMetrics
from runtime.models.manifest import Promotion
from runtime.models.repository import ModelRepository
from runtime.settings import KafkaSettings, Settings
from schemas.models import ModelPromoted
from tests.model_repository import PLANT, ModelRepositoryBuilder, anomaly_files, risk_files

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9")
SPAN, LEAST = 3600.0, 100


class AtOnce:
    """An event loop that calls what it is given at once."""

    def call_soon_threadsafe(self, call: object, *arguments: object) -> None:
        call(*arguments)  # type: ignore[operator]


class AWorker:
    """What follows and watches in a worker, with the topic and the event loop left out."""

    def __init__(self, builder: ModelRepositoryBuilder) -> None:
        self.now = datetime.now(UTC).timestamp()
        loaded = builder.load()
        self.metrics = ProcessorMetrics(CollectorRegistry())
        settings = Settings(kafka=KAFKA, processor={"rollback_seconds": SPAN, "rollback_readings": LEAST})  # type: ignore[arg-type]
        self.running = RunningModels(loaded.models, plant=PLANT, metrics=self.metrics)
        self.follower = ModelFollower(
            kafka=KAFKA,
            repository=builder.repository,
            plant=PLANT,
            running=self.running,
            shadows=ShadowReader(
                repository=builder.repository, plant=PLANT, canary_seconds=SPAN, clock=lambda: self.now
            ),
            metrics=self.metrics,
            promotions=loaded.promotions,
            retry_seconds=0.0,
        )
        self.rollbacks = Rollbacks(
            running=self.running,
            repository=builder.repository,
            settings=settings,
            metrics=self.metrics,
            clock=lambda: self.now,
        )
        self.follower._update("anomaly", None, AtOnce())  # type: ignore[arg-type]

    def hears(self, entry: Promotion) -> None:
        promoted = ModelPromoted(name=entry.name, version=entry.version, promoted_at=entry.at, reason=entry.reason)
        self.follower._update(entry.name, self.follower.prepare(promoted), AtOnce())  # type: ignore[arg-type]

    def judges(self, version: str, rate: float, former: str, usual: float) -> None:
        calls = tuple(
            AlertCounts(name="anomaly", version=one, scored=LEAST, alerting=round(LEAST * share))
            for one, share in ((version, rate), (former, usual))
        )
        self.running.counters.add(calls)
        self.rollbacks.add(calls)

    def ticks(self) -> None:
        self.rollbacks.tick()
        for canary in self.rollbacks._canaries.values():
            if canary.working is not None:
                canary.working.join()

    @property
    def roles(self) -> dict[str, str]:
        return {row["version"]: row["role"] for row in self.running.counters.summary()["anomaly"]}

    @property
    def taken_back(self) -> float:
        value = self.metrics.registry.get_sample_value("nexova_model_rollbacks_total", {"name": "anomaly"})
        return value or 0.0


@pytest.fixture
def builder(tmp_path: Path) -> ModelRepositoryBuilder:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path)
    builder.put("anomaly", anomaly_files())
    builder.put("maintenance", risk_files())
    return builder


FIRST, SECOND = "20260301T120000Z", "20260301T120500Z"


def a_second(builder: ModelRepositoryBuilder) -> Promotion:
    return builder.promote(builder.publish("anomaly", anomaly_files(), minutes=5))


def test_two_workers_take_a_bad_version_back_once(
    builder: ModelRepositoryBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    workers = [AWorker(builder), AWorker(builder)]
    entry = a_second(builder)
    for worker in workers:
        worker.hears(entry)
        assert worker.roles == {FIRST: "previous", SECOND: "champion"}
        worker.judges(SECOND, 0.4, FIRST, 0.01)
    with caplog.at_level(logging.INFO):
        for worker in workers:
            worker.ticks()
    (back,) = [entry for entry in builder.repository.history("anomaly") if entry.action == "rolled_back"]
    assert (back.version, back.previous) == (FIRST, SECOND)
    assert back.reason == (
        f"rolled back by a worker: alert rate 40.0% is outside 0.0% to 8.0%, as {FIRST} raises 1.0% on the same "
        "100 readings"
    )
    assert [worker.taken_back for worker in workers] == [1, 0]
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(lines) == 1
    assert lines[0].startswith(f"model anomaly: version {SECOND} is rolled back to {FIRST}: alert rate 40.0%")
    for worker in workers:
        worker.hears(back)
        assert worker.running.versions["anomaly"] == FIRST
        assert worker.roles == {FIRST: "champion"}
        assert worker.running.models.shadows == ()


def test_a_version_within_its_bounds_stays_and_is_watched_no_longer_than_stated(
    builder: ModelRepositoryBuilder,
) -> None:
    worker = AWorker(builder)
    worker.hears(a_second(builder))
    for _ in range(5):
        worker.judges(SECOND, 0.05, FIRST, 0.01)
        worker.ticks()
    worker.now += SPAN + 1
    worker.ticks()
    assert worker.roles == {SECOND: "champion"}
    assert worker.running.models.shadows == ()
    worker.judges(SECOND, 1.0, FIRST, 0.0)
    worker.ticks()
    assert builder.repository.current("anomaly") == SECOND


def test_a_worker_that_starts_while_a_version_is_watched_watches_too(builder: ModelRepositoryBuilder) -> None:
    a_second(builder)
    worker = AWorker(builder)
    assert worker.roles == {FIRST: "previous", SECOND: "champion"}
    worker.judges(SECOND, 0.4, FIRST, 0.01)
    worker.ticks()
    assert builder.repository.current("anomaly") == FIRST


def test_a_promotion_made_by_a_person_meanwhile_is_left_alone(builder: ModelRepositoryBuilder) -> None:
    worker = AWorker(builder)
    worker.hears(a_second(builder))
    worker.judges(SECOND, 0.4, FIRST, 0.01)
    third = builder.promote(builder.publish("anomaly", anomaly_files(), minutes=10))
    worker.ticks()
    assert builder.repository.current("anomaly") == third.version
    assert worker.taken_back == 0


def test_a_registry_that_may_not_be_written_is_told_of_and_tried_again(
    builder: ModelRepositoryBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    worker = AWorker(builder)
    worker.hears(a_second(builder))
    worker.judges(SECOND, 0.4, FIRST, 0.01)
    log = builder.path / "registry.jsonl"
    content = log.read_bytes()
    log.unlink()
    log.mkdir()  # a file that cannot be read, whoever runs the tests
    worker.ticks()
    assert "cannot be rolled back: alert rate 40.0%" in caplog.text
    log.rmdir()
    log.write_bytes(content)
    worker.ticks()
    assert builder.repository.current("anomaly") == SECOND, "not every second anew"
    worker.now += 11
    worker.ticks()
    assert builder.repository.current("anomaly") == FIRST


def test_the_first_version_has_none_before_it_to_be_held_against(builder: ModelRepositoryBuilder) -> None:
    worker = AWorker(builder)
    assert worker.roles == {FIRST: "champion"}
    worker.ticks()
    assert not worker.rollbacks._canaries


def test_a_challenger_is_counted_beside_the_champion_until_it_is_stopped(builder: ModelRepositoryBuilder) -> None:
    worker = AWorker(builder)
    (champion,) = builder.repository.history("anomaly")
    builder.publish("anomaly", anomaly_files(), minutes=5)
    builder.repository.shadow("anomaly", SECOND, at=datetime.now(UTC), reason="test")
    worker.hears(champion)
    worker.judges(FIRST, 0.01, SECOND, 0.2)
    assert worker.running.counters.summary()["anomaly"] == [
        {"version": FIRST, "role": "champion", "scored": 100, "alerting": 1, "alert_rate": 0.01},
        {"version": SECOND, "role": "challenger", "scored": 100, "alerting": 20, "alert_rate": 0.2},
    ]
    labels = {"name": "anomaly", "version": SECOND, "role": "challenger"}
    assert worker.metrics.registry.get_sample_value("nexova_model_alerting_total", labels) == 20
    worker.ticks()
    assert builder.repository.current("anomaly") == FIRST
    builder.repository.end_shadow("anomaly", at=datetime.now(UTC), reason="test")
    worker.hears(champion)
    assert worker.roles == {FIRST: "champion"}
    assert worker.metrics.registry.get_sample_value("nexova_model_alerting_total", labels) is None


def test_a_challenger_that_cannot_run_is_told_of_and_left_out(
    builder: ModelRepositoryBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    worker = AWorker(builder)
    (champion,) = builder.repository.history("anomaly")
    strange = builder.publish("anomaly", anomaly_files(), minutes=5, features="0" * 16)
    builder.repository.shadow("anomaly", strange.name, at=datetime.now(UTC), reason="test")
    worker.hears(champion)
    assert worker.roles == {FIRST: "champion"}
    assert (
        f"model anomaly: version {SECOND} cannot score as a shadow: model anomaly {SECOND} was trained" in caplog.text
    )
