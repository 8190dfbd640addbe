import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.batching import Batcher
from api.problems import Problem


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


async def test_what_comes_while_a_batch_is_at_work_is_the_next_batch(pool: ThreadPoolExecutor) -> None:
    begun, go = threading.Event(), threading.Event()
    batches: list[list[int]] = []
    observed: list[float] = []

    def work(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        begun.set()
        assert go.wait(30)
        return [10 * item for item in items]

    batcher = Batcher(work, size=lambda _: 2, executor=pool, observe=observed.append)
    first = asyncio.create_task(batcher.ask(1))
    assert await asyncio.to_thread(begun.wait, 30)
    others = [asyncio.create_task(batcher.ask(item)) for item in (2, 3, 4)]
    await asyncio.sleep(0)
    others[1].cancel()  # who gives up costs nothing
    await asyncio.sleep(0)
    go.set()
    assert await first == 10
    assert await asyncio.gather(others[0], others[2]) == [20, 40]
    assert batches == [[1], [2, 4]]
    assert observed[0] == 2


async def test_a_failure_reaches_all_who_wait_and_the_next_are_answered(pool: ThreadPoolExecutor) -> None:
    def work(items: Sequence[int]) -> list[int]:
        return [1 // item for item in items]

    batcher = Batcher(work, size=lambda _: 1, executor=pool, observe=lambda _: None)
    found = await asyncio.gather(batcher.ask(0), batcher.ask(1), return_exceptions=True)
    assert [type(one) for one in found] == [ZeroDivisionError, ZeroDivisionError]
    assert await batcher.ask(1) == 1


async def test_too_many_rows_that_wait_are_refused_with_a_time_to_come_back(pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(list, size=lambda _: 100_001, executor=pool, observe=lambda _: None)
    first = asyncio.create_task(batcher.ask(1))
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await batcher.ask(2)
    assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "1"})
    assert await first == 1
