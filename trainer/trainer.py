"""Training runs, from labelled readings to published models."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from core.detection.features import FeatureFrame, extract, feature_fingerprint
from core.plant import Plant
from runtime.errors import UsageError
from runtime.models.inference import ANOMALY
from runtime.models.manifest import Manifest, Promotion, Verdict, version_id
from runtime.models.repository import ModelBundle, ModelRepository
from runtime.plants import load_plant
from trainer.candidate import METRICS, NOT_RUNNING, Candidate, Progress, libraries, no_progress, span_of
from trainer.cleaning import resting
from trainer.datasets import SPLITS, Datasets
from trainer.families import Family, known_families
from trainer.fanout import Backend, working_on
from trainer.gate import gate_verdict
from trainer.injected import FAULTS, with_injected_faults
from trainer.measure import Intervals, Metrics, Outcome, intervals

INTERVALS: Final = "intervals"
SPLIT: Final = "split"
_TEST: Final = SPLITS.index("test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One published version, the gate's verdict, and its promotion, if any."""

    manifest: Manifest
    verdict: Verdict
    promotion: Promotion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """Result of a training run. notes: peculiarities of the data.

    metrics, intervals: by section, as in metrics.json; the intervals are those of 95 % over machines.
    """

    trained: tuple[Trained, ...]
    metrics: dict[str, dict[str, float | None]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    notes: tuple[str, ...]


class MLModelTrainer:
    """Trainer on the files in `data_dir` (as `nexova data generate` writes them), publishing to `model_dir`.

    plant: the plant file's content; None is the default plant. clock: names the versions. families: more than the
    built-in ones. backend: where the fits of many machines run. repository: in place of an unsigned one at `model_dir`.
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
        families: Iterable[Family] = (),
        backend: Backend = Backend.LOKY,
        repository: ModelRepository | None = None,
    ) -> None:
        self.data_dir = Path(data_dir)
        self.repository = repository or ModelRepository(model_dir)
        self.plant = plant or load_plant(None)
        self.seed = seed
        self._progress = progress
        self._clock = clock
        self._known = known_families(families)
        self._backend = backend

    def train(self, families: Sequence[str] | None = None) -> TrainingReport:
        """Train and publish the families named, or all; raises as `train_models`, `working_on` and `Datasets.read`."""
        _chosen(families, self._known)
        self._progress("reading", 0.0)
        data = Datasets.read(self.data_dir, plant=self.plant)
        self._progress("reading", 1.0)
        with working_on(self._backend):
            return train_models(
                data,
                plant=self.plant,
                repository=self.repository,
                at=self._clock(),
                seed=self.seed,
                families=families,
                known=self._known,
                progress=self._progress,
            )


def train_models(
    data: Datasets,
    *,
    plant: Plant,
    repository: ModelRepository,
    at: datetime,
    seed: int,
    families: Sequence[str] | None = None,
    known: Mapping[str, Family] | None = None,
    progress: Progress = no_progress,
) -> TrainingReport:
    """Train the families named, then publish all of them; an error in one leaves the repository unchanged.

    families: None means all that are `known`, which are the built-in ones unless more are given.

    Raises:
        UsageError: an unknown family, or data that a family cannot learn from.
        RepositoryUnavailable: as `ModelRepository.publish`.
    """
    chosen = _chosen(families, known_families() if known is None else known)
    at = repository.unused_moment([family.name for family in chosen], at)
    progress("features", 0.0)
    frame = extract(data.batch, plant=plant)
    progress("features", 1.0)
    run = _Run(data=data, frame=frame, plant=plant, repository=repository, at=at, progress=progress)
    ready = [run.evaluated(family, seed=seed) for family in chosen]
    trained = [_publish(one.bundle, one.verdict, repository=repository) for one in ready]
    sections = {one.family.section: dict(one.metrics) for one in ready}
    ranges = {one.family.section: dict(one.intervals) for one in ready}
    _merge_metrics(repository, sections, ranges, split=_spans(data))
    notes = (*data.notes, *(note for one in ready for note in one.notes))
    return TrainingReport(trained=tuple(trained), metrics=sections, intervals=ranges, notes=notes)


def _chosen(names: Sequence[str] | None, known: Mapping[str, Family]) -> list[Family]:
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise UsageError(f"model {unknown[0]!r} is not known; choose one of: {', '.join(known)}, all")
    return [known[name] for name in (known if names is None else names)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluation:
    """Evaluation data of one family, for champion and challenger alike. injected: it contains injected faults."""

    data: Datasets
    frame: FeatureFrame
    injected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluated:
    """An evaluated candidate, not yet published."""

    family: Family
    bundle: ModelBundle
    metrics: Metrics
    intervals: Intervals
    verdict: Verdict
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Context shared by all families of one training run."""

    data: Datasets
    frame: FeatureFrame
    plant: Plant
    repository: ModelRepository
    at: datetime
    progress: Progress

    def evaluated(self, family: Family, *, seed: int) -> _Evaluated:
        """Train a candidate, evaluate it as it will run, and compare it with the champion in the gate."""
        candidate = family.train(self.data, self.frame, plant=self.plant, seed=seed, progress=self.progress)
        step = f"{family.name}, tested"
        self.progress(step, 0.0)
        evaluation = self._evaluation(family, seed=seed)
        bundle = ModelBundle(manifest=self._manifest(candidate, evaluation), files=candidate.files)
        outcome = self._outcome(family, bundle, evaluation)
        metrics = _figures(family, outcome)
        ranges = {} if outcome is None else intervals(outcome, family.figures)
        self.progress(step, 0.5)
        document = _document({family.section: dict(metrics)}, {family.section: dict(ranges)}, _spans(self.data))
        manifest = bundle.manifest.model_copy(update={"metrics": dict(metrics), "intervals": dict(ranges)})
        bundle = ModelBundle(manifest=manifest, files={**candidate.files, METRICS: document})
        verdict = self._verdict(family, bundle, metrics, evaluation)
        self.progress(step, 1.0)
        note = f"{family.name}: measured on test readings with faults put into them, because none is labelled there"
        notes = (*candidate.notes, note) if evaluation.injected else candidate.notes
        return _Evaluated(family=family, bundle=bundle, metrics=metrics, intervals=ranges, verdict=verdict, notes=notes)

    def _evaluation(self, family: Family, *, seed: int) -> _Evaluation:
        """Return the data itself or, for an anomaly model without labels in the test split, injected faults."""
        anomaly = self.data.anomaly
        labelled = anomaly is not None and bool((anomaly & (self.data.split == _TEST)).any())
        if family.name != ANOMALY or labelled:
            return _Evaluation(data=self.data, frame=self.frame)
        evaluated = with_injected_faults(self.data, plant=self.plant, seed=seed)
        return _Evaluation(data=evaluated, frame=extract(evaluated.batch, plant=self.plant), injected=True)

    def _verdict(self, family: Family, bundle: ModelBundle, metrics: Metrics, evaluation: _Evaluation) -> Verdict:
        moments = evaluation.data.batch.timestamps[evaluation.data.split == _TEST]
        verdict = gate_verdict(
            bundle,
            mine=metrics,
            bounds=family.bounds,
            evaluation=lambda other: _figures(family, self._outcome(family, other, evaluation)),
            held_out=span_of(moments) if moments.size else None,
            repository=self.repository,
        )
        if evaluation.injected and verdict.compared:
            return verdict.model_copy(update={"reason": f"{verdict.reason} (with faults put into these readings)"})
        return verdict

    def _outcome(self, family: Family, bundle: ModelBundle, evaluation: _Evaluation) -> Outcome | None:
        model = family.open(bundle, plant=self.plant, features=feature_fingerprint(self.plant))
        return family.answer(model, evaluation.data, evaluation.frame, plant=self.plant)

    def _manifest(self, candidate: Candidate, evaluation: _Evaluation) -> Manifest:
        measured_on = {"measured_on": [fault.name for fault in FAULTS]} if evaluation.injected else {}
        return Manifest(
            name=candidate.name,
            version=version_id(self.at),
            created_at=self.at,
            plant=self.plant.fingerprint,
            features=feature_fingerprint(self.plant),
            trained_on=candidate.trained_on,
            rows_used=candidate.rows_used,
            rows_excluded=_excluded(candidate, self.data, self.plant),
            libraries=libraries(),
            parent=self.repository.current(candidate.name),
            parameters={**candidate.parameters, **measured_on},
        )


def _excluded(candidate: Candidate, data: Datasets, plant: Plant) -> dict[str, int]:
    """Return the rows left out, by reason: in cleaning and by the family; standing machines are counted apart."""
    excluded = {**data.excluded, **candidate.rows_excluded}
    together = excluded.pop(NOT_RUNNING, 0)
    if together:
        off, idle = (int((rows & (data.split == 0)).sum()) for rows in resting(data.batch, plant))
        excluded |= {"machine off": off, "machine idle": idle, "warming up": together - off - idle}
    return excluded


def _figures(family: Family, outcome: Outcome | None) -> Metrics:
    return dict.fromkeys(family.figure_names) if outcome is None else family.figures(outcome)


def _spans(data: Datasets) -> dict[str, Any]:
    """Return when each split begins and ends, and its rows."""
    found = {}
    for code, name in enumerate(SPLITS):
        moments = data.batch.timestamps[data.split == code]
        if moments.size:
            found[name] = {**span_of(moments).model_dump(mode="json"), "rows": int(moments.size)}
    return found


def _publish(bundle: ModelBundle, verdict: Verdict, *, repository: ModelRepository) -> Trained:
    manifest = repository.publish_newest(bundle.manifest.model_copy(update={"gate": verdict}), bundle.files)
    promotion = None
    if verdict.promote:
        promotion = repository.promote(manifest.name, manifest.version, at=manifest.created_at, reason=verdict.reason)
    return Trained(manifest=manifest, verdict=verdict, promotion=promotion)


def _merge_metrics(
    repository: ModelRepository, sections: Mapping[str, Any], ranges: Mapping[str, Any], *, split: Mapping[str, Any]
) -> None:
    """Keep the sections of families that were not trained this time; the split is that of the newest run."""
    try:
        before: Any = json.loads(repository.read_document(METRICS) or b"{}")
    except ValueError:  # a broken file is no reason to fail; it is rewritten
        before = {}
    before = before if isinstance(before, dict) else {}
    known = before.get(INTERVALS)
    former = {name: value for name, value in before.items() if name not in {INTERVALS, SPLIT}}
    repository.write_document(
        METRICS, _document({**former, **sections}, {**(known if isinstance(known, dict) else {}), **ranges}, split)
    )


def _document(sections: Mapping[str, Any], ranges: Mapping[str, Any], split: Mapping[str, Any]) -> bytes:
    return json.dumps({**sections, INTERVALS: ranges, SPLIT: split}, indent=2).encode() + b"\n"
