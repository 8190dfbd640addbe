"""Execution of batches in order: one is assessed in a thread while the event loop decodes and publishes others.

Models and compiled rules release the interpreter lock, so that a second core is used; the result equals sequential
execution, because there is one thread and every other user of the state waits for it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from core.assess import Assessment
from processor.partitions import Partition, PartitionTable, SourceRecord
from processor.pipeline import Pipeline, Prepared, is_suspect
from runtime.errors import NexovaError

T = TypeVar("T")

_AT_ONCE: Final = 2  # one that is assessed and one that waits for the thread, which then need not wait for the loop


class BatchExecutor:
    """Executor of batches through a pipeline.

    After a `failure` no batch begins or is published, and nothing may be committed; `on_failure` is called with it.
    on_poison: called with a partition, the offset after the batch and the error where a reading made the rules fail;
    the partition's state is then of no use, and it is to be given up before the call returns.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        partitions: PartitionTable,
        *,
        on_failure: Callable[[BaseException], None],
        on_poison: Callable[[Partition, int, Exception], None],
    ) -> None:
        self.records_done = 0
        self.failure: BaseException | None = None
        self._pipeline = pipeline
        self._partitions = partitions
        self._on_failure = on_failure
        self._on_poison = on_poison
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assess")
        self._decoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")
        self._publishing: deque[asyncio.Task[None]] = deque(maxlen=_AT_ONCE)

    async def process(self, held: Partition, records: Sequence[SourceRecord], *, next_offset: int) -> None:
        """Process the records before `next_offset`; return once all but the previous batch are published."""
        loop = asyncio.get_running_loop()
        # what a sender can make slow must not stop heartbeats and timers
        prepared = await loop.run_in_executor(self._decoding, self._pipeline.prepare, records)
        async with self._turn:
            if len(self._publishing) == _AT_ONCE:
                await _over(self._publishing[0])
            if self.failure is not None or not self._partitions.owns(held):
                return  # given up meanwhile; the partition's next owner reads these records again
            held.advance(next_offset)
            held.heard_at = prepared.at
            assessing = loop.run_in_executor(self._thread, self._pipeline.assess, held, prepared)
            before = self._publishing[-1] if self._publishing else None
            self._publishing.append(loop.create_task(self._publish(held, prepared, assessing, after=before)))

    @asynccontextmanager
    async def quiesced(self) -> AsyncIterator[None]:
        """Pause batches during the block, with none in progress: state, positions and messages are consistent."""
        async with self._turn:
            if self._publishing:
                await _over(self._publishing[-1])
            yield

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in the assessing thread, with exclusive access to the state of all partitions."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def close(self) -> None:
        """End the threads."""
        self._decoding.shutdown(wait=True, cancel_futures=True)
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _publish(
        self,
        held: Partition,
        prepared: Prepared,
        assessing: asyncio.Future[tuple[Assessment, ...]],
        *,
        after: asyncio.Task[None] | None,
    ) -> None:
        if after is not None:
            await _over(after)
        try:
            assessments = await self._assessed(held, prepared, assessing)
            if self.failure is not None or assessments is None:
                return
            self._pipeline.publish(held, prepared, assessments)
        except Exception as error:  # noqa: BLE001  going on would commit past what was not processed
            if self.failure is None:
                self.failure = error
                self._on_failure(error)
        else:
            self.records_done += len(prepared.records)

    async def _assessed(
        self, held: Partition, prepared: Prepared, assessing: asyncio.Future[tuple[Assessment, ...]]
    ) -> tuple[Assessment, ...] | None:
        """Return what a batch led to; None where its partition was given up, also because of this batch."""
        try:
            assessments = await assessing
        except (NexovaError, MemoryError):
            raise
        except Exception as error:
            if not self._partitions.owns(held):
                return None  # what came before it left a state of no use
            if is_suspect(held, prepared):
                raise  # it was cut already, and most of it fails
            self._on_poison(held, prepared.records[-1].offset + 1, error)
            return None
        return assessments if self._partitions.owns(held) else None


async def _over(step: asyncio.Task[None]) -> None:
    """Wait until a step is done; cancelling the wait does not cancel the step."""
    await asyncio.wait([step])
