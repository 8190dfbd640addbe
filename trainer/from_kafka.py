"""Training data from the history in Kafka, or the reason why it does not suffice."""

from datetime import datetime
from typing import Final

import numpy as np

from core.plant import Plant
from runtime.errors import UsageError
from runtime.models.inference import MAINTENANCE
from runtime.settings import KafkaSettings
from schemas.topics import FEEDBACK, READINGS
from trainer.candidate import Progress
from trainer.cleaning import clean
from trainer.datasets import Datasets, oddities, split_in_time
from trainer.kafka_history import MOST_READINGS, History, read_history
from trainer.maintenance import risk_anchors

FEWEST_READINGS: Final = 2_000
"""Fit to learn from; fewer do not fill three splits. The families have minima of their own."""


def datasets_from_kafka(
    kafka: KafkaSettings,
    *,
    plant: Plant,
    since: datetime | None,
    progress: Progress,
    most: int = MOST_READINGS,
) -> Datasets:
    """Read the history, and return the training data made from it.

    Raises:
        UsageError: too few readings are left.
        BrokerUnavailable, FailureError: as `read_history`.
    """
    return datasets_of(read_history(kafka, plant=plant, since=since, most=most, progress=progress), plant=plant)


def datasets_of(history: History, *, plant: Plant) -> Datasets:
    """Clean and split a history; raises UsageError when too few readings are left."""
    cleaned = clean(history.batch, history.statements, plant=plant, horizon_hours=risk_anchors()[0][0])
    excluded: dict[str, int] = {reason: count for reason, count in cleaned.excluded.items() if count}
    if history.too_old:
        excluded["older than the newest that are kept"] = history.too_old
    if history.refused:
        excluded["no readings, or without a believable time"] = history.refused
    left = len(cleaned.batch)
    if left < FEWEST_READINGS:
        reasons = {"given twice": cleaned.duplicates} | excluded
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count) or "none"
        raise UsageError(
            f"{READINGS} has {left:,} readings to learn from, {FEWEST_READINGS:,} are needed (left out: {why}); "
            "wait for more, go further back with --since, or judge the alerts that are open"
        )
    split = split_in_time(cleaned.batch.timestamps)
    return Datasets(
        batch=cleaned.batch,
        split=split,
        anomaly=cleaned.anomaly,
        hours_to_failure=cleaned.hours_to_failure,
        notes=oddities(cleaned.batch.values[split == 0], plant),
        duplicates=cleaned.duplicates,
        outcome_known=cleaned.outcome_known,
        excluded=excluded,
    )


def learnable(families: tuple[str, ...], data: Datasets) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the families that this data can train, and a note for each that it cannot.

    Raises:
        UsageError: it suffices for none of them.
    """
    if data.hours_to_failure is not None and np.isfinite(data.hours_to_failure[data.split == 0]).any():
        return families, ()
    why = f"no failure was reported on {FEEDBACK} in the time to learn from"
    if families == (MAINTENANCE,):
        raise UsageError(f"{MAINTENANCE}: {why}, and failures are what it learns; report them, or train anomaly")
    notes = (f"{MAINTENANCE}: not trained, because {why}",) if MAINTENANCE in families else ()
    return tuple(family for family in families if family != MAINTENANCE), notes
