"""Batches in a lane: side by side for speed, one after another for everybody who looks."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.forecasting.hourly_history import WEEK
from core.forecasting.series_state import SeriesTable
from core.state.fleet import FleetState
from processor.executor import Lane
from processor.pipeline import Partition, Pipeline, Position
from runtime.plants import load_plant


@dataclass(frozen=True)
class Record:
    offset: int
    timestamp: int = 0
    value: bytes | None = b"{}"


class Steps:
    """In the place of a pipeline: notes its steps, and assesses when it is allowed to."""

    def __init__(self, held: Partition) -> None:
        self.partitions = {held.number: held}
        self.models = None
        self.log: list[str] = []
        self.allowed = threading.Event()
        self.begun: defaultdict[int, threading.Event] = defaultdict(threading.Event)
        self.poison: int | None = None

    def prepare(self, records: Sequence[Record]) -> Any:
        self.log.append(f"prepare {records[0].offset}")
        return SimpleNamespace(records=records, at=0.0)

    def assess(self, held: Partition, prepared: Any, models: None) -> int:  # noqa: ARG002
        first: int = prepared.records[0].offset
        self.begun[first].set()
        assert self.allowed.wait(10)
        if first == self.poison:
            raise ValueError(f"batch {first}")
        self.log.append(f"assess {first}")
        return first

    def send(self, held: Partition, prepared: Any, first: int) -> None:  # noqa: ARG002
        self.log.append(f"send {first}")


@pytest.fixture
def held() -> Partition:
    return Partition(
        number=3,
        state=FleetState(load_plant(None)),
        series=SeriesTable(WEEK),
        imports=Position(next_offset=0),
        heard_at=0.0,
        next_offset=0,
    )


@pytest.fixture
def steps(held: Partition) -> Steps:
    return Steps(held)


def a_lane(steps: Steps, failures: list[BaseException]) -> Lane:
    return Lane(cast("Pipeline", steps), on_failure=failures.append)


def records(first: int) -> list[Record]:
    return [Record(offset) for offset in range(first, first + 10)]


async def test_the_next_batch_is_decoded_while_one_is_assessed(steps: Steps, held: Partition) -> None:
    lane = a_lane(steps, [])
    await lane.process(held, records(0))
    second = asyncio.create_task(lane.process(held, records(10)))
    await asyncio.sleep(0)
    assert steps.log == ["prepare 0", "prepare 10"]
    steps.allowed.set()
    await second
    async with lane.at_rest():
        assert [step for step in steps.log if step.startswith("assess")] == ["assess 0", "assess 10"]
        assert [step for step in steps.log if step.startswith("send")] == ["send 0", "send 10"]
        assert (held.next_offset, lane.records_done) == (20, 20)
    lane.close()


async def test_a_batch_that_waits_is_begun_while_the_loop_is_busy(steps: Steps, held: Partition) -> None:
    lane = a_lane(steps, [])
    await lane.process(held, records(0))
    await lane.process(held, records(10))
    steps.allowed.set()
    assert steps.begun[10].wait(10)  # the loop stands still meanwhile
    async with lane.at_rest():
        assert lane.records_done == 20
    lane.close()


async def test_at_rest_means_that_everything_taken_on_is_sent(steps: Steps, held: Partition) -> None:
    lane = a_lane(steps, [])
    await lane.process(held, records(0))
    threading.Timer(0.05, steps.allowed.set).start()
    async with lane.at_rest():
        assert steps.log[-1] == "send 0"
    lane.close()


async def test_nothing_begins_while_somebody_has_the_lane_at_rest(steps: Steps, held: Partition) -> None:
    lane = a_lane(steps, [])
    steps.allowed.set()
    async with lane.at_rest():
        waiting = asyncio.create_task(lane.process(held, records(0)))
        await asyncio.sleep(0.02)
        assert steps.log == ["prepare 0"]
        assert held.next_offset == 0
    await waiting
    async with lane.at_rest():
        assert steps.log[-1] == "send 0"
    lane.close()


async def test_a_batch_of_a_partition_that_was_given_up_is_left_to_its_new_owner(steps: Steps, held: Partition) -> None:
    lane = a_lane(steps, [])
    steps.allowed.set()
    async with lane.at_rest():
        waiting = asyncio.create_task(lane.process(held, records(0)))
        await asyncio.sleep(0)
        steps.partitions.clear()
    await waiting
    assert steps.log == ["prepare 0"]
    lane.close()


async def test_who_is_cancelled_while_waiting_does_not_take_a_batch_along(steps: Steps, held: Partition) -> None:
    lane = a_lane(steps, [])
    await lane.process(held, records(0))
    await lane.process(held, records(10))

    async def look() -> None:
        async with lane.at_rest():
            pass

    for waiting in (asyncio.create_task(look()), asyncio.create_task(lane.process(held, records(20)))):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.02)
    steps.allowed.set()
    async with lane.at_rest():
        assert [step for step in steps.log if step.startswith("send")] == ["send 0", "send 10"]
        assert "assess 20" not in steps.log
        assert held.next_offset == 20
    lane.close()


async def test_after_a_failure_nothing_more_is_sent(steps: Steps, held: Partition) -> None:
    failures: list[BaseException] = []
    lane = a_lane(steps, failures)
    steps.poison = 10
    steps.allowed.set()
    for first in (0, 10, 20, 30):
        await lane.process(held, records(first))
    async with lane.at_rest():
        assert [step for step in steps.log if step.startswith("send")] == ["send 0"]
        assert lane.failure is failures[0]
        assert str(lane.failure) == "batch 10"
    assert len(failures) == 1
    lane.close()
