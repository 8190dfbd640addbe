"""Batches, one after another: while one is assessed in a thread, the event loop decodes the next and sends the last.

The models and the compiled rules run without the interpreter, so that a second core is used; order and exactness
stay as if there were one step after another, because there is one thread and whoever needs the state waits for it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

from core.assess import Assessment
from processor.pipeline import Partition, Pipeline, Prepared, SourceRecord

_AT_ONCE: Final = 2  # one that is assessed and one that waits for the thread, which then need not wait for the loop


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
        self._sending: deque[asyncio.Task[None]] = deque(maxlen=_AT_ONCE)

    async def process(self, held: Partition, records: Sequence[SourceRecord]) -> None:
        """Takes consecutive records on; returns when the messages of all batches but the one before are queued."""
        prepared = self._pipeline.prepare(records)
        async with self._turn:
            if len(self._sending) == _AT_ONCE:
                await _over(self._sending[0])
            if self.failure is not None or self._pipeline.partitions.get(held.number) is not held:
                return  # given up meanwhile; whoever has the partition now reads these records again
            held.next_offset = max(held.next_offset, records[-1].offset + 1)
            held.heard_at = prepared.at
            loop = asyncio.get_running_loop()
            assessing = loop.run_in_executor(self._thread, self._pipeline.assess, held, prepared, self._pipeline.models)
            before = self._sending[-1] if self._sending else None
            self._sending.append(loop.create_task(self._send(held, prepared, assessing, after=before)))

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """No batch is under way in the block: state, positions and queued messages belong together."""
        async with self._turn:
            if self._sending:
                await _over(self._sending[-1])
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
        if after is not None:
            await _over(after)
        try:
            assessment = await assessing
            if self.failure is not None:
                return
            self._pipeline.send(held, prepared, assessment)
        except Exception as error:  # noqa: BLE001  going on would commit past what was not processed
            if self.failure is None:
                self.failure = error
                self._on_failure(error)
        else:
            self.records_done += len(prepared.records)


async def _over(step: asyncio.Task[None]) -> None:
    """Waits until a step is over. Who is cancelled while waiting does not take the step along."""
    await asyncio.wait([step])
