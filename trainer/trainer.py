"""From labelled readings to published models."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from trainer.candidate import METRICS, NOT_RUNNING, Candidate, Progress, libraries, no_progress, span_of
from trainer.datasets import Datasets
from trainer.gate import judge
from trainer.hygiene import resting
from trainer.injected import FAULTS, with_injected_faults
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
_TEST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What versions of one family are measured on, champion and challenger alike. injected: faults were put in."""

    data: Datasets
    frame: FeatureFrame
    injected: bool = False

    def measure(self, bundle: ModelBundle, *, plant: Plant) -> dict[str, float | None]:
        """The metrics of a version; raises ModelRefused when it cannot run."""
        family = _FAMILIES[bundle.manifest.name]
        model = family.open(bundle, plant=plant, features=feature_fingerprint(plant))
        return family.measure(model, self.data, self.frame)


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
    exams = _exams(families, data, frame, plant=plant, seed=seed)
    tried = [
        _examined(candidate, data, exams[candidate.name], plant=plant, repository=repository, at=at)
        for candidate in candidates
    ]
    candidates = [candidate for candidate, _ in tried]
    passports = [passport for _, passport in tried]
    verdicts = [
        _judge(
            ModelBundle(manifest=passport, files=candidate.files),
            exams[candidate.name],
            plant=plant,
            repository=repository,
        )
        for candidate, passport in tried
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


def _exams(families: Sequence[str], data: Datasets, frame: FeatureFrame, *, plant: Plant, seed: int) -> dict[str, Exam]:
    """What versions of each family are measured on: the data itself.

    Where its test split has no anomaly that anybody labelled, anomaly models are measured on one with faults put in.
    """
    exams = dict.fromkeys(families, Exam(data=data, frame=frame))
    labelled = data.anomaly is not None and bool((data.anomaly & (data.split == _TEST)).any())
    if ANOMALY in exams and not labelled:
        examined = with_injected_faults(data, plant=plant, seed=seed)
        exams[ANOMALY] = Exam(data=examined, frame=extract(examined.batch, plant=plant), injected=True)
    return exams


def _examined(
    candidate: Candidate, data: Datasets, exam: Exam, *, plant: Plant, repository: ModelRepository, at: datetime
) -> tuple[Candidate, Manifest]:
    """The candidate with its passport; measured anew where its family's own data could not measure it."""
    passport = _passport(candidate, data, plant=plant, repository=repository, at=at)
    if not exam.injected:
        return candidate, passport
    metrics = exam.measure(ModelBundle(manifest=passport, files=candidate.files), plant=plant)
    files = {**candidate.files, METRICS: json.dumps({candidate.name: metrics}, indent=2).encode()}
    note = f"{candidate.name}: measured on test readings with faults put into them, because none is labelled there"
    parameters = {**candidate.parameters, "measured_on": [fault.name for fault in FAULTS]}
    measured = replace(candidate, metrics=metrics, files=files, notes=(*candidate.notes, note), parameters=parameters)
    return measured, _passport(measured, data, plant=plant, repository=repository, at=at)


def _passport(
    candidate: Candidate, data: Datasets, *, plant: Plant, repository: ModelRepository, at: datetime
) -> Manifest:
    return Manifest(
        name=candidate.name,
        version=version_id(at),
        created_at=at,
        plant=plant.fingerprint,
        features=feature_fingerprint(plant),
        trained_on=candidate.trained_on,
        rows_used=candidate.rows_used,
        rows_excluded=_excluded(candidate, data, plant),
        libraries=libraries(),
        metrics=dict(candidate.metrics),
        parent=repository.current(candidate.name),
        parameters=dict(candidate.parameters),
    )


def _excluded(candidate: Candidate, data: Datasets, plant: Plant) -> dict[str, int]:
    """Rows left out, by reason: before the family saw the data, and by the family; standing machines told apart."""
    excluded = {**data.excluded, **candidate.rows_excluded}
    together = excluded.pop(NOT_RUNNING, 0)
    if together:
        off, idle = (int((rows & (data.split == 0)).sum()) for rows in resting(data.batch, plant))
        excluded |= {"machine off": off, "machine idle": idle, "warming up": together - off - idle}
    return excluded


def _judge(challenger: ModelBundle, exam: Exam, *, plant: Plant, repository: ModelRepository) -> Verdict:
    moments = exam.data.batch.timestamps[exam.data.split == _TEST]
    verdict = judge(
        challenger,
        exam=lambda bundle: exam.measure(bundle, plant=plant),
        held_out=span_of(moments) if moments.size else None,
        repository=repository,
    )
    if exam.injected and verdict.compared:
        return verdict.model_copy(update={"reason": f"{verdict.reason} (with faults put into these readings)"})
    return verdict


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
