"""Model calls off the event loop: waiting requests are scored together, one batch at a time."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final, Generic, TypeVar

from api.problems import Problem

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_AT_ONCE: Final = 4_096
_WAITING: Final = 100_000


class Batcher(Generic[Item, Answer]):
    """Collector of items that become the next batch while one is being processed.

    work: makes an answer for each item, in order, in `executor`. size: rows of an item; a batch has at most about
    4,096 of them, and about 100,000 may wait. observe: called with the rows of each batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        size: Callable[[Item], int],
        executor: Executor,
        observe: Callable[[float], None],
    ) -> None:
        self._work = work
        self._size = size
        self._observe = observe
        self._executor = executor
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._rows = 0
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Answer:
        """Return the answer for one item; raise a Problem if too many rows are waiting."""
        if self._rows > _WAITING:
            raise Problem(
                503,
                "too-busy",
                f"{self._rows:,} rows are waiting already; try again in a moment, or send fewer",
                headers={"Retry-After": "1"},
            )
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._rows += self._size(item)
        if self._worker is None:
            self._worker = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = self._take()
                try:
                    answers = await loop.run_in_executor(self._executor, self._work, [item for item, _ in batch])
                except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear of it
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
        finally:
            self._worker = None

    def _take(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        rows = 0
        taken = 0
        for item, _ in self._waiting:
            rows += self._size(item)
            if taken and rows > _AT_ONCE:
                rows -= self._size(item)
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._rows -= rows
        self._observe(rows)
        # cancelled items are skipped
        return [(item, future) for item, future in batch if not future.done()] or batch[:1]
