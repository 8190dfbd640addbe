"""Regular look at a worker's health: its figures go to the checks, and what they find to metrics and the log."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from processor.checkpoint import Checkpoints
from processor.executor import BatchExecutor
from processor.health import CHECKS, Health, StalledError
from processor.ingest import FetchHandler
from processor.partitions import PartitionTable
from processor.publisher import Publisher
from processor.topic_watch import TopicWatch
from processor.transport import BatchConsumer
from runtime.clock import Clock
from runtime.metrics import ProcessorMetrics
from schemas.topics import READINGS

LOGGER: Final = logging.getLogger("nexova.processor")
_LOOK_SECONDS: Final = 1.0


class HealthWatch:
    """Watch of a worker's health, apart from its ticks, which may wait for a broker.

    consumer: returns the consumer of the worker, which does not exist before the start. ready: whether partitions are
    assigned. settled: whether no rebalance is under way either.
    """

    def __init__(
        self,
        health: Health,
        metrics: ProcessorMetrics,
        *,
        consumer: Callable[[], BatchConsumer],
        partitions: PartitionTable,
        executor: BatchExecutor,
        fetches: FetchHandler,
        checkpoints: Checkpoints,
        publisher: Publisher,
        topic_watch: TopicWatch,
        ready: Callable[[], bool],
        settled: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._consumer = consumer
        self._partitions = partitions
        self._executor = executor
        self._fetches = fetches
        self._checkpoints = checkpoints
        self._publisher = publisher
        self._topic_watch = topic_watch
        self._ready = ready
        self._settled = settled
        self._clock = clock
        self._restore_steps = 0
        metrics.healthy.set(1)
        for check in CHECKS:  # none has failed before the first look at them
            metrics.health_checks_failed.labels(check=check).set(0)

    def restored(self, table: str, partition: int, share: float) -> None:
        """Record the share of a partition's table that is restored; called in any thread."""
        self._restore_steps += 1
        self._metrics.restore_progress.labels(partition=str(partition), table=table).set(share)

    async def run(self, *, stopped: Callable[[], bool]) -> None:
        """Look every second.

        Raises:
            StalledError: a check has failed for so long that the process is to end.
        """
        while not stopped():
            before = self._clock.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
            self._look(max(0.0, self._clock.monotonic() - before - _LOOK_SECONDS))

    def _look(self, loop_lag_seconds: float) -> None:
        ready, assigned, lag = self._ready(), set[int](), dict[int, int]()
        if ready:
            consumer = self._consumer()
            assigned = {tp.partition for tp in consumer.assignment() if tp.topic == READINGS}
            positions = {partition: held.next_offset for partition, held in self._partitions.items()}
            lag = consumer.lag(positions, topic=READINGS)
        for partition, records in lag.items():
            self._metrics.consumer_lag.labels(partition=str(partition)).set(records)
        self._metrics.event_loop_lag.set(loop_lag_seconds)
        self._health.observe(
            records_done=self._executor.records_done + self._fetches.offsets_skipped,
            lag=lag,
            recovering=not ready,
            pending=sorted(assigned - lag.keys()),
            restore_steps=self._restore_steps,
            loop_lag_seconds=loop_lag_seconds,
            checkpointed_at=self._checkpoints.last_success,
            dead_letters=self._publisher.dead_letters,
            answered_at=self._topic_watch.answered_at,
        )
        self._report()

    def _report(self) -> None:
        failed = self._health.failures()
        for check, message in self._health.news().items():
            if message is None:
                LOGGER.info("health check %s passes again", check)
            else:
                LOGGER.warning("health check %s fails: %s", check, message)
        for check in CHECKS:
            self._metrics.health_checks_failed.labels(check=check).set(check in failed)
        self._metrics.healthy.set(not failed)
        self._metrics.ready.set(self._settled())
        fatal = self._health.fatal()
        if fatal is not None:
            raise StalledError(fatal)
