"""Batches, one after another: while one is assessed in a thread, the event loop decodes the next and sends the last.

The models and the compiled rules run without the interpreter, so that a second core is used; order and exactness
stay as if there were one step after another, because there is one thread and whoever needs the state waits for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from core.assess import Assessment
from processor.pipeline import Partition, Pipeline, Prepared, SourceRecord


class Lane:
    """Takes batches through a pipeline.

    After a `failure` nothing is taken on or sent any more, and nothing may be committed; `on_failure` hears of it.
    """

    def __init__(self, pipeline: Pipeline, *, on_failure: Callable[[BaseException], None]) -> None:
        self.records_done = 0
        self.failure: BaseException | None = None
        self._pipeline = pipeline
        self._on_failure = on_failure
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assess")
        self._assessing: asyncio.Future[Assessment] | None = None
        self._sending: asyncio.Task[None] | None = None

    async def process(self, held: Partition, records: Sequence[SourceRecord]) -> None:
        """Takes consecutive records on; returns when the messages of the batch before them are queued."""
        prepared = self._pipeline.prepare(records)
        async with self._turn:
            await _over(self._assessing)
            if self.failure is not None or self._pipeline.partitions.get(held.number) is not held:
                return  # given up meanwhile; whoever has the partition now reads these records again
            held.next_offset = max(held.next_offset, records[-1].offset + 1)
            held.heard_at = prepared.at
            before = self._sending
            loop = asyncio.get_running_loop()
            self._assessing = loop.run_in_executor(
                self._thread, self._pipeline.assess, held, prepared, self._pipeline.models
            )
            self._sending = loop.create_task(self._send(held, prepared, self._assessing, after=before))
        await _over(before)

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """No batch is under way in the block: state, positions and queued messages belong together."""
        async with self._turn:
            await _over(self._sending)
            yield

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _send(
        self,
        held: Partition,
        prepared: Prepared,
        assessing: asyncio.Future[Assessment],
        *,
        after: asyncio.Task[None] | None,
    ) -> None:
        try:
            assessment = await assessing
            await _over(after)
            if self.failure is not None:
                return
            await asyncio.sleep(0)  # the next batch, if it waits, is to be under way first
            self._pipeline.send(held, prepared, assessment)
        except Exception as error:  # noqa: BLE001  going on would commit past what was not processed
            self.failure = error
            self._on_failure(error)
        else:
            self.records_done += len(prepared.records)


async def _over(step: asyncio.Future[Any] | None) -> None:
    """Waits until a step is over. Who is cancelled while waiting does not take the step along."""
    if step is not None:
        await asyncio.wait([step])
