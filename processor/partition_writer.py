"""Ordered writes of one partition, batched into successive transactions.

Messages added during a transaction wait and are written together with the next: a single alert is written at once, and
a thousand messages share the cost of one commit.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Final

from processor.fenced_producer import Fenced, Outgoing, OwnersProducer

_AT_ONCE: Final = 20_000


class PartitionWriter:
    """Writer on the producer of one partition; used on the event loop only.

    lost: whether another worker has taken over the partition, after which nothing is written. on_lost: called when that
    happens. on_failure: called with any other error of a write.
    """

    def __init__(
        self,
        producer: OwnersProducer,
        *,
        threads: Executor,
        on_lost: Callable[[Fenced], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.lost = False
        self._producer = producer
        self._threads = threads
        self._on_lost = on_lost
        self._on_failure = on_failure
        self._waiting: list[Outgoing] = []
        self._failure: Exception | None = None
        self._writing: asyncio.Task[None] | None = None

    def add(self, messages: Iterable[Outgoing]) -> None:
        """Add messages to be written with the next transaction."""
        if self.lost or self._failure is not None:
            return
        self._waiting += messages
        if self._waiting and self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def settle(self) -> None:
        """Wait until all added messages are written, or the partition is lost.

        Raises:
            Exception: the error of the failed write.
        """
        while self._writing is not None:
            await asyncio.wait([self._writing])
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Stop writing; messages not yet written are dropped."""
        self.lost = True
        self._waiting = []
        while self._writing is not None:
            await asyncio.wait([self._writing])
        await asyncio.get_running_loop().run_in_executor(self._threads, self._producer.close)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                await loop.run_in_executor(self._threads, self._producer.write, batch)
        except Fenced as error:
            given_up, self.lost, self._waiting = self.lost, True, []
            if not given_up:
                self._on_lost(error)
        except Exception as error:  # noqa: BLE001  later messages must not be written without these
            self._failure, self._waiting = error, []
            self._on_failure(error)
        finally:
            self._writing = None
