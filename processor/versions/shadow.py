"""Shadow versions of a model: a challenger, and during a canary window the previous version.

The registry names them, so that a worker that starts during a canary window has the same ones as the others.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from core.detection.features import feature_fingerprint
from core.plant import Plant
from runtime.models.inference import ForestModel, open_model
from runtime.models.manifest import Promotion, champions
from runtime.models.repository import ModelRefused, ModelRepository, RepositoryUnavailable, UnknownVersion

LOGGER: Final = logging.getLogger("nexova.processor.models")
ShadowRole = Literal["challenger", "previous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSet:
    """Shadow versions of one model.

    canary: the promotion whose version is compared with the `previous` one; None outside a canary window.
    """

    shadows: Mapping[ShadowRole, ForestModel] = field(default_factory=dict)
    canary: Promotion | None = None

    def without_previous(self) -> "ShadowSet":
        """Return the set as it is after the canary window."""
        return ShadowSet(shadows={role: model for role, model in self.shadows.items() if role != "previous"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReader:
    """Reader of shadow sets in the registry.

    canary_seconds: length of the canary window after a promotion; 0: none. clock: epoch s.
    """

    repository: ModelRepository
    plant: Plant
    canary_seconds: float
    clock: Callable[[], float]

    def read(self, name: str, *, loaded: Mapping[str, ForestModel]) -> ShadowSet | None:
        """Return the current shadow set of a model; None if the registry cannot be read and nothing changes.

        loaded: loaded versions of that model. A version that cannot be loaded is logged and omitted: nothing depends
        on it.
        """
        try:
            canary = self._canary(name)
            challenger = self.repository.challenger(name)
            wanted: dict[ShadowRole, str] = {}
            if canary is not None and canary.previous is not None:
                wanted["previous"] = canary.previous
            if challenger is not None:
                wanted["challenger"] = challenger.version
            shadows: dict[ShadowRole, ForestModel] = {}
            for role, version in wanted.items():
                model = loaded.get(version) or self._open(name, version)
                if model is not None:
                    shadows[role] = model
        except RepositoryUnavailable as error:
            LOGGER.warning(
                "model %s: its shadows stay as they are, the registry is unavailable: %s", name, error.message
            )
            return None
        return ShadowSet(shadows=shadows, canary=canary if "previous" in shadows else None)

    def _canary(self, name: str) -> Promotion | None:
        """Return the promotion inside its canary window, with the version before it as `previous`."""
        history = self.repository.history(name)
        standing = champions(history)
        before = standing[-2].version if len(standing) > 1 else None
        if before is None or history[-1].action != "promoted" or before == history[-1].version:
            return None
        if self.clock() >= history[-1].at.timestamp() + self.canary_seconds:
            return None
        return history[-1].model_copy(update={"previous": before})

    def _open(self, name: str, version: str) -> ForestModel | None:
        try:
            return open_model(
                self.repository, name, version, plant=self.plant, features=feature_fingerprint(self.plant)
            )
        except (ModelRefused, UnknownVersion) as error:
            LOGGER.error("model %s: version %s cannot score as a shadow: %s", name, version, error.message)  # noqa: TRY400  one line says it all
            return None
