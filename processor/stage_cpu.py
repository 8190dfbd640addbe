"""CPU time of the stages of a batch, as a metric."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.metrics import ProcessorMetrics
from runtime.metrics.processor import Stage


@contextmanager
def stage_cpu(metrics: ProcessorMetrics, stage: Stage) -> Iterator[None]:
    """Add the CPU time of the block to its stage; the block must stay in one thread and may not await."""
    started = time.thread_time()
    try:
        yield
    finally:
        metrics.stage_cpu.labels(stage=stage).inc(time.thread_time() - started)
