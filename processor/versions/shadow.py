"""What is scored beside the version that runs: a challenger, and after a promotion for a while the version before.

The registry says what: so a worker that starts in the middle of it goes on where the others are.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from core.detection.features import feature_fingerprint
from core.plant import Plant
from runtime.models.inference import ForestModel, open_model
from runtime.models.manifest import Promotion, champions
from runtime.models.repository import ModelRefused, ModelRepository, RepositoryUnavailable, UnknownVersion

LOGGER: Final = logging.getLogger("nexova.processor.models")
BesideRole = Literal["challenger", "former"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """Versions of one model beside the one that runs. watched: the promotion that `former` is held against."""

    beside: Mapping[BesideRole, ForestModel] = field(default_factory=dict)
    watched: Promotion | None = None

    def without_former(self) -> "Lineup":
        """The lineup once the promotion is no longer watched."""
        return Lineup(beside={role: model for role, model in self.beside.items() if role != "former"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LineupReader:
    """Reads lineups from the registry. span: how long a promotion is watched; zero: not at all."""

    repository: ModelRepository
    plant: Plant
    span: timedelta

    def read(self, name: str, *, loaded: Mapping[str, ForestModel]) -> Lineup | None:
        """The lineup of a model now; None where the registry cannot be read and everything stays as it is.

        loaded: models of that name that are in use, by version. What cannot be loaded is left out and told of:
        nothing depends on it.
        """
        try:
            watched = self._watched(name)
            trial = self.repository.challenger(name)
            wanted: dict[BesideRole, str] = {}
            if watched is not None and watched.previous is not None:
                wanted["former"] = watched.previous
            if trial is not None:
                wanted["challenger"] = trial.version
            beside: dict[BesideRole, ForestModel] = {}
            for role, version in wanted.items():
                model = loaded.get(version) or self._open(name, version)
                if model is not None:
                    beside[role] = model
        except RepositoryUnavailable as error:
            LOGGER.warning("model %s: what is scored beside it stays as it was: %s", name, error.message)
            return None
        return Lineup(beside=beside, watched=watched if "former" in beside else None)

    def _watched(self, name: str) -> Promotion | None:
        """The promotion that is young enough to be watched, with the version before it as `previous`."""
        history = self.repository.history(name)
        standing = champions(history)
        before = standing[-2].version if len(standing) > 1 else None
        if before is None or history[-1].action != "promoted" or before == history[-1].version:
            return None
        if datetime.now(UTC) >= history[-1].at + self.span:
            return None
        return history[-1].model_copy(update={"previous": before})

    def _open(self, name: str, version: str) -> ForestModel | None:
        try:
            return open_model(
                self.repository, name, version, plant=self.plant, features=feature_fingerprint(self.plant)
            )
        except (ModelRefused, UnknownVersion) as error:
            LOGGER.error("model %s: %s cannot be scored beside what runs: %s", name, version, error.message)  # noqa: TRY400  one line says it all
            return None
