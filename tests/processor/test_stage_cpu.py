"""The CPU time of a stage is that of its own thread."""

import time
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import CollectorRegistry

from processor.stage_cpu import stage_cpu
from runtime.metrics import ProcessorMetrics


def seconds_of(metrics: ProcessorMetrics, stage: str) -> float:
    return metrics.registry.get_sample_value("nexova_stage_cpu_seconds_total", {"stage": stage}) or 0.0


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_stage_counts_the_work_of_its_thread_and_neither_waits_nor_other_threads() -> None:
    metrics = ProcessorMetrics(CollectorRegistry())
    with ThreadPoolExecutor(max_workers=1) as other, stage_cpu(metrics, "decode"):
        other.submit(work, 0.2).result()
    with stage_cpu(metrics, "assess"):
        work(0.02)

    assert seconds_of(metrics, "decode") < 0.1
    assert 0.02 <= seconds_of(metrics, "assess") < 0.1
