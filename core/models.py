"""Interfaces through which the rules use trained models, independent of their runtime."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, runtime_checkable

from core.arrays import Features, Floats

__all__ = [
    "WHOLE_PLANT",
    "AnomalyModel",
    "Features",
    "FlagBy",
    "LifetimeModel",
    "Models",
    "Reference",
    "Refusal",
    "RiskModel",
]

WHOLE_PLANT: Final = ""
"""Key of the baseline of all machines, independent of type."""

FlagBy = Literal["distance", "forest", "both"]
Refusal = Literal["damaged", "incompatible", "missing", "unavailable", "untrusted"]
"""Reason why a version cannot run: its files differ from the published ones; it was made for other sensors or
features; it does not exist; or its storage did not answer."""


class AnomalyModel(Protocol):
    """Model that scores feature rows, calibrated: normal readings cross 0.5 at the plant's stated rate."""

    @property
    def name(self) -> str:
        """Name in the model repository."""

    @property
    def version(self) -> str:
        """Version in the model repository."""

    def score(self, features: Features) -> Floats:
        """Return anomaly scores in [0, 1], (n,), of `features`, (n, Fa); high means anomalous."""


class RiskModel(Protocol):
    """Model that estimates wear from slow feature rows."""

    @property
    def name(self) -> str:
        """Name in the model repository."""

    @property
    def version(self) -> str:
        """Version in the model repository."""

    def risk(self, features: Features) -> Floats:
        """Return risk levels in [0, 3], (n,), of `features`, (n, Fm)."""


@runtime_checkable
class LifetimeModel(RiskModel, Protocol):
    """Risk model fitted to recorded failures that also estimates the time left; it needs no baseline of a machine."""

    def hours_to_failure(self, features: Features) -> Floats:
        """Return lower end, estimate and upper end of running hours to failure, (n, 3), of `features`, (n, Fm).

        NaN where the failure is too far away for an estimate.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Baseline of the machines of one type. mean, scale: (D,) in the sensors' units, NaN without values.

    limit: squared distance, over all D sensors, that normal readings exceed at the plant's false alarm rate.
    forest_limit: score of the forest, in [0.5, 1], that they exceed at that rate relative to this baseline.
    """

    mean: Floats
    scale: Floats
    limit: float
    forest_limit: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The running models of a worker; None for a missing one, without which the rules still work.

    flag_by: score that decides on the flag: the machine's own distance, the forest, or the higher of both. references:
    baselines by machine type, and of all machines, for machines without a baseline of their own. shadows: versions that
    score the same readings without alerts or advice; the alerts that they would raise are counted.
    """

    anomaly: AnomalyModel | None = None
    maintenance: RiskModel | None = None
    flag_by: FlagBy = "both"
    references: Mapping[str, Reference] = field(default_factory=dict, hash=False)
    shadows: "tuple[Models, ...]" = ()
