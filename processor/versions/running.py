"""Running models and their shadow versions, replaced between two batches on the event loop."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, get_args

from core.detection.features import feature_fingerprint
from core.models import Models
from core.plant import Plant
from processor.versions.counters import VersionCounters
from processor.versions.shadow import ShadowRole, ShadowSet
from runtime.metrics import ModelRole, ProcessorMetrics
from runtime.models.inference import ForestModel, with_model

LOGGER: Final = logging.getLogger("nexova.processor.models")


class RunningModels:
    """Holder of the running models. Other threads may read it: a batch takes `models` once."""

    def __init__(self, models: Models, *, plant: Plant, metrics: ProcessorMetrics) -> None:
        self._models = models
        self._shadow_sets: dict[str, ShadowSet] = {}
        self._metrics = metrics
        self._features = feature_fingerprint(plant)
        self.counters = VersionCounters(metrics)
        self._show()

    @property
    def models(self) -> Models:
        """The models of the next batch, with their shadows."""
        return self._models

    @property
    def shadow_sets(self) -> Mapping[str, ShadowSet]:
        """Shadow versions of each model, by the model's name."""
        return MappingProxyType(self._shadow_sets)

    @property
    def versions(self) -> dict[str, str]:
        """Running version of each model, by name."""
        running = (self._models.anomaly, self._models.maintenance)
        return {model.name: model.version for model in running if model is not None}

    def loaded(self, name: str) -> dict[str, ForestModel]:
        """Return the loaded versions of a model, by version."""
        running = [one for one in (self._models.anomaly, self._models.maintenance) if isinstance(one, ForestModel)]
        shadows = self._shadow_sets[name].shadows.values() if name in self._shadow_sets else ()
        return {model.version: model for model in (*running, *shadows) if model.name == name}

    def use(self, model: ForestModel) -> None:
        """Run this model from the next batch on, in place of the one with its name."""
        previous = self.versions.get(model.name)
        self._models = with_model(self._models, model)
        self._show()
        LOGGER.info("model %s: version %s replaces %s", model.name, model.version, previous or "none")

    def use_shadows(self, name: str, wanted: ShadowSet) -> None:
        """Run these shadow versions of a model from the next batch on."""
        running = self.versions.get(name)
        # where the promoted version was refused, the one before runs itself
        shadows = {role: model for role, model in wanted.shadows.items() if model.version != running}
        promoted = wanted.canary is not None and wanted.canary.version == running
        before = self._shadow_sets.get(name, ShadowSet())
        self._shadow_sets[name] = ShadowSet(
            shadows=shadows, canary=wanted.canary if promoted and "previous" in shadows else None
        )
        every = [model for one in self._shadow_sets.values() for model in one.shadows.values()]
        self._models = replace(self._models, shadows=tuple(with_model(Models(), model) for model in every))
        self._show()
        for role in get_args(ShadowRole):
            then, now = before.shadows.get(role), shadows.get(role)
            if now is not None and (then is None or then.version != now.version):
                LOGGER.info("model %s: version %s scores beside %s as its %s", name, now.version, running, role)
            elif then is not None and now is None and then.version != running:
                LOGGER.info("model %s: version %s no longer scores beside %s", name, then.version, running)

    def _show(self) -> None:
        info = self._metrics.model_info
        info.clear()
        for name, version in self.versions.items():
            info.labels(name=name, version=version, feature_fingerprint=self._features).set(1)
        roles: dict[tuple[str, str], ModelRole] = {}
        for name, shadow_set in self._shadow_sets.items():
            roles |= {(name, model.version): role for role, model in shadow_set.shadows.items()}
        roles |= dict.fromkeys(self.versions.items(), "champion")
        self.counters.show(roles)
