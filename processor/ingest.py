"""Handling of fetches: partitions are adopted with their saved state, and records processed in order without gaps."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import faust

from processor.adoption import Adoption
from processor.checkpoint import Checkpoints
from processor.executor import BatchExecutor
from processor.partitions import Partition, PartitionTable, Position
from processor.pipeline import Pipeline
from processor.stalls import Stalls
from processor.transport import FetchedRecords, consumer_of
from runtime.clock import Clock
from runtime.errors import FailureError
from runtime.metrics import ProcessorMetrics
from schemas.topics import HISTORY, READINGS

LOGGER: Final = logging.getLogger("nexova.processor")
_SEEK_SECONDS: Final = 0.01
_TAKE_BACK_SECONDS: Final = 10.0


class AgentEnded(FailureError):
    """A topic is processed no more."""


class FetchHandler:
    """Handler of the fetches that Faust delivers.

    ready: whether partitions are assigned and their tables recovered. offsets_skipped: offsets passed over because they
    have no record (markers and aborted records of transactions).
    """

    def __init__(
        self,
        *,
        app: faust.App,
        pipeline: Pipeline,
        partitions: PartitionTable,
        adoption: Adoption,
        executor: BatchExecutor,
        checkpoints: Checkpoints,
        metrics: ProcessorMetrics,
        clock: Clock,
        ready: Callable[[], bool],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._app = app
        self._pipeline = pipeline
        self._partitions = partitions
        self._adoption = adoption
        self._executor = executor
        self._checkpoints = checkpoints
        self._ready = ready
        self._on_failure = on_failure
        self._clock = clock
        self._not_before: dict[int, float] = {}
        self.offsets_skipped = 0
        self._metrics = metrics
        self._stalls = Stalls(clock=clock.monotonic)

    async def consume(self, stream: Any, topic: str) -> None:
        """Process all fetches of a topic; end with the first that fails. A stream that ends by itself is a failure."""
        async for event in stream.noack().events():
            try:
                await self._process(topic, event.message.partition, event.value)
            except Exception as error:  # noqa: BLE001  whatever it is
                # going on would commit past what was not processed: the orchestrator is to restart us
                self._on_failure(error)
                return
            await asyncio.sleep(0)  # timers, heartbeats and pages get their turn
        if not self._app.should_stop:
            self._on_failure(AgentEnded(f"the agent of {topic} has ended although the worker has not; restart"))

    async def adopt_idle_partitions(self) -> None:
        """Adopt partitions without records, so that their windows close by the clock.

        It waits for the end of the rebalance: Faust reports that before it has sought the starting positions.
        """
        if self._app.rebalancing:
            return
        consumer = consumer_of(self._app)
        ours = {tp.partition for tp in consumer.assignment() if tp.topic == READINGS}
        idle = sorted(ours - self._partitions.keys())
        for held in await asyncio.gather(*(self._held(partition) for partition in idle)):
            started_at = None if held is None else consumer.started_at(held.number, topic=READINGS)
            if held is not None and started_at is not None and held.next_offset < started_at:
                await consumer.read_again(held.number, held.next_offset, topic=READINGS)

    async def refetch_stalled(self) -> None:
        """Fetch again for partitions that have made no progress for seconds although more records follow.

        Around a rebalance a fetch can be lost on its way to us; without this it would be missing until the next one.
        """
        if self._app.rebalancing:
            return
        consumer, holdings = consumer_of(self._app), self._partitions.items()
        for topic in (READINGS, HISTORY):
            positions = {n: held.next_offset if topic == READINGS else held.imports.next_offset for n, held in holdings}
            lag = consumer.lag(positions, topic=topic)
            for partition in self._stalls.stalled(topic, positions, lag):
                held = self._partitions.get(partition)
                if held is None:
                    continue  # lost to another worker while an earlier one was fetched again
                words = "%s/%d: no progress at offset %d although %d records follow; fetching them again"
                LOGGER.warning(words, topic, partition, positions[partition], lag[partition])
                await self._fetch_again(topic, partition, held if topic == READINGS else held.imports)

    async def _process(self, topic: str, partition: int, fetched: FetchedRecords) -> None:
        held = await self._held(partition)
        # Faust lets the first records through while it still seeks where other partitions begin
        while held is None and self._ready() and self._app.rebalancing:
            await asyncio.sleep(_SEEK_SECONDS)
            held = await self._held(partition)
        if held is None:
            return  # left over from before a rebalance; the records are fetched again
        position = held if topic == READINGS else held.imports
        span = fetched.span
        match position.place_of(span.first, reread=fetched.reread):
            case "follows" if not span.records:
                self.offsets_skipped += max(0, span.next_offset - position.next_offset)
                position.advance(span.next_offset)
            case "follows" if topic == READINGS:
                await self._executor.process(held, span.records, next_offset=span.next_offset)
            case "follows":
                await self._pipeline.import_history(held, span.records, next_offset=span.next_offset)
            case "ahead":
                LOGGER.info("%s/%d: fetching again from offset %d", topic, partition, position.next_offset)
                await self._fetch_again(topic, partition, position)
            case "outdated":
                pass  # asked for before the partition was set back: it comes again

    async def _fetch_again(self, topic: str, partition: int, position: Position) -> None:
        """Continue at a position, or where the log begins if the records at the position are deleted."""
        consumer = consumer_of(self._app)
        start = await consumer.log_start(partition, topic=topic)
        if start > position.next_offset > 0:
            lost = start - position.next_offset
            self._metrics.records_lost.labels(topic=topic).inc(lost)
            LOGGER.error(
                "%s/%d: %d records from offset %d were deleted before they were processed; continuing at %d. "
                "Raise the topic's retention.ms above the longest time without a worker",
                *(topic, partition, lost, position.next_offset, start),
            )
        position.advance(start)
        await consumer.read_again(partition, position.next_offset, topic=topic)

    async def _held(self, partition: int) -> Partition | None:
        """Return an owned partition, adopted first if necessary; None before its reading has begun."""
        if not self._ready():
            return None
        if partition in self._partitions:
            return self._partitions[partition]
        consumer = consumer_of(self._app)
        readings, imports = (consumer.started_at(partition, topic=topic) for topic in (READINGS, HISTORY))
        if readings is None or imports is None or self._clock.monotonic() < self._not_before.get(partition, 0.0):
            return None
        held = await self._adoption.adopt(partition, readings=readings, imports=imports)
        if held is None or not self._partitions.owns(held):
            return None
        again = self._not_before.pop(partition, None) is not None
        if again or held.imports.next_offset < imports:
            await consumer.read_again(partition, held.imports.next_offset, topic=HISTORY)
        if again:
            await consumer.read_again(partition, held.next_offset, topic=READINGS)
        return held

    def lose(self, partition: int) -> None:
        """Drop a partition that another worker has taken over; if still assigned, it is adopted again later.

        A worker that was paused for longer than its session learns of the refused write before the rebalance; adopting
        the partition again at once would take it from its rightful owner.
        """
        self._partitions.drop_one(partition)
        self._checkpoints.forget_one(partition)
        self._not_before[partition] = self._clock.monotonic() + _TAKE_BACK_SECONDS

    def restore_again(self, partition: int, *, until: int, cause: Exception) -> None:
        """Adopt a partition of ours again as it was saved; a reading before offset `until` made the rules fail."""
        LOGGER.error(
            "partition %d: the rules failed on a reading before offset %d; reading it again to set that one aside",
            *(partition, until),
            exc_info=cause,
        )
        self._metrics.poisoned_batches.inc()
        self._partitions.suspect(partition, until=until)
        self._partitions.drop_one(partition)
        self._checkpoints.forget_one(partition)
        self._not_before[partition] = self._clock.monotonic()

    def forget(self) -> None:
        """Clear the list of lost partitions after a new assignment."""
        self._not_before.clear()
