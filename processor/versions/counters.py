"""Counters of scored and alerting readings by model version: champion, challenger and previous version."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.rollout import AlertCounts
from runtime.metrics import ModelRole, ProcessorMetrics


@dataclass(slots=True)
class _Count:
    scored: int = 0
    alerting: int = 0


class VersionCounters:
    """Counters of the versions in use, for metrics and /healthz; used on the event loop only."""

    def __init__(self, metrics: ProcessorMetrics) -> None:
        self._metrics = metrics
        self._counts: dict[tuple[str, str, ModelRole], _Count] = {}
        self._roles: dict[tuple[str, str], ModelRole] = {}

    def show(self, roles: Mapping[tuple[str, str], ModelRole]) -> None:
        """Set the roles of the versions in use, by (name, version); the series of other versions are removed."""
        current = {(*key, role) for key, role in roles.items()}
        for former in self._counts.keys() - current:
            del self._counts[former]
            for counter in (self._metrics.model_scored, self._metrics.model_alerting):
                counter.remove(*former)
        for key in current - self._counts.keys():
            self._counts[key] = _Count()
            for counter in (self._metrics.model_scored, self._metrics.model_alerting):
                counter.labels(*key)
        self._roles = dict(roles)

    def add(self, counts: Iterable[AlertCounts]) -> None:
        """Add the counts of a batch; versions no longer in use are ignored."""
        for count in counts:
            role = self._roles.get((count.name, count.version))
            if role is None:
                continue
            key = (count.name, count.version, role)
            self._counts[key].scored += count.scored
            self._counts[key].alerting += count.alerting
            self._metrics.model_scored.labels(*key).inc(count.scored)
            self._metrics.model_alerting.labels(*key).inc(count.alerting)

    def summary(self) -> dict[str, list[dict[str, Any]]]:
        """Return each version in use by model name, with role, counts, and alert rate (None before a reading)."""
        found: dict[str, list[dict[str, Any]]] = {}
        for (name, version, role), count in sorted(self._counts.items()):
            rate = round(count.alerting / count.scored, 6) if count.scored else None
            figures = {"scored": count.scored, "alerting": count.alerting, "alert_rate": rate}
            found.setdefault(name, []).append({"version": version, "role": role, **figures})
        return found
