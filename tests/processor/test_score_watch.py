"""Scores become figures for Prometheus: a histogram like the library's own, the rate of flags, drift by version."""

import numpy as np
from prometheus_client import CollectorRegistry, Histogram

from core.assess import Scores
from core.batch import ReadingBatch
from processor.score_watch import ScoreWatch
from runtime.metrics import ProcessorMetrics
from runtime.metrics.catalogue import observe_all


def scores(anomaly: np.ndarray, risk: float = 0.5) -> Scores:
    rows = len(anomaly)
    return Scores(
        batch=ReadingBatch.from_columns(["m"] * rows, np.zeros(rows), np.zeros((rows, 1))),
        anomaly=anomaly,
        flagged=np.nan_to_num(anomaly) >= 0.5,
        risk=np.full(rows, risk),
        condition=np.zeros(rows, np.int64),
        warm=np.ones(rows, bool),
        progress=np.ones(rows, np.float32),
        level=np.zeros(rows, np.int8),
        confidence=np.ones(rows),
    )


def test_many_values_at_once_are_observed_like_one_by_one() -> None:
    values = np.concatenate([np.random.default_rng(1).random(500), [0.0, 0.1, 0.5, 1.0, 7.0]])
    registries = [CollectorRegistry(), CollectorRegistry()]
    one, many = (Histogram("h", "H.", registry=each, buckets=(0.1, 0.5, 1.0)) for each in registries)
    for value in values.tolist():
        one.observe(value)
    observe_all(many, values)

    counts = [
        {tuple(sample.labels.items()): sample.value for family in each.collect() for sample in family.samples
         if sample.name in {"h_bucket", "h_count"}}
        for each in registries
    ]  # fmt: skip
    assert counts[0] == counts[1]
    sums = [each.get_sample_value("h_sum") or 0.0 for each in registries]
    assert abs(sums[0] - sums[1]) < 1e-9


def test_the_rate_is_of_the_newest_readings_and_drift_begins_anew_with_a_version() -> None:
    metrics = ProcessorMetrics(CollectorRegistry())
    watch = ScoreWatch(metrics)
    random = np.random.default_rng(1)

    def gauge(metric: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(metric, labels) or 0.0

    for _ in range(12):
        watch.add(scores(np.append(random.uniform(0, 0.5, 1000), np.nan)))
        watch.measure({"anomaly": "1", "maintenance": "1"})
    assert gauge("nexova_anomaly_rate") == 0
    assert gauge("nexova_model_drift_psi", name="anomaly") < 0.1
    assert gauge("nexova_anomaly_score_count") == 12_000

    for _ in range(40):
        watch.add(scores(random.uniform(0, 1.0, 1000)))
        watch.measure({"anomaly": "1", "maintenance": "1"})
    assert 0.4 < gauge("nexova_anomaly_rate") < 0.55
    assert gauge("nexova_model_drift_psi", name="anomaly") > 0.25
    assert gauge("nexova_model_drift_psi", name="maintenance") < 0.01

    watch.add(scores(random.uniform(0, 1.0, 1000)))
    watch.measure({"anomaly": "2", "maintenance": "1"})
    assert gauge("nexova_model_drift_psi", name="anomaly") == 0
