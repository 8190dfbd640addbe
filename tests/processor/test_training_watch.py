from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from processor.versions.training_watch import observe_training
from runtime.metrics import ProcessorMetrics
from runtime.models.manifest import Verdict
from runtime.models.repository import ModelRepository
from tests.model_repository import START, ModelRepositoryBuilder, anomaly_files


def test_a_rejected_version_is_the_newest_and_not_the_one_that_runs(tmp_path: Path) -> None:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path)
    builder.put("anomaly", anomaly_files())
    metrics = ProcessorMetrics(CollectorRegistry())

    def gauge(name: str) -> float | None:
        observe_training(builder.repository, metrics)
        return metrics.registry.get_sample_value(name, {"name": "anomaly"})

    assert gauge("nexova_training_newest_rejected") == 0
    builder.publish("anomaly", anomaly_files(), minutes=5, gate=Verdict(promote=False, reason="worse"))
    assert gauge("nexova_training_newest_rejected") == 1
    assert gauge("nexova_training_newest_timestamp_seconds") == (START + timedelta(minutes=5)).timestamp()
    assert gauge("nexova_model_trained_timestamp_seconds") == START.timestamp()


def test_rows_that_the_newest_version_was_not_trained_on_are_shown_by_reason(tmp_path: Path) -> None:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path)
    metrics = ProcessorMetrics(CollectorRegistry())
    for minutes, excluded in ((0, {"sensor stuck": 7}), (5, {"during maintenance": 3})):
        builder.publish("anomaly", anomaly_files(), minutes=minutes, rows_excluded=excluded)
        observe_training(builder.repository, metrics)

    shown = {
        sample.labels["reason"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "nexova_training_excluded_rows"
    }
    assert shown == {"during maintenance": 3}


def test_a_repository_that_fails_leaves_the_gauges_as_they_were(tmp_path: Path) -> None:
    metrics = ProcessorMetrics(CollectorRegistry())
    (tmp_path / "anomaly" / "20260301T120000Z").mkdir(parents=True)
    (tmp_path / "anomaly" / "20260301T120000Z" / "manifest.json").write_text("{")

    observe_training(ModelRepository(tmp_path), metrics)

    newest = metrics.registry.get_sample_value("nexova_training_newest_rejected", {"name": "anomaly"})
    assert newest is None
