"""How often each version raises something: the one that runs beside those that are only tried, on the same readings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.rollout import AlertCounts
from runtime.metrics import ModelRole, ProcessorMetrics


@dataclass(slots=True)
class _Count:
    judged: int = 0
    raised: int = 0


class Tally:
    """Counts the calls of the versions in use, for metrics and /healthz. Owned by the event loop."""

    def __init__(self, metrics: ProcessorMetrics) -> None:
        self._metrics = metrics
        self._counts: dict[tuple[str, str, ModelRole], _Count] = {}
        self._roles: dict[tuple[str, str], ModelRole] = {}

    def show(self, roles: Mapping[tuple[str, str], ModelRole]) -> None:
        """Says which versions, by (name, version), are in use and as what; the series of others end."""
        kept = {(*key, role) for key, role in roles.items()}
        for gone in self._counts.keys() - kept:
            del self._counts[gone]
            for counter in (self._metrics.model_judged, self._metrics.model_raised):
                counter.remove(*gone)
        for key in kept - self._counts.keys():
            self._counts[key] = _Count()
            for counter in (self._metrics.model_judged, self._metrics.model_raised):
                counter.labels(*key)
        self._roles = dict(roles)

    def take(self, calls: Iterable[AlertCounts]) -> None:
        """Counts a batch. A version that is no longer in use judged it before it went: it has no series any more."""
        for call in calls:
            role = self._roles.get((call.name, call.version))
            if role is None:
                continue
            key = (call.name, call.version, role)
            self._counts[key].judged += call.scored
            self._counts[key].raised += call.alerting
            self._metrics.model_judged.labels(*key).inc(call.scored)
            self._metrics.model_raised.labels(*key).inc(call.alerting)

    def summary(self) -> dict[str, list[dict[str, Any]]]:
        """By name: each version in use, what it is, and its alert rate since it is that; null before a reading."""
        found: dict[str, list[dict[str, Any]]] = {}
        for (name, version, role), count in sorted(self._counts.items()):
            rate = round(count.raised / count.judged, 6) if count.judged else None
            found.setdefault(name, []).append(
                {"version": version, "role": role, "judged": count.judged, "raised": count.raised, "alert_rate": rate}
            )
        return found
