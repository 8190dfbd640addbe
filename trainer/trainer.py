"""From labelled readings to published models."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from core.features import FeatureFrame, extract, feature_fingerprint
from core.plant import Plant
from runtime.errors import UsageError
from runtime.inference import ANOMALY, MAINTENANCE, open_anomaly, open_risk
from runtime.manifest import Manifest, Promotion, Verdict, version_id
from runtime.plants import load_plant
from runtime.repository import ModelBundle, ModelRepository
from trainer.anomaly import measure_anomaly, train_anomaly
from trainer.candidate import METRICS, Candidate, Progress, libraries, no_progress, span_of
from trainer.datasets import Datasets
from trainer.gate import judge
from trainer.maintenance import measure_risk, train_maintenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How models of one name are made, opened, and measured on the test split."""

    train: Callable[..., Candidate]
    open: Callable[..., Any]
    measure: Callable[[Any, Datasets, FeatureFrame], dict[str, float | None]]


_FAMILIES: Final = {
    ANOMALY: Family(train=train_anomaly, open=open_anomaly, measure=measure_anomaly),
    MAINTENANCE: Family(train=train_maintenance, open=open_risk, measure=measure_risk),
}
FAMILIES: Final = tuple(_FAMILIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One published version, what the gate said of it, and its promotion, if it was promoted."""

    manifest: Manifest
    verdict: Verdict
    promotion: Promotion | None


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
    candidates = [
        _FAMILIES[family].train(data, frame, plant=plant, seed=seed, progress=progress) for family in families
    ]
    passports = [_passport(candidate, plant=plant, repository=repository, at=at) for candidate in candidates]
    verdicts = [
        _judge(ModelBundle(manifest=passport, files=candidate.files), data, frame, plant=plant, repository=repository)
        for passport, candidate in zip(passports, candidates, strict=True)
    ]
    trained = [
        _publish(passport.model_copy(update={"gate": verdict}), candidate, verdict, repository=repository)
        for passport, candidate, verdict in zip(passports, candidates, verdicts, strict=True)
    ]
    sections = [json.loads(candidate.files[METRICS]) for candidate in candidates]
    metrics: dict[str, dict[str, float | None]] = {k: v for section in sections for k, v in section.items()}
    _merge_metrics(repository, metrics)
    notes = (*data.notes, *(note for candidate in candidates for note in candidate.notes))
    return TrainingReport(trained=tuple(trained), metrics=metrics, notes=notes)


def _demand_known(families: Sequence[str]) -> None:
    unknown = [family for family in families if family not in _FAMILIES]
    if unknown:
        raise UsageError(f"model {unknown[0]!r} is not known; choose one of: {', '.join(FAMILIES)}, all")


def _passport(candidate: Candidate, *, plant: Plant, repository: ModelRepository, at: datetime) -> Manifest:
    return Manifest(
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


def _judge(
    challenger: ModelBundle, data: Datasets, frame: FeatureFrame, *, plant: Plant, repository: ModelRepository
) -> Verdict:
    family = _FAMILIES[challenger.manifest.name]
    features = feature_fingerprint(plant)

    def exam(bundle: ModelBundle) -> dict[str, float | None]:
        return family.measure(family.open(bundle, plant=plant, features=features), data, frame)

    moments = data.batch.timestamps[data.split == 2]  # noqa: PLR2004 - the test split
    return judge(challenger, exam=exam, held_out=span_of(moments) if moments.size else None, repository=repository)


def _publish(passport: Manifest, candidate: Candidate, verdict: Verdict, *, repository: ModelRepository) -> Trained:
    manifest = repository.publish(passport, candidate.files)
    promotion = None
    if verdict.promote:
        promotion = repository.promote(manifest.name, manifest.version, at=manifest.created_at, reason=verdict.reason)
    return Trained(manifest=manifest, verdict=verdict, promotion=promotion)


def _merge_metrics(repository: ModelRepository, metrics: dict[str, dict[str, float | None]]) -> None:
    """Keep the sections of families that were not trained this time."""
    try:
        before: Any = json.loads(repository.read_document(METRICS) or b"{}")
    except ValueError:  # somebody's broken file is no reason to fail; it is written anew
        before = {}
    merged = (before if isinstance(before, dict) else {}) | metrics
    repository.write_document(METRICS, json.dumps(merged, indent=2).encode() + b"\n")
