"""From fetches to the lane: partitions taken over with what was saved of them, records in order and none left out."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import faust

from processor.checkpoint import Checkpoints
from processor.executor import Lane
from processor.pipeline import Partition, Pipeline
from processor.stalls import Stalls
from processor.transport import FetchedRecords, consumer_of
from schemas.topics import HISTORY, READINGS

LOGGER: Final = logging.getLogger("nexova.processor")
_SEEK_SECONDS: Final = 0.01


class Intake:
    """Hands on what Faust delivers. ready: whether partitions are assigned and their tables recovered."""

    def __init__(
        self,
        *,
        app: faust.App,
        pipeline: Pipeline,
        lane: Lane,
        checkpoints: Checkpoints,
        ready: Callable[[], bool],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._app = app
        self._pipeline = pipeline
        self._lane = lane
        self._checkpoints = checkpoints
        self._ready = ready
        self._on_failure = on_failure
        self._stalls = Stalls()

    async def follow(self, stream: Any, topic: str) -> None:
        """Takes all fetches of a topic; ends with the first that fails."""
        async for event in stream.noack().events():
            try:
                await self._take(topic, event.message.partition, event.value)
            except Exception as error:  # noqa: BLE001  whatever it is
                # going on would commit past what was not processed: the orchestrator is to restart us
                self._on_failure(error)
                return
            await asyncio.sleep(0)  # timers, heartbeats and pages get their turn

    async def adopt_the_quiet(self) -> None:
        """Takes over partitions that bring nothing, so that their windows close by the clock.

        Not before the rebalance has ended: Faust calls it complete before it has sought where the reading begins.
        """
        if self._app.rebalancing:
            return
        for tp in consumer_of(self._app).assignment():
            if tp.topic == READINGS and tp.partition not in self._pipeline.partitions:
                held = await self._held(tp.partition)
                started_at = consumer_of(self._app).started_at(tp.partition, topic=READINGS)
                if held is not None and started_at is not None and held.next_offset < started_at:
                    await consumer_of(self._app).read_again(tp.partition, held.next_offset, topic=READINGS)

    async def fetch_the_lost(self) -> None:
        """Goes back to where partitions stand still for seconds although more follows.

        Around a rebalance a fetch can be lost on its way to us; without this it would be missing until the next one.
        """
        if self._app.rebalancing:
            return
        consumer, holdings = consumer_of(self._app), self._pipeline.partitions.items()
        for topic in (READINGS, HISTORY):
            positions = {n: held.next_offset if topic == READINGS else held.imports.next_offset for n, held in holdings}
            lag = consumer.lag(positions, topic=topic)
            for partition in self._stalls.stalled(topic, positions, lag):
                words = "%s/%d stands at offset %d and %d records follow: they are fetched again"
                LOGGER.warning(words, topic, partition, positions[partition], lag[partition])
                await consumer.read_again(partition, positions[partition], topic=topic)

    async def _take(self, topic: str, partition: int, fetched: FetchedRecords) -> None:
        held = await self._held(partition)
        # Faust lets the first records through while it still seeks where other partitions begin
        while held is None and self._ready() and self._app.rebalancing:
            await asyncio.sleep(_SEEK_SECONDS)
            held = await self._held(partition)
        if held is None:
            return  # left over from before a rebalance; the records are fetched again
        position = held if topic == READINGS else held.imports
        match position.place_of(fetched.records[0].offset, reread=fetched.reread):
            case "follows" if topic == READINGS:
                await self._lane.process(held, fetched.records)
            case "follows":
                await self._pipeline.take_history(held, fetched.records)
            case "ahead":
                LOGGER.info("%s/%d: reading again from offset %d", topic, partition, position.next_offset)
                await consumer_of(self._app).read_again(partition, position.next_offset, topic=topic)
            case "outdated":
                pass  # asked for before the partition was set back: it comes again

    async def _held(self, partition: int) -> Partition | None:
        """A partition that is ours, taken over where it is not yet; None where nobody has begun to read it."""
        if not self._ready():
            return None
        if partition in self._pipeline.partitions:
            return self._pipeline.partitions[partition]
        consumer = consumer_of(self._app)
        readings, imports = (consumer.started_at(partition, topic=topic) for topic in (READINGS, HISTORY))
        if readings is None or imports is None:
            return None
        machines, reached = self._checkpoints.machines_of(partition)
        series, imported = self._checkpoints.series_of(partition)
        held = self._pipeline.adopt(
            partition,
            machines,
            next_offset=min(readings, reached),
            series=series,
            next_import=min(imports, imported),
        )
        LOGGER.info(
            "partition %d: %d machines restored up to offset %d, committed up to %d",
            *(partition, len(held.state.ids), reached, readings),
        )
        if held.imports.next_offset < imports:
            await consumer.read_again(partition, held.imports.next_offset, topic=HISTORY)
        return held
