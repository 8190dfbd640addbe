"""A look at the model repository every minute: metrics of training, and the reference of drift.

Training is measured here because a trainer's job has ended before it is scraped.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from processor.score_watch import ScoreWatch
from processor.versions.drift_reference import DriftReferences
from runtime.errors import NexovaError
from runtime.metrics import ProcessorMetrics
from runtime.models.repository import ModelRepository

LOGGER: Final = logging.getLogger("nexova.processor.models")
_EVERY_SECONDS: Final = 60


async def watch_training(
    repository: ModelRepository, metrics: ProcessorMetrics, scores: ScoreWatch, *, stopped: Callable[[], bool]
) -> None:
    """Observe the repository every minute until `stopped()`, in a thread, because a bucket may be slow."""
    references = DriftReferences(repository)
    while not stopped():
        await asyncio.to_thread(observe_training, repository, metrics)
        await asyncio.to_thread(references.exchange, scores.drift)
        for _ in range(_EVERY_SECONDS):
            if not stopped():
                await asyncio.sleep(1)


def observe_training(repository: ModelRepository, metrics: ProcessorMetrics) -> None:
    """Set the gauges of training from the newest version of each model; keep them if the repository fails."""
    try:
        for name in repository.names():
            newest, current = repository.versions(name)[-1], repository.current(name)
            metrics.training_newest.labels(name=name).set(trained_at(newest))
            manifest = repository.manifest(name, newest)
            gate = manifest.gate
            rejected = newest != current and gate is not None and not gate.promote
            metrics.training_rejected.labels(name=name).set(rejected)
            metrics.training_excluded.remove_by_labels({"name": name})
            for reason, rows in manifest.rows_excluded.items():
                metrics.training_excluded.labels(name=name, reason=reason).set(rows)
            if current is not None:
                metrics.model_trained.labels(name=name).set(trained_at(current))
    except NexovaError as error:
        LOGGER.warning("the state of training is unknown: %s", error.message)


def trained_at(version: str) -> float:
    """Return the creation time in a version's id, epoch seconds."""
    return datetime.strptime(version, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
