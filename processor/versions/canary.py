"""Takes a new version back when its alert rate leaves its bounds, as a person would: in the registry, and announced.

Every worker judges what it sees itself, and each may decide; the registry makes one rollback of all of them, because
each names the promotion that it takes back.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from core.rollout import AlertCounts, CanaryCheck, RateBounds
from processor.versions.follower import ModelFollower
from processor.versions.shadow import Lineup
from runtime.errors import NexovaError
from runtime.metrics import ProcessorMetrics
from runtime.models.announce import announcement
from runtime.models.manifest import Promotion
from runtime.models.repository import ModelRepository
from runtime.settings import Settings

LOGGER: Final = logging.getLogger("nexova.processor.models")
_AGAIN_SECONDS: Final = 10.0


@dataclass(slots=True, kw_only=True)
class _Watch:
    """A promotion under watch. ends_at, not_before: epoch s; before the latter nothing more is tried."""

    promotion: Promotion
    check: CanaryCheck
    lineup: Lineup
    ends_at: float
    not_before: float = 0.0
    working: threading.Thread | None = None


class Rollbacks:
    """Watches the promotions that the follower took up. Owned by the event loop; only the rollback is made beside it.

    clock: epoch s.
    """

    def __init__(
        self,
        *,
        follower: ModelFollower,
        repository: ModelRepository,
        settings: Settings,
        metrics: ProcessorMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._follower = follower
        self._repository = repository
        self._kafka = settings.kafka
        self._settings = settings.processor
        self._metrics = metrics
        self._clock = clock
        self._watches: dict[str, _Watch] = {}
        follower.on_lineup = self._lined_up

    def take(self, calls: tuple[AlertCounts, ...]) -> None:
        """Counts the calls of a batch."""
        for watch in self._watches.values():
            watch.check.add(calls)

    def tick(self) -> None:
        """Ends what was watched for long enough, and takes back what may not stay."""
        now = self._clock()
        for name, watch in list(self._watches.items()):
            if watch.working is not None and watch.working.is_alive():
                continue
            if now >= watch.ends_at:
                LOGGER.info("model %s: %s stays, its alert rate kept its bounds", name, watch.promotion.version)
                self._follower.use_beside(name, watch.lineup.without_former())
            elif now >= watch.not_before and (complaint := watch.check.violation()) is not None:
                watch.not_before = now + _AGAIN_SECONDS
                # a daemon: a worker that ends in a hurry must not wait for a bucket
                watch.working = threading.Thread(
                    target=self._take_back, args=(watch.promotion, complaint), name="rollback", daemon=True
                )
                watch.working.start()

    def _lined_up(self, name: str, lineup: Lineup) -> None:
        promotion, former = lineup.watched, lineup.beside.get("former")
        if promotion is None or former is None:
            self._watches.pop(name, None)
            return
        known = self._watches.get(name)
        if known is not None and known.promotion.identity == promotion.identity:
            known.lineup = lineup
            return
        self._watches[name] = _Watch(
            promotion=promotion,
            check=CanaryCheck(
                name=name,
                version=promotion.version,
                previous=former.version,
                bounds=RateBounds(factor=self._settings.rollback_factor, margin=self._settings.rollback_margin),
                least=self._settings.rollback_readings,
            ),
            lineup=lineup,
            ends_at=promotion.at.timestamp() + self._settings.rollback_seconds,
        )

    def _take_back(self, promotion: Promotion, complaint: str) -> None:
        name, version = promotion.name, promotion.version
        at = datetime.fromtimestamp(self._clock(), UTC)
        reason = f"taken back by a worker: {complaint}"
        try:
            entry = self._repository.rollback(name, at=at, reason=reason, undo=promotion)
        except NexovaError as error:
            why = f"{complaint}: {error.message}"
            LOGGER.error("model %s: %s must go and cannot be taken back, %s", name, version, why)  # noqa: TRY400  one line
            return
        except Exception:
            LOGGER.exception("model %s: %s must go and cannot be taken back, %s", name, version, complaint)
            return
        if (entry.at, entry.reason) == (at, reason):
            self._metrics.model_rollbacks.labels(name=name).inc()
            LOGGER.error("model %s: %s is taken back, %s is to run again: %s", name, version, entry.version, complaint)
        else:
            LOGGER.info("model %s: %s was taken back already: %s", name, version, entry.reason)
        # said by everyone who decided: whoever was first may have died before saying it
        if trouble := announcement(name, self._repository, self._kafka):
            LOGGER.warning("%s", trouble)
