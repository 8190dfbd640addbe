"""Model families: training, opening, evaluation and gating of the models of one name.

Other packages add a family by an entry point of the group `nexova.families` that refers to a `Family`, or pass it to
`MLModelTrainer(families=...)`. See docs/adding-a-model.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

from core.detection.features import FeatureFrame
from core.plant import Plant
from runtime.errors import UsageError
from runtime.forecasting.published import FORECAST, open_forecasts
from runtime.models.inference import ANOMALY, MAINTENANCE, Opener, open_anomaly, open_risk
from trainer.anomaly import anomaly_outcome, train_anomaly
from trainer.candidate import Candidate, Progress
from trainer.datasets import Datasets
from trainer.forecast import forecast_outcome, train_forecast
from trainer.lifetimes import Lifetimes
from trainer.maintenance import risk_outcome, train_maintenance
from trainer.measure import Figures, Outcome, error_figures, flag_figures, lifetime_figures, relative_figures

GROUP: Final = "nexova.families"


class Train(Protocol):
    """Function that trains on the training split and may calibrate on the validation split, never on the test split."""

    def __call__(
        self, data: Datasets, frame: FeatureFrame, *, plant: Plant, seed: int, progress: Progress
    ) -> Candidate:
        """Return the files of a version and its origin; raise UsageError for unsuitable data."""


class Answer(Protocol):
    """Function that evaluates an opened model on the test split."""

    def __call__(self, model: Any, data: Datasets, frame: FeatureFrame, *, plant: Plant) -> Outcome | None:
        """Return truth and answers; None if the data has no truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family. name: in the model repository; section: in metrics.json.

    figures: what an outcome is worth. bounds: the figures that the gate judges, each with how much worse a new version
    may be: about what another seed changes.
    """

    name: str
    section: str
    train: Train
    open: Opener[Any]
    answer: Answer
    figures: Figures
    figure_names: tuple[str, ...]
    bounds: Mapping[str, float] = field(default_factory=dict)


BUILT_IN: Final = (
    Family(
        name=ANOMALY,
        section="anomaly",
        train=train_anomaly,
        open=open_anomaly,
        answer=anomaly_outcome,
        figures=flag_figures,
        figure_names=("precision", "recall", "f1", "auc"),
        bounds={"auc": 0.005, "f1": 0.02},
    ),
    Family(
        name=MAINTENANCE,
        section="recommendation",
        train=train_maintenance,
        open=open_risk,
        answer=risk_outcome,
        figures=error_figures,
        figure_names=("rmse", "mae", "r2"),
        bounds={"mae": 0.01, "r2": 0.01},
    ),
    Family(
        name=FORECAST,
        section="forecast",
        train=train_forecast,
        open=open_forecasts,
        answer=forecast_outcome,
        figures=relative_figures,
        figure_names=("rmse", "mae", "mape", "r2"),
        bounds={"rmse": 0.2, "mape": 0.005},
    ),
)


def lifetime_family(lifetimes: Lifetimes) -> Family:
    """Return the other family of the name `maintenance`: hours to failure, learned from recorded lives."""
    return Family(
        name=MAINTENANCE,
        section="lifetime",
        train=lifetimes.train,
        open=open_risk,
        answer=lifetimes.answer,
        figures=lifetime_figures,
        figure_names=("rmse", "mae", "score", "coverage"),
        bounds={"rmse": 0.5, "mae": 0.5},
    )


def known_families(extra: Iterable[Family] = ()) -> dict[str, Family]:
    """Return the built-in families and `extra` ones, by name.

    Raises:
        UsageError: two of one name or section, which would overwrite each other.
    """
    found: dict[str, Family] = {}
    for family in (*BUILT_IN, *extra):
        if family.name in found or family.section in {other.section for other in found.values()}:
            raise UsageError(
                f"model family {family.name} (section {family.section}): there is one of that name or section "
                "already; give it another"
            )
        found[family.name] = family
    return found


def installed_families() -> tuple[Family, ...]:
    """Return the families of installed packages.

    Raises:
        UsageError: an entry point does not refer to a `Family`.
    """
    found = []
    for point in entry_points(group=GROUP):
        try:
            family = point.load()
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"entry point {point.name} of {GROUP} = {point.value!r} cannot be loaded: {error}; "
                "repair or remove its package"
            ) from error
        if not isinstance(family, Family):
            raise UsageError(f"entry point {point.name} of {GROUP} = {point.value!r} is no Family; point it at one")
        found.append(family)
    return tuple(found)
