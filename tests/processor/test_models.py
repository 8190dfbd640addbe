"""What a worker makes of a promotion it hears of; the topic and the swap in a real worker are in tests/e2e."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from core.detection.features import feature_fingerprint
from processor.versions.follower import ModelFollower
from processor.versions.running import RunningModels
from processor.versions.shadow import ShadowReader
from runtime.metrics import ProcessorMetrics
from runtime.models.manifest import Promotion
from runtime.models.repository import ModelRepository
from runtime.models.signing import SigningKey, Trust
from runtime.settings import KafkaSettings
from schemas.models import ModelPromoted
from tests.model_repository import PLANT, ModelRepositoryBuilder, anomaly_files, risk_files

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9")
FIRST = "20260301T120000Z"


class Watched(ModelFollower):
    """A follower that nobody is to wait for between two tries."""

    def __init__(self, builder: ModelRepositoryBuilder) -> None:
        loaded = builder.load()
        self.metrics = ProcessorMetrics(CollectorRegistry())
        self.running = RunningModels(loaded.models, plant=PLANT, metrics=self.metrics)
        super().__init__(
            kafka=KAFKA,
            repository=builder.repository,
            plant=PLANT,
            running=self.running,
            shadows=ShadowReader(repository=builder.repository, plant=PLANT, canary_seconds=0.0, clock=lambda: 0.0),
            metrics=self.metrics,
            promotions=loaded.promotions,
            retry_seconds=0.0,
        )

    def refusals(self, reason: str) -> float:
        labels = {"name": "anomaly", "reason": reason}
        return self.metrics.registry.get_sample_value("nexova_model_fallbacks_total", labels) or 0.0


def heard(entry: Promotion) -> ModelPromoted:
    return ModelPromoted(name=entry.name, version=entry.version, promoted_at=entry.at, reason=entry.reason)


@pytest.fixture
def builder(tmp_path: Path) -> ModelRepositoryBuilder:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path)
    builder.put("anomaly", anomaly_files())
    builder.put("maintenance", risk_files())
    return builder


def test_what_runs_already_is_not_loaded_again(builder: ModelRepositoryBuilder) -> None:
    follower = Watched(builder)
    for name in ("anomaly", "maintenance"):
        (entry,) = builder.repository.history(name)
        assert follower.prepare(heard(entry)) is None
    assert follower.refusals("damaged") == 0


def test_a_promotion_is_loaded_once_however_often_it_is_heard_of(builder: ModelRepositoryBuilder) -> None:
    follower = Watched(builder)
    entry = builder.promote(builder.publish("anomaly", anomaly_files(), minutes=5))
    model = follower.prepare(heard(entry))
    assert model is not None
    assert model.version == entry.version
    assert follower.prepare(heard(entry)) is None


def test_a_promotion_heard_of_late_leads_to_the_version_promoted_since(builder: ModelRepositoryBuilder) -> None:
    follower = Watched(builder)
    early = builder.promote(builder.publish("anomaly", anomaly_files(), minutes=5))
    late = builder.promote(builder.publish("anomaly", anomaly_files(), minutes=10))
    model = follower.prepare(heard(early))
    assert model is not None
    assert model.version == late.version
    assert follower.prepare(heard(late)) is None


def test_a_rollback_leads_back(builder: ModelRepositoryBuilder) -> None:
    builder.put("anomaly", anomaly_files(), minutes=5)
    follower = Watched(builder)
    back = builder.repository.rollback(
        "anomaly", at=datetime.now(UTC) - timedelta(days=1), reason="a clock behind ours"
    )
    model = follower.prepare(heard(back))
    assert model is not None
    assert model.version == FIRST


def test_a_version_that_is_not_there_is_refused_in_one_line(
    builder: ModelRepositoryBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    follower = Watched(builder)
    elsewhere = ModelPromoted(name="anomaly", version="20270101T000000Z", promoted_at=datetime.now(UTC), reason="x")
    with caplog.at_level(logging.ERROR):
        assert follower.prepare(elsewhere) is None
    assert follower.refusals("missing") == 1
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"model anomaly: 20270101T000000Z was promoted and is refused, {FIRST} continues to run: model anomaly"
    )


def test_a_repository_that_stays_away_is_tried_again_and_then_told_of(builder: ModelRepositoryBuilder) -> None:
    follower = Watched(builder)
    entry = builder.promote(builder.publish("anomaly", anomaly_files(), minutes=5))
    log = builder.path / "registry.jsonl"
    content = log.read_bytes()
    log.unlink()
    log.mkdir()  # a file that cannot be read, whoever runs the tests
    assert follower.prepare(heard(entry)) is None
    assert follower.refusals("unavailable") == 1
    log.rmdir()
    log.write_bytes(content)
    assert follower.prepare(heard(entry)) is not None, "the next time it is announced"


def test_the_gauge_names_one_version_of_each_model(builder: ModelRepositoryBuilder) -> None:
    follower = Watched(builder)
    entry = builder.promote(builder.publish("anomaly", anomaly_files(), minutes=5))
    model = follower.prepare(heard(entry))
    assert model is not None
    follower.running.use(model)
    (family,) = [f for f in follower.metrics.registry.collect() if f.name == "nexova_model_info"]
    assert {(s.labels["name"], s.labels["version"]) for s in family.samples} == {
        ("anomaly", entry.version),
        ("maintenance", FIRST),
    }
    assert {s.labels["feature_fingerprint"] for s in family.samples} == {feature_fingerprint(PLANT)}
    assert follower.running.models.anomaly is model


def test_where_keys_are_trusted_an_unsigned_promotion_is_refused_and_the_former_runs_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = SigningKey.create(tmp_path / "key.pem")
    root = tmp_path / "models"
    signed = ModelRepositoryBuilder(repository=ModelRepository(root, signer=key), path=root)
    signed.put("anomaly", anomaly_files())
    trusting = ModelRepositoryBuilder(repository=ModelRepository(root, trust=Trust.parse(key.public)), path=root)
    follower = Watched(trusting)
    unsigned = ModelRepositoryBuilder(repository=ModelRepository(root), path=root)
    entry = unsigned.promote(unsigned.publish("anomaly", anomaly_files(), minutes=5))

    assert follower.prepare(heard(entry)) is None
    assert follower.refusals("untrusted") == 1
    assert f"is refused, {FIRST} continues to run" in caplog.text
    loaded = trusting.load()  # as after a restart
    assert loaded.models.anomaly is not None
    assert loaded.models.anomaly.version == FIRST
    assert ("anomaly", "untrusted") in loaded.refused
