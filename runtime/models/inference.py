"""Trained forests in ONNX Runtime, as implementations of `core.models`; nothing is unpickled."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Generic, Literal, Protocol, Self, TypeVar

import numpy as np

from core.arrays import Features, Floats

os.environ.setdefault(
    "ORT_DISABLE_TELEMETRY", "1"
)  # the runtime would send usage data; it reads this variable when imported
import onnxruntime
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from core.models import FlagBy, Models, Reference, Refusal
from core.plant import Plant
from core.state.tracks import watched_sensors
from runtime.models.cells import Cells
from runtime.models.lifetimes import LifetimeDocument, TreesLifetimeModel
from runtime.models.manifest import Promotion, champions
from runtime.models.repository import (
    ModelBundle,
    ModelDamaged,
    ModelIncompatible,
    ModelRefused,
    ModelRepository,
    UnknownVersion,
)

ANOMALY, MAINTENANCE = "anomaly", "maintenance"
GRAPH, DOCUMENT = "model.onnx", "model.json"
HIGHEST_RISK = 3.0


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    feature_names: Annotated[tuple[str, ...], Field(min_length=1, description="columns, in order")]


class TypeBaseline(_Document):
    """Baseline of the machines of one type, for machines without a baseline of their own."""

    feature_names: Annotated[tuple[str, ...], Field(min_length=1, description="watched sensors, in order")]
    mean: Annotated[tuple[float | None, ...], Field(description="in the sensors' units; null: never heard")]
    scale: Annotated[tuple[float, ...], Field(description="in the sensors' units, above 0")]
    limit: Annotated[float, Field(gt=0, description="squared distance exceeded at the false alarm rate")]
    forest_limit: Annotated[float, Field(ge=0.5, le=1, description="the forest's score exceeded at that rate")] = 0.5

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if not len(self.mean) == len(self.scale) == len(self.feature_names) or min(self.scale) <= 0:
            message = "mean and scale must have a value for each sensor, scales above 0"
            raise ValueError(message)
        return self

    def reference(self) -> Reference:
        """Return the baseline in the form of the rules."""
        mean = np.array([np.nan if value is None else value for value in self.mean])
        return Reference(mean=mean, scale=np.array(self.scale), limit=self.limit, forest_limit=self.forest_limit)


class AnomalyDocument(_Document):
    """model.json of an isolation forest: from mean path length to a calibrated score."""

    kind: Literal["isolation_forest"] = "isolation_forest"
    path_length_scale: Annotated[float, Field(gt=0, description="c(rows a tree was grown on)")]
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5, description="share of normal readings from 0.5 on")]
    flag_by: Annotated[FlagBy, Field(description="which score raises the flag, by the evidence of training")] = "both"
    knots_raw: Annotated[tuple[float, ...], Field(min_length=2, description="rising")]
    knots_score: Annotated[tuple[float, ...], Field(min_length=2, description="rising, in [0, 1]")]
    # versions trained by earlier releases have none
    baselines: Annotated[dict[str, TypeBaseline], Field(description="by machine type; of all machines under ''")] = {}

    @model_validator(mode="after")
    def _knots_rise(self) -> Self:
        raw, score = np.array(self.knots_raw), np.array(self.knots_score)
        rises = raw.shape == score.shape and bool(np.all(np.diff(raw) > 0) and np.all(np.diff(score) >= 0))
        if not rises or score[0] < 0 or score[-1] > 1:
            message = "knots must be equally many, raw rising, scores rising within [0, 1]"
            raise ValueError(message)
        return self


class RiskDocument(_Document):
    """model.json of a risk forest: what its levels mean in hours to failure."""

    kind: Literal["random_forest"] = "random_forest"
    anchors: Annotated[tuple[tuple[float, float], ...], Field(description="(hours to failure, risk), hours falling")]


class OnnxForest:
    """A tree ensemble of one output; raises ModelDamaged for a graph that is none, of another width, or cannot run.

    It is warmed up on construction, because the first call is slow.
    `source` is what the error calls the model. `neighbours_agree`: many rows are like the one before, see `Cells`.
    """

    def __init__(self, graph: bytes, *, n_features: int, source: str, neighbours_agree: bool = False) -> None:
        options = onnxruntime.SessionOptions()
        # threads of its own would fight with the worker's; a chunk is done before they have met
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own errors share no base
            detail = " ".join(str(error).split())[:200]
            raise ModelDamaged(f"{source}: ONNX Runtime cannot read {GRAPH}: {detail}; train again") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [list(port.shape[1:]) for port in (*inputs, *outputs)]
        if shapes != [[n_features], [1]]:
            raise ModelDamaged(
                f"{source}: {GRAPH} has columns {shapes} in and out, {DOCUMENT} states [{n_features}] and [1]; "
                "train again"
            )
        self._input, self._outputs = inputs[0].name, [outputs[0].name]
        self._cells = Cells.of(graph, n_features=n_features) if neighbours_agree else None
        try:
            value = self(np.zeros((1, n_features), dtype=np.float32))[0]
        except Exception as error:  # as above
            detail = " ".join(str(error).split())[:200]
            raise ModelDamaged(f"{source}: ONNX Runtime cannot run {GRAPH}: {detail}; train again") from error
        if not np.isfinite(value):
            raise ModelDamaged(f"{source}: {GRAPH} gives {value} for zeros, it must be a number; train again")

    def __call__(self, features: Features) -> Floats:
        """Return the forest's value for each row: float32[n, F] to float64[n]."""
        # all rows in one call: the interpreter is free for other threads meanwhile, and once, not once a chunk
        rows = np.ascontiguousarray(features, dtype=np.float32)
        if self._cells is None:
            return self._run(rows)
        first, run_of = self._cells.runs(rows)
        return self._run(rows[first])[run_of]

    def _run(self, rows: Features) -> Floats:
        return np.asarray(self._session.run(self._outputs, {self._input: rows})[0][:, 0], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ForestAnomalyModel:
    """An isolation forest as `core.models.AnomalyModel`."""

    name: str
    version: str
    forest: OnnxForest
    document: AnomalyDocument

    def raw(self, features: Features) -> Floats:
        """Return the original paper's score in (0, 1), uncalibrated: float32[n, F] to float64[n]."""
        return raw_anomaly(self.forest(features), scale=self.document.path_length_scale)

    def score(self, features: Features) -> Floats:
        """Return calibrated scores in [0, 1], high means anomalous: float32[n, F] to float64[n]."""
        return np.interp(self.raw(features), self.document.knots_raw, self.document.knots_score)


@dataclass(frozen=True, kw_only=True)
class ForestRiskModel:
    """A random forest as `core.models.RiskModel`."""

    name: str
    version: str
    forest: OnnxForest
    document: RiskDocument

    def risk(self, features: Features) -> Floats:
        """Return risk levels in [0, 3]: float32[n, F] to float64[n]."""
        return np.clip(self.forest(features), 0.0, HIGHEST_RISK)

    def hours(self, risk: Floats) -> Floats:
        """Return the hours to failure of risk levels; at level 0, the largest number of hours of the scale."""
        hours, levels = zip(*self.document.anchors, strict=True)
        return np.asarray(np.interp(risk, levels, hours))


ForestModel = ForestAnomalyModel | ForestRiskModel | TreesLifetimeModel
Model = TypeVar("Model")
Model_co = TypeVar("Model_co", covariant=True)


class Opener(Protocol[Model_co]):
    """Function that builds a verified version; raises ModelRefused for one that must not run."""

    def __call__(self, bundle: ModelBundle, *, plant: Plant, features: str) -> Model_co:
        """Build the model; features: fingerprint of the features that this release computes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModels:
    """Models for a worker, and one sentence for each model that could not be loaded.

    refused: name and reason of each promoted version that cannot run. promotions: by name, the newest entry of the
    registry that was considered.
    """

    models: Models
    problems: tuple[str, ...] = ()
    refused: tuple[tuple[str, Refusal], ...] = ()
    promotions: Mapping[str, Promotion] = field(default_factory=dict)


def raw_anomaly(mean_path_length: Floats, *, scale: float) -> Floats:
    """Return the isolation forest's score in (0, 1) by its paper's formula; high means anomalous."""
    return np.exp2(-mean_path_length / scale)


def load_models(repository: ModelRepository, *, plant: Plant, features: str) -> LoadedModels:
    """Load the promoted version of each model, or failing that the last good one promoted before it.

    An unavailable model is None, with its problem as a sentence; a worker without it still watches limits.

    Raises:
        RepositoryUnavailable: the storage failed, so the state of the models is unknown.
    """
    loaded = LoadedModels(models=Models())
    for name in SERVED:
        loaded = _with_last_good(loaded, repository, name, plant=plant, features=features)
    return loaded


def open_model(repository: ModelRepository, name: str, version: str, *, plant: Plant, features: str) -> ForestModel:
    """Read and verify a version of a model of `SERVED`, and build it.

    Raises:
        ModelRefused, UnknownVersion: the version must not run, or does not exist.
        RepositoryUnavailable: the storage failed.
    """
    return _OPENERS[name](repository.load(name, version), plant=plant, features=features)


def with_model(models: Models, model: ForestModel) -> Models:
    """Return `models` with this model in place of the one with its name."""
    if isinstance(model, ForestAnomalyModel):
        known = {name: one.reference() for name, one in model.document.baselines.items()}
        return replace(models, anomaly=model, flag_by=model.document.flag_by, references=known)
    return replace(models, maintenance=model)


def open_anomaly(bundle: ModelBundle, *, plant: Plant, features: str) -> ForestAnomalyModel:
    """Build the anomaly model of a verified version; raises ModelRefused when it is not for this plant."""
    document = open_document(bundle, AnomalyDocument, plant=plant, features=features)
    # those of other sensors would be compared with the wrong ones
    width = len(watched_sensors(plant))
    known = {name: one for name, one in document.baselines.items() if len(one.mean) == width}
    document = document.model_copy(update={"baselines": known})
    return ForestAnomalyModel(
        name=bundle.manifest.name,
        version=bundle.manifest.version,
        forest=_open_forest(bundle, n_features=len(document.feature_names)),
        document=document,
    )


class _AnyRisk(RootModel[Annotated[RiskDocument | LifetimeDocument, Field(discriminator="kind")]]):
    """model.json of either maintenance family."""


def open_risk(bundle: ModelBundle, *, plant: Plant, features: str) -> ForestRiskModel | TreesLifetimeModel:
    """Build the maintenance model of a verified version; raises ModelRefused when it is not for this plant."""
    document = open_document(bundle, _AnyRisk, plant=plant, features=features).root
    if isinstance(document, LifetimeDocument):
        return TreesLifetimeModel(
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            forest=_open_forest(bundle, n_features=len(document.columns)),
            document=document,
        )
    return ForestRiskModel(
        name=bundle.manifest.name,
        version=bundle.manifest.version,
        forest=_open_forest(bundle, n_features=len(document.feature_names), neighbours_agree=True),
        document=document,
    )


_OPENERS: Final[Mapping[str, Opener[ForestModel]]] = {ANOMALY: open_anomaly, MAINTENANCE: open_risk}
SERVED: Final = tuple(_OPENERS)
"""Names of the models that score readings."""


def _with_last_good(
    loaded: LoadedModels, repository: ModelRepository, name: str, *, plant: Plant, features: str
) -> LoadedModels:
    history = repository.history(name)
    found = last_good(repository, name, _OPENERS[name], plant=plant, features=features)
    problems, refused = list(found.problems), list(found.refused)
    if not champions(history):
        refused.append((name, "missing"))
        problems.append(
            f"model {name}: no version of it is promoted in {repository.root}; nexova train {name} makes one"
        )
    return LoadedModels(
        models=loaded.models if found.model is None else with_model(loaded.models, found.model),
        problems=(*loaded.problems, *problems),
        refused=(*loaded.refused, *refused),
        promotions=dict(loaded.promotions) | ({name: history[-1]} if history else {}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood(Generic[Model]):
    """The newest promoted version that can run, or None; refused: as in `LoadedModels`."""

    model: Model | None
    problems: tuple[str, ...]
    refused: tuple[tuple[str, Refusal], ...]


def last_good(
    repository: ModelRepository, name: str, opener: "Opener[Model]", *, plant: Plant, features: str
) -> LastGood[Model]:
    """Return the newest effective promotion whose version can run.

    Raises:
        RepositoryUnavailable: the storage failed.
    """
    standing = [entry.version for entry in champions(repository.history(name))]
    problems: list[str] = []
    refused: list[tuple[str, Refusal]] = []
    model: Model | None = None
    for version in dict.fromkeys(reversed(standing)):
        try:
            model = opener(repository.load(name, version), plant=plant, features=features)
        except (ModelRefused, UnknownVersion) as error:
            problems.append(error.message)
            refused.append((name, error.refusal))
            continue
        if version != standing[-1]:
            problems.append(f"model {name}: {version} runs in place of {standing[-1]} until that is repaired")
        break
    return LastGood(model=model, problems=tuple(problems), refused=tuple(refused))


Document = TypeVar("Document", bound=BaseModel)


def open_document(bundle: ModelBundle, kind: type[Document], *, plant: Plant, features: str) -> Document:
    """Check the manifest of a verified version, then read model.json.

    Raises:
        ModelIncompatible: it was trained for other sensors or features.
        ModelDamaged: model.json is missing or not of this kind.
    """
    manifest = bundle.manifest
    who = _who(bundle)
    if manifest.plant != plant.fingerprint:
        raise ModelIncompatible(
            f"{who} was trained for the sensors {manifest.plant}, plant {plant.name} has {plant.fingerprint}; train "
            "on this plant's readings, or run the plant file it was trained with"
        )
    if manifest.features != features:
        raise ModelIncompatible(
            f"{who} was trained with features {manifest.features}, this release computes {features}; train "
            "again, or run the release it was trained with"
        )
    try:
        return kind.model_validate_json(_file(bundle, DOCUMENT))
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise ModelDamaged(f"{who}: {DOCUMENT}: {where}: {first['msg']}; train again") from error


def _open_forest(bundle: ModelBundle, *, n_features: int, neighbours_agree: bool = False) -> OnnxForest:
    return OnnxForest(
        _file(bundle, GRAPH), n_features=n_features, source=_who(bundle), neighbours_agree=neighbours_agree
    )


def _who(bundle: ModelBundle) -> str:
    return f"model {bundle.manifest.name} {bundle.manifest.version}"


def _file(bundle: ModelBundle, file: str) -> bytes:
    content = bundle.files.get(file)
    if content is None:
        raise ModelDamaged(f"{_who(bundle)} has no {file}; train again")
    return content
