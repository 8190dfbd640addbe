"""The checkpoint: outputs flushed, state to the changelog, offsets moved; never in another order.

A crash between two steps leads to readings that are read again. Their machines' state knows them by offset, or,
where it was not saved yet, leads to the same outputs once more. Nothing is lost and nothing counts twice; why
outputs go first is in docs/decisions/0002-checkpoint-order.md.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import faust
import msgspec

from processor.executor import BatchExecutor
from processor.outputs import Outputs
from processor.partitions import PartitionTable
from processor.publisher import Publisher
from processor.transport import consumer_of
from runtime.metrics import ProcessorMetrics
from schemas.topics import HISTORY, READINGS

ACKNOWLEDGE_SECONDS: Final = 30.0


def shard_key(partition: int, shard: int) -> bytes:
    """Changelog key of a shard of machines."""
    return f"{partition}/{shard}".encode()


def series_key(partition: int, name: str) -> bytes:
    """Changelog key of a record of a series."""
    return f"{partition}/{name}".encode()


def end_key(partition: int) -> bytes:
    """Changelog key of the record that ends a checkpoint of a partition."""
    return f"{partition}/end".encode()


def partition_of(key: bytes) -> int:
    """The partition in a changelog key."""
    return int(key.partition(b"/")[0])


class Checkpoints:
    """Makes checkpoints of all partitions into Faust's tables; one at a time. clock: monotonic s."""

    def __init__(
        self,
        *,
        app: faust.App,
        machines: Any,
        series: Any,
        partitions: PartitionTable,
        publisher: Publisher,
        executor: BatchExecutor,
        outputs: Outputs,
        metrics: ProcessorMetrics,
        epoch: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._machines = machines
        self._series = series
        self._partitions = partitions
        self._publisher = publisher
        self._executor = executor
        self._outputs = outputs
        self._metrics = metrics
        self._epoch = epoch
        self._one = asyncio.Lock()
        self._saved: dict[tuple[str, int], int] = {}
        self._closed = False
        self._clock = clock
        self.last_success = clock()

    async def make(self) -> None:
        """Save all that changed since the last checkpoint.

        Raises:
            OutputFailed: an output was not delivered; nothing was saved.
        """
        async with self._one:
            if self._closed:
                return
            started = self._clock()
            try:
                await self._make()
            except BaseException:
                self._metrics.checkpoints.labels(result="failed").inc()
                raise
            self._metrics.checkpoints.labels(result="succeeded").inc()
            self._metrics.checkpoint_duration.observe(self._clock() - started)
            self.last_success = self._clock()

    async def close(self) -> None:
        """Wait for a checkpoint under way and make no further one: Faust's producer ends next."""
        async with self._one:
            self._closed = True

    async def _make(self) -> None:
        epoch = self._epoch()
        # taken between two batches: state, outputs and offsets belong together
        async with self._executor.quiesced():
            if self._executor.failure is not None:
                raise self._executor.failure
            holdings = self._partitions.items()
            machines = [
                (partition, shard_key(partition, shard), record)
                for partition, held in holdings
                for shard, record in held.state.changed_shards()
            ]
            series = [
                (partition, series_key(partition, name), record)
                for partition, held in holdings
                for name, record in held.series.changed_records()
            ]
            forecasts = [(partition, held.series.unsent()) for partition, held in holdings]
            readings = {partition: held.next_offset for partition, held in holdings}
            imports = {partition: held.imports.next_offset for partition, held in holdings}
        await asyncio.to_thread(self._outputs.flush)  # (1)
        if self._epoch() != epoch:
            return  # the partitions were given up meanwhile: their next owners read on from the last commit
        # (2) an hour must be in its series' state before the fast state says that its window has closed
        await self._save_all(self._series, series, reached=self._news(HISTORY, imports))
        await self._save_all(self._machines, machines, reached=self._news(READINGS, readings))
        self._metrics.state_size.set(sum(len(record) for _, _, record in machines))
        if self._epoch() != epoch:
            return
        for topic, offsets in ((READINGS, readings), (HISTORY, imports)):
            news = self._news(topic, offsets)
            if news:
                consumer_of(self._app).checkpoint(news, topic=topic)  # (3)
                self._saved.update({(topic, partition): offset for partition, offset in news.items()})
        for partition, saved in forecasts:
            self._publisher.saved(partition, saved)

    def _news(self, topic: str, offsets: dict[int, int]) -> dict[int, int]:
        """Those of the offsets, by partition, that are not those of the last checkpoint."""
        return {partition: n for partition, n in offsets.items() if n != self._saved.get((topic, partition))}

    async def _save_all(self, table: Any, records: list[tuple[int, bytes, bytes]], *, reached: dict[int, int]) -> None:
        await self._save(table, records)
        # How far the state of each partition reaches, in a batch of its own after it: a worker that restores the
        # partition reads on from there. And the embedded broker reports an end of the log that leaves out all but the
        # first record of the last batch, where recovery would stop.
        ends = [(partition, end_key(partition), msgspec.json.encode(n)) for partition, n in reached.items()]
        silent = {partition for partition, _, _ in records} - reached.keys()
        ends += [(p, end_key(p), table.data[end_key(p)]) for p in sorted(silent) if end_key(p) in table.data]
        await self._save(table, ends)

    async def _save(self, table: Any, records: list[tuple[int, bytes, bytes]]) -> None:
        sent = []
        for partition, key, record in records:
            sent.append(table.send_changelog(partition, key, record))
            table.data[key] = record
        await asyncio.wait_for(asyncio.gather(*sent), ACKNOWLEDGE_SECONDS)

    def machines_of(self, partition: int) -> tuple[list[bytes], int]:
        """The shards of a partition as its table holds them, and the offset of readings that they reach at least.

        That may be before the commit: Faust can call a table recovered while another rebalance is already under way,
        and a worker that was cut off may have saved after its successor. Reading on from here is right in any case.
        """
        return _restored(self._machines, partition)

    def series_of(self, partition: int) -> tuple[list[bytes], int]:
        """Return the saved records of a partition's series, and the offset of imports that they reach at least."""
        return _restored(self._series, partition)

    def forget(self) -> None:
        """Forget what belongs to partitions that were given up."""
        self._saved.clear()


def _restored(table: Any, partition: int) -> tuple[list[bytes], int]:
    own = {key: record for key, record in table.data.items() if partition_of(key) == partition}
    reached = own.pop(end_key(partition), None)
    return list(own.values()), 0 if reached is None else msgspec.json.decode(reached, type=int)
