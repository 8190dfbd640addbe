"""Batches run side by side for speed, and look as if they ran one after another."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.arrays import WEEK
from processor.executor import BatchExecutor
from processor.partitions import Partition, PartitionTable
from processor.pipeline import Pipeline
from runtime.plants import load_plant


@dataclass(frozen=True)
class Record:
    offset: int
    timestamp: int = 0
    value: bytes | None = b"{}"


class Steps:
    """In the place of a pipeline: notes its steps, and assesses when it is allowed to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.allowed = threading.Event()
        self.prepared: defaultdict[int, threading.Event] = defaultdict(threading.Event)
        self.begun: defaultdict[int, threading.Event] = defaultdict(threading.Event)
        self.poison: int | None = None

    def prepare(self, records: Sequence[Record]) -> Any:
        self.log.append(f"prepare {records[0].offset}")
        self.prepared[records[0].offset].set()
        return SimpleNamespace(records=records, at=0.0)

    def assess(self, held: Partition, prepared: Any) -> int:  # noqa: ARG002
        first: int = prepared.records[0].offset
        self.begun[first].set()
        assert self.allowed.wait(10)
        if first == self.poison:
            raise ValueError(f"batch {first}")
        self.log.append(f"assess {first}")
        return first

    def publish(self, held: Partition, prepared: Any, first: int) -> None:  # noqa: ARG002
        self.log.append(f"publish {first}")


@pytest.fixture
def partitions() -> PartitionTable:
    return PartitionTable(load_plant(None), history_hours=WEEK)


@pytest.fixture
def held(partitions: PartitionTable) -> Partition:
    return partitions.adopt(3, next_offset=0, next_import=0, at=0.0)


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def poisoned() -> list[tuple[int, int, str]]:
    return []


@pytest.fixture
def executor(
    steps: Steps,
    partitions: PartitionTable,
    failures: list[BaseException],
    poisoned: list[tuple[int, int, str]],
) -> Iterator[BatchExecutor]:
    def give_up(held: Partition, until: int, error: Exception) -> None:
        poisoned.append((held.number, until, str(error)))
        partitions.drop_one(held.number)

    executor = BatchExecutor(cast("Pipeline", steps), partitions, on_failure=failures.append, on_poison=give_up)
    yield executor
    executor.close()


async def process(executor: BatchExecutor, held: Partition, first: int) -> None:
    records = [Record(offset) for offset in range(first, first + 10)]
    await executor.process(held, records, next_offset=first + 10)


async def test_the_next_batch_is_decoded_while_one_is_assessed(
    steps: Steps, executor: BatchExecutor, held: Partition
) -> None:
    await process(executor, held, 0)
    second = asyncio.create_task(process(executor, held, 10))
    assert await asyncio.to_thread(steps.prepared[10].wait, 10)
    assert steps.log == ["prepare 0", "prepare 10"]
    steps.allowed.set()
    await second
    async with executor.quiesced():
        assert [step for step in steps.log if step.startswith("assess")] == ["assess 0", "assess 10"]
        assert [step for step in steps.log if step.startswith("publish")] == ["publish 0", "publish 10"]
        assert (held.next_offset, executor.records_done) == (20, 20)


async def test_a_batch_that_waits_is_begun_while_the_loop_is_busy(
    steps: Steps, executor: BatchExecutor, held: Partition
) -> None:
    await process(executor, held, 0)
    await process(executor, held, 10)
    steps.allowed.set()
    assert steps.begun[10].wait(10)  # the loop stands still meanwhile
    async with executor.quiesced():
        assert executor.records_done == 20


async def test_quiesced_means_that_every_batch_begun_is_published(
    steps: Steps, executor: BatchExecutor, held: Partition
) -> None:
    await process(executor, held, 0)
    threading.Timer(0.05, steps.allowed.set).start()
    async with executor.quiesced():
        assert steps.log[-1] == "publish 0"


async def test_nothing_begins_while_batches_are_held_back(
    steps: Steps, executor: BatchExecutor, held: Partition
) -> None:
    steps.allowed.set()
    async with executor.quiesced():
        waiting = asyncio.create_task(process(executor, held, 0))
        await asyncio.sleep(0.02)
        assert steps.log == ["prepare 0"]
        assert held.next_offset == 0
    await waiting
    async with executor.quiesced():
        assert steps.log[-1] == "publish 0"


async def test_a_batch_of_a_partition_that_was_given_up_is_left_to_its_new_owner(
    steps: Steps, executor: BatchExecutor, held: Partition, partitions: PartitionTable
) -> None:
    steps.allowed.set()
    async with executor.quiesced():
        waiting = asyncio.create_task(process(executor, held, 0))
        await asyncio.sleep(0)
        partitions.drop()
    await waiting
    assert steps.log == ["prepare 0"]


async def test_a_cancelled_wait_does_not_cancel_a_batch(steps: Steps, executor: BatchExecutor, held: Partition) -> None:
    await process(executor, held, 0)
    await process(executor, held, 10)

    async def look() -> None:
        async with executor.quiesced():
            pass

    for waiting in (asyncio.create_task(look()), asyncio.create_task(process(executor, held, 20))):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.02)
    steps.allowed.set()
    async with executor.quiesced():
        assert [step for step in steps.log if step.startswith("publish")] == ["publish 0", "publish 10"]
        assert "assess 20" not in steps.log
        assert held.next_offset == 20


async def test_a_batch_that_breaks_the_rules_gives_its_partition_up_and_no_other(
    steps: Steps,
    executor: BatchExecutor,
    held: Partition,
    partitions: PartitionTable,
    poisoned: list[tuple[int, int, str]],
) -> None:
    other = partitions.adopt(4, next_offset=100, next_import=0, at=0.0)
    steps.poison = 10
    steps.allowed.set()
    for first in (0, 10, 20):
        await process(executor, held, first)
    await process(executor, other, 100)
    async with executor.quiesced():
        assert [step for step in steps.log if step.startswith("publish")] == ["publish 0", "publish 100"]
    assert poisoned == [(3, 20, "batch 10")]
    assert executor.failure is None


async def test_after_a_failure_nothing_more_is_published(
    steps: Steps, executor: BatchExecutor, held: Partition, failures: list[BaseException]
) -> None:
    held.suspect_until = 100  # it was cut already, and most of it failed
    steps.poison = 10
    steps.allowed.set()
    for first in (0, 10, 20, 30):
        await process(executor, held, first)
    async with executor.quiesced():
        assert [step for step in steps.log if step.startswith("publish")] == ["publish 0"]
        assert executor.failure is failures[0]
        assert str(executor.failure) == "batch 10"
    assert len(failures) == 1
