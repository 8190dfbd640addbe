"""Automatic rollback of a new version whose alert rate leaves its bounds, through the registry.

Every worker decides by its own readings and names the promotion to undo; the registry accepts one rollback for each.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from core.rollout import AlertCounts, CanaryCheck, RateBounds
from processor.versions.running import RunningModels
from processor.versions.shadow import ShadowSet
from runtime.errors import NexovaError
from runtime.metrics import ProcessorMetrics
from runtime.models.announce import announcement
from runtime.models.manifest import Promotion
from runtime.models.repository import ModelRepository
from runtime.settings import Settings

LOGGER: Final = logging.getLogger("nexova.processor.models")
_RETRY_SECONDS: Final = 10.0


@dataclass(slots=True, kw_only=True)
class _Canary:
    """A promotion in its canary window. ends_at, not_before: epoch s; no rollback is tried before the latter."""

    promotion: Promotion
    check: CanaryCheck
    ends_at: float
    not_before: float = 0.0
    working: threading.Thread | None = None


class Rollbacks:
    """Checks of promotions in their canary window, used on the event loop; only the rollback runs in a thread.

    clock: epoch s.
    """

    def __init__(
        self,
        *,
        running: RunningModels,
        repository: ModelRepository,
        settings: Settings,
        metrics: ProcessorMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._running = running
        self._repository = repository
        self._kafka = settings.kafka
        self._settings = settings.processor
        self._metrics = metrics
        self._clock = clock
        self._canaries: dict[str, _Canary] = {}

    def add(self, counts: tuple[AlertCounts, ...]) -> None:
        """Add the counts of a batch."""
        self._follow()
        for canary in self._canaries.values():
            canary.check.add(counts)

    def tick(self) -> None:
        """Close canary windows that are over, and roll back versions whose alert rate leaves its bounds."""
        self._follow()
        now = self._clock()
        for name, canary in list(self._canaries.items()):
            if canary.working is not None and canary.working.is_alive():
                continue
            if now >= canary.ends_at:
                LOGGER.info(
                    "model %s: version %s is kept: its alert rate stayed within bounds", name, canary.promotion.version
                )
                self._running.use_shadows(name, self._running.shadow_sets[name].without_previous())
                del self._canaries[name]
            elif now >= canary.not_before and (violation := canary.check.violation()) is not None:
                canary.not_before = now + _RETRY_SECONDS
                # a daemon: a worker that crashes must not wait for a bucket
                canary.working = threading.Thread(
                    target=self._roll_back, args=(canary.promotion, violation), name="rollback", daemon=True
                )
                canary.working.start()

    def _follow(self) -> None:
        """Start and end checks as promotions enter and leave their canary window."""
        for name, shadow_set in self._running.shadow_sets.items():
            known = self._canaries.get(name)
            if shadow_set.canary is None:
                self._canaries.pop(name, None)
            elif known is None or known.promotion.identity != shadow_set.canary.identity:
                self._canaries[name] = self._canary(name, shadow_set, shadow_set.canary)

    def _canary(self, name: str, shadow_set: ShadowSet, promotion: Promotion) -> _Canary:
        return _Canary(
            promotion=promotion,
            check=CanaryCheck(
                name=name,
                version=promotion.version,
                previous=shadow_set.shadows["previous"].version,
                bounds=RateBounds(factor=self._settings.rollback_factor, margin=self._settings.rollback_margin),
                least=self._settings.rollback_readings,
            ),
            ends_at=promotion.at.timestamp() + self._settings.rollback_seconds,
        )

    def _roll_back(self, promotion: Promotion, violation: str) -> None:
        name, version = promotion.name, promotion.version
        at = datetime.fromtimestamp(self._clock(), UTC)
        reason = f"rolled back by a worker: {violation}"
        try:
            entry = self._repository.rollback(name, at=at, reason=reason, undo=promotion)
        except NexovaError as error:
            cause = f"{violation}: {error.message}"
            LOGGER.error("model %s: version %s cannot be rolled back: %s", name, version, cause)  # noqa: TRY400  one line
            return
        except Exception:
            LOGGER.exception("model %s: version %s cannot be rolled back: %s", name, version, violation)
            return
        if (entry.at, entry.reason) == (at, reason):
            self._metrics.model_rollbacks.labels(name=name).inc()
            LOGGER.error("model %s: version %s is rolled back to %s: %s", name, version, entry.version, violation)
        else:
            LOGGER.info("model %s: version %s was already rolled back: %s", name, version, entry.reason)
        # announced by every worker that decided, as the first one may have died before it could
        if trouble := announcement(name, self._repository, self._kafka):
            LOGGER.warning("%s", trouble)
