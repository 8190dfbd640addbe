"""Metrics of the models' output: the distribution of scores, the share of flags, and drift."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from core.arrays import Floats
from core.assess import Scores
from core.drift import DriftWatch
from runtime.metrics import ProcessorMetrics
from runtime.metrics.catalogue import observe_all
from runtime.models.inference import ANOMALY, HIGHEST_RISK, MAINTENANCE

_MEMORY: Final = 10_000
_HIGHEST: Final = {ANOMALY: 1.0, MAINTENANCE: HIGHEST_RISK}


class ScoreWatch:
    """Collector of the scores of batches, which updates the metrics on request, such as once a second."""

    def __init__(self, metrics: ProcessorMetrics) -> None:
        self._metrics = metrics
        self._waiting: list[Scores] = []
        self._drift: dict[str, DriftWatch] = {}
        self._flagged = 0.0
        self._scored = 0.0

    @property
    def drift(self) -> Mapping[str, DriftWatch]:
        """Drift of the running versions by model name; a copy, which another thread may go through."""
        return dict(self._drift)

    def add(self, scores: Scores) -> None:
        """Add the scores of a batch."""
        self._waiting.append(scores)

    def measure(self, versions: Mapping[str, str]) -> None:
        """Update the metrics from the collected scores. versions: running version by model name."""
        if not self._waiting:
            return
        anomaly = np.concatenate([scores.anomaly for scores in self._waiting])
        risk = np.concatenate([np.where(scores.warm, scores.risk, np.nan) for scores in self._waiting])
        flagged = sum(int(scores.flagged.sum()) for scores in self._waiting)
        self._waiting.clear()
        scored = anomaly[np.isfinite(anomaly)]
        observe_all(self._metrics.scores, scored)
        decay = float(np.exp(-len(scored) / _MEMORY))
        self._scored = self._scored * decay + len(scored)
        self._flagged = self._flagged * decay + flagged
        if self._scored:
            self._metrics.anomaly_rate.set(self._flagged / self._scored)
        for name, values in ((ANOMALY, anomaly), (MAINTENANCE, risk)):
            self._follow(name, versions.get(name), values)

    def _follow(self, name: str, version: str | None, values: Floats) -> None:
        if version is None:
            return
        watch = self._drift.get(name)
        if watch is None or watch.version != version:
            watch = self._drift[name] = DriftWatch(version=version, highest=_HIGHEST[name], memory=_MEMORY)
            self._metrics.model_drift.labels(name=name).set(0)
        watch.add(values)
        if watch.index is not None:
            self._metrics.model_drift.labels(name=name).set(watch.index)
