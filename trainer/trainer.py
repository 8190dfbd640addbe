"""From labelled readings to published models."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from core.features import extract, feature_fingerprint
from core.plant import Plant
from runtime.errors import UsageError
from runtime.inference import ANOMALY, MAINTENANCE
from runtime.manifest import Manifest, version_id
from runtime.plants import load_plant
from runtime.repository import ModelRepository
from trainer.anomaly import train_anomaly
from trainer.candidate import METRICS, Candidate, Progress, libraries, no_progress
from trainer.datasets import Datasets
from trainer.gate import Verdict, verdict
from trainer.maintenance import train_maintenance

_TRAINERS: Final = {ANOMALY: train_anomaly, MAINTENANCE: train_maintenance}
FAMILIES: Final = tuple(_TRAINERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One published version, and whether it runs from now on."""

    manifest: Manifest
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """What a training run made. metrics: by section, as in metrics.json. notes: what is odd about the data."""

    trained: tuple[Trained, ...]
    metrics: dict[str, dict[str, float | None]]
    notes: tuple[str, ...]


class MLModelTrainer:
    """Trains from the files in `data_dir` (as `nexova data generate` writes them) into `model_dir`.

    plant: the plant file's content; None is the default plant. clock: names the versions.
    """

    def __init__(
        self,
        data_dir: str | Path,
        model_dir: str | Path,
        *,
        plant: Plant | None = None,
        seed: int = 42,
        progress: Progress = no_progress,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.data_dir = Path(data_dir)
        self.repository = ModelRepository(model_dir)
        self.plant = plant or load_plant(None)
        self.seed = seed
        self._progress = progress
        self._clock = clock

    def train(self, families: Sequence[str] = FAMILIES) -> TrainingReport:
        """Train and publish the families named; raises as `train_models` and `Datasets.read` do."""
        _demand_known(families)
        self._progress("reading", 0.0)
        data = Datasets.read(self.data_dir, plant=self.plant)
        self._progress("reading", 1.0)
        return train_models(
            data,
            plant=self.plant,
            repository=self.repository,
            at=self._clock(),
            seed=self.seed,
            families=families,
            progress=self._progress,
        )


def train_models(
    data: Datasets,
    *,
    plant: Plant,
    repository: ModelRepository,
    at: datetime,
    seed: int,
    families: Sequence[str] = FAMILIES,
    progress: Progress = no_progress,
) -> TrainingReport:
    """Train the families named, then publish all of them: an error in one leaves the repository as it was.

    Raises:
        UsageError: an unknown family, or data that a family cannot learn from.
        RepositoryUnavailable, VersionExists: as `ModelRepository.publish`.
    """
    _demand_known(families)
    progress("features", 0.0)
    frame = extract(data.batch, plant=plant)
    progress("features", 1.0)
    candidates = [_TRAINERS[family](data, frame, plant=plant, seed=seed, progress=progress) for family in families]
    trained = [_publish(candidate, plant=plant, repository=repository, at=at) for candidate in candidates]
    sections = [json.loads(candidate.files[METRICS]) for candidate in candidates]
    metrics: dict[str, dict[str, float | None]] = {k: v for section in sections for k, v in section.items()}
    _merge_metrics(repository, metrics)
    notes = (*data.notes, *(note for candidate in candidates for note in candidate.notes))
    return TrainingReport(trained=tuple(trained), metrics=metrics, notes=notes)


def _demand_known(families: Sequence[str]) -> None:
    unknown = [family for family in families if family not in _TRAINERS]
    if unknown:
        raise UsageError(f"model {unknown[0]!r} is not known; choose one of: {', '.join(FAMILIES)}, all")


def _publish(candidate: Candidate, *, plant: Plant, repository: ModelRepository, at: datetime) -> Trained:
    passport = Manifest(
        name=candidate.name,
        version=version_id(at),
        created_at=at,
        plant=plant.fingerprint,
        features=feature_fingerprint(plant),
        trained_on=candidate.trained_on,
        rows_used=candidate.rows_used,
        rows_excluded=dict(candidate.rows_excluded),
        libraries=libraries(),
        metrics=dict(candidate.metrics),
        parent=repository.current(candidate.name),
        parameters=dict(candidate.parameters),
    )
    manifest = repository.publish(passport, candidate.files)
    decision = verdict(manifest, repository=repository)
    if decision.promote:
        repository.promote(manifest.name, manifest.version, at=at, reason=decision.reason)
    return Trained(manifest=manifest, verdict=decision)


def _merge_metrics(repository: ModelRepository, metrics: dict[str, dict[str, float | None]]) -> None:
    """Keep the sections of families that were not trained this time."""
    try:
        before: Any = json.loads(repository.read_document(METRICS) or b"{}")
    except ValueError:  # somebody's broken file is no reason to fail; it is written anew
        before = {}
    merged = (before if isinstance(before, dict) else {}) | metrics
    repository.write_document(METRICS, json.dumps(merged, indent=2).encode() + b"\n")
