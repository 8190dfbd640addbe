"""The models that run, looked at without running them: files, plant, features, age and quality."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from core.detection.features import feature_fingerprint
from core.plant import Plant
from deploy.validation.findings import Finding
from runtime.errors import NexovaError
from runtime.models.inference import load_models
from runtime.models.manifest import LOWER_IS_BETTER
from runtime.models.repository import ModelRepository

BOUNDS: Final = {
    "anomaly": {"f1": 0.80, "auc": 0.90},
    "maintenance": {"r2": 0.75, "mae": 0.40},
}
"""Worst figures on the test split that a model may run with; below them the rules alone do better."""

LONGEST_AGE: Final = timedelta(days=35)
"""Since a model was trained; training is weekly, so an older one says that training fails."""


def validate_models(repository: ModelRepository, *, plant: Plant, now: datetime) -> Iterator[Finding]:
    """Yield what is found of each model that runs, and of each that should and does not."""
    loaded = load_models(repository, plant=plant, features=feature_fingerprint(plant))
    refused = dict(loaded.refused)
    for problem in loaded.problems:
        yield Finding(subject="models", passed=False, detail=problem)
    for name in BOUNDS:
        version = repository.current(name)
        if version is None or name in refused:
            continue  # named by a problem above
        try:
            manifest = repository.load(name, version).manifest
        except NexovaError as error:
            yield Finding(subject=name, passed=False, detail=error.message)
            continue
        yield Finding(subject=f"{name} {version}", passed=True, detail="files are whole, made for this plant")
        yield from _quality(name, manifest.metrics)
        age = now - manifest.created_at
        yield Finding(
            subject=f"{name} age",
            passed=age <= LONGEST_AGE,
            detail=f"trained {age.days} days ago, at most {LONGEST_AGE.days}",
        )


def _quality(name: str, metrics: dict[str, float | None]) -> Iterator[Finding]:
    for metric, bound in BOUNDS[name].items():
        value = metrics.get(metric)
        low = metric in LOWER_IS_BETTER
        passed = value is not None and (value <= bound if low else value >= bound)
        shown = "unknown" if value is None else f"{value:.3f}"
        wanted = f"{'at most' if low else 'at least'} {bound}"
        yield Finding(subject=f"{name} {metric}", passed=passed, detail=f"{shown}, {wanted}")
