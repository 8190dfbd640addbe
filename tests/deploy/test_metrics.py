import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from runtime.metrics import ForwarderMetrics, MetricSet, ProcessorMetrics, ProducerMetrics, process_registry
from schemas.dead_letters import DeadLetterReason
from schemas.topics import CATALOGUE
from tests.deploy.checks import exercise, run

SETS = (ProcessorMetrics, ProducerMetrics, ForwarderMetrics)
EVERY = [metric for each in SETS for metric in each.catalogue()]


def exposition(*sets: type[MetricSet]) -> str:
    registry = process_registry()
    for each in sets:
        exercise(each(registry))
    return generate_latest(registry).decode()


def test_promtool_finds_no_fault_in_an_exposition_of_every_metric(promtool: Path) -> None:
    text = exposition(*SETS)

    checked = run(promtool, "check", "metrics", given=text)

    assert (checked.returncode, checked.stderr) == (0, "")
    exposed = {family.name for family in text_string_to_metric_families(text)}
    assert {metric.name.removesuffix("_total") for metric in EVERY} <= exposed


def test_promtool_would_find_a_name_without_its_unit_suffix(promtool: Path) -> None:
    registry = CollectorRegistry()
    Counter("nexova_things", "Things.", registry=registry)
    text = generate_latest(registry).decode().replace("nexova_things_total", "nexova_things")

    assert run(promtool, "check", "metrics", given=text).returncode != 0


def test_a_set_gives_prometheus_objects_and_its_class_gives_the_catalogue() -> None:
    metrics = ProcessorMetrics(CollectorRegistry())

    metrics.readings_rejected.labels(reason="not_json").inc(3)

    assert metrics.registry.get_sample_value("nexova_readings_rejected_total", {"reason": "not_json"}) == 3
    assert ProcessorMetrics.readings_rejected.name == "nexova_readings_rejected_total"
    assert ProcessorMetrics.readings_rejected.label_names == ("reason",)


def test_two_workers_in_one_process_keep_their_counts_apart() -> None:
    first, second = ProcessorMetrics(CollectorRegistry()), ProcessorMetrics(CollectorRegistry())

    first.readings_accepted.inc(7)

    assert second.registry.get_sample_value("nexova_readings_accepted_total") == 0


def test_a_registry_takes_a_set_only_once() -> None:
    registry = CollectorRegistry()
    ProcessorMetrics(registry)

    with pytest.raises(ValueError, match="Duplicated timeseries"):
        ProcessorMetrics(registry)


def test_closed_labels_stand_at_zero_before_anything_happened() -> None:
    registry = ProcessorMetrics(CollectorRegistry()).registry

    for reason in get_args(DeadLetterReason):
        assert registry.get_sample_value("nexova_dead_letters_total", {"reason": reason}) == 0
    for topic in ("nexova.alerts", "nexova.dead-letters"):
        assert registry.get_sample_value("nexova_output_failures_total", {"topic": topic}) == 0
    assert (
        registry.get_sample_value("nexova_alerts_total", {"kind": "anomaly", "state": "opened", "severity": "critical"})
        == 0
    )


def test_a_value_outside_a_closed_label_is_not_stopped_but_every_label_says_what_bounds_it() -> None:
    for metric in EVERY:
        for label in metric.labels:
            assert bool(label.values) != bool(label.bound), f"{metric.name}{{{label.name}}}"


def test_no_label_can_hold_a_machine() -> None:
    labels = {label.name for metric in EVERY for label in metric.labels}

    assert not {name for name in labels if "machine" in name}


def test_names_are_in_base_units_and_fit_their_kind() -> None:
    for metric in EVERY:
        assert re.fullmatch(r"nexova_[a-z_]+", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert not re.search(r"_(ms|millis|milliseconds|minutes|kb|mb)(_|$)", metric.name), metric.name
        assert metric.help.endswith("."), metric.name


def test_buckets_ascend_and_alert_latency_is_fine_from_10_ms_to_a_minute() -> None:
    for metric in EVERY:
        assert list(metric.buckets) == sorted(set(metric.buckets)), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name
    latency = ProcessorMetrics.reading_to_alert.buckets
    assert (latency[0], latency[-1]) == (0.01, 60.0)
    assert all(upper <= 2.01 * lower for lower, upper in pairwise(latency))


def test_the_topic_label_names_topics_of_the_catalogue() -> None:
    known = {topic.name for topic in CATALOGUE}

    assert {value for label in ProcessorMetrics.output_messages.labels for value in label.values} < known
