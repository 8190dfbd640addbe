"""A reading on which the rules themselves fail: it is found and set aside, and all others count as without it."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arrays import Features, Floats
from core.batch import ReadingBatch
from core.models import Models
from core.poison import TRIED_FOR_ONE_MACHINE, assess_carefully
from core.state.fleet import FleetState
from processor.changelog import MACHINES
from schemas.dead_letters import DeadLetter
from tests.builders import START, ARow, a_batch, a_plant, a_reading
from tests.core.streams import PublishedOutputs, remembered, run_batches
from tests.processor.owners import PLANT, Log, Source, Worker

NAMES: Final = ("pump-01", "pump-02", "pump-03", "mixer-01")
TOO_HOT: Final = 500.0


class FailsOnHeat:
    """An anomaly model that cannot bear one feature: it raises where a temperature is far off."""

    name = "forest"
    version = "1"

    def score(self, features: Features) -> Floats:
        if (np.abs(features[:, 1]) > 0.99).any():  # deviations are squeezed into (-1, 1)
            raise IndexError("index 7 is out of bounds for axis 0 with size 7")
        return np.zeros(len(features))


class FailsAlways(FailsOnHeat):
    def score(self, features: Features) -> Floats:
        raise OSError(f"the model does not answer for {len(features)} rows")


MODELS: Final = Models(anomaly=FailsOnHeat())


def rows(poison: Sequence[tuple[int, int]], *, steps: int = 40) -> list[ARow]:
    """Four machines in turn; `poison`: step and machine of readings on which the model fails."""
    bad = set(poison)
    return [
        a_reading(
            name,
            at=60.0 * step,
            offset=4 * step + machine,
            power=40.0 + step % 7,
            temperature=TOO_HOT if (step, machine) in bad else 60.0 + step % 5,
        )
        for step in range(steps)
        for machine, name in enumerate(NAMES)
    ]


def as_batch(some: list[ARow]) -> ReadingBatch:
    return a_batch(*some, plant=PLANT)


@settings(max_examples=25, deadline=None)
@given(
    poison=st.lists(st.tuples(st.integers(30, 39), st.integers(0, 1)), max_size=4, unique=True),
    cut=st.integers(30, 40),
)
def test_whatever_is_poison_all_else_counts_as_without_it(poison: list[tuple[int, int]], cut: int) -> None:
    all_rows = rows(poison)
    _, state = run_batches([as_batch(all_rows[: 4 * 30])], plant=PLANT, models=MODELS)
    outputs, found = PublishedOutputs(), []
    for first, last in ((4 * 30, 4 * cut), (4 * cut, len(all_rows))):
        if first == last:
            continue
        result = assess_carefully(as_batch(all_rows[first:last]), state=state, models=MODELS, plant=PLANT)
        state = result.state
        found += [(one.offset // 4, one.offset % 4) for one in result.poison]
        for assessment in result.assessments:
            outputs.add(assessment)
    # once several of a machine were found in one batch its others are not tried
    tried_all = all(sum(one[1] == machine for one in poison) < TRIED_FOR_ONE_MACHINE for machine in (0, 1))
    assert set(poison) <= set(found)
    if tried_all:
        assert sorted(found) == sorted(poison)
    left = [row for row in all_rows if (row.offset // 4, row.offset % 4) not in set(found)]  # type: ignore[operator]
    _, straight = run_batches([as_batch(left[: 4 * 30])], plant=PLANT, models=MODELS)
    expected, straight = run_batches([as_batch(left[4 * 30 :])], plant=PLANT, models=MODELS, state=straight)
    assert remembered(state) == remembered(straight)
    assert sorted(outputs.scores, key=repr) == sorted(expected.scores, key=repr)
    assert sorted(outputs.alerts, key=repr) == sorted(expected.alerts, key=repr)


def test_a_model_that_fails_on_everything_is_not_the_data() -> None:
    _, state = run_batches([as_batch(rows([])[:120])], plant=PLANT, models=Models())
    with pytest.raises(OSError, match="does not answer"):
        assess_carefully(as_batch(rows([])[120:]), state=state, models=Models(anomaly=FailsAlways()), plant=PLANT)


def test_the_readings_of_one_message_are_told_apart_by_machine() -> None:
    plant = a_plant(detection={"warm_up_readings": 20})
    warm = [row for row in rows([]) if (row.offset or 0) < 4 * 39]
    _, state = run_batches([a_batch(*warm, plant=plant)], plant=plant, models=MODELS)
    message = [
        a_reading(name, at=60.0 * 39, offset=1000, power=40.0, temperature=TOO_HOT if name == "pump-02" else 60.0)
        for name in NAMES
    ]
    result = assess_carefully(a_batch(*message, plant=plant), state=state, models=MODELS, plant=plant)
    assert [(one.offset, one.machine_id, one.readings) for one in result.poison] == [(1000, "pump-02", 1)]
    assert sum(len(assessment.scores.batch) for assessment in result.assessments) == 3


def a_source(row: ARow) -> Source:
    at = datetime.fromtimestamp(START + row.at, UTC).isoformat()
    value: dict[str, Any] = {"machine_id": row.machine_id, "timestamp": at} | row.values
    return Source(offset=row.offset or 0, value=json.dumps(value).encode())


def machines_of(log: Log) -> Any:
    state = FleetState(PLANT)
    state.restore(log.read(MACHINES, 0).records)
    return remembered(state)["machines"]


async def feed(worker: Worker, sources: list[Source]) -> None:
    """Feed all readings, from where the partition stands, until they are processed."""
    for _ in range(100):
        if worker.held is None:
            await worker.adopt()
        assert worker.held is not None
        todo = [one for one in sources if one.offset >= worker.held.next_offset]
        if not todo or worker.failures:
            break
        await worker.process(sources, count=20, again=0)
    await worker.checkpoints.make(complete=True)


def test_a_worker_sets_the_poison_aside_and_goes_on_from_what_it_had_saved() -> None:
    poison = [(33, 0), (36, 1)]

    async def run(readings: list[Source]) -> tuple[Log, Worker]:
        log = Log(fences=True)
        worker = Worker(log, MODELS)
        await worker.adopt()
        await worker.process(readings, count=100, again=0)
        await worker.checkpoints.make(complete=True)
        await feed(worker, readings)
        await worker.end()
        return log, worker

    log, worker = asyncio.run(run([a_source(row) for row in rows(poison)]))
    letters = [DeadLetter.model_validate_json(letter) for letter in worker.outputs.letters]
    # the second one has the partition read again from before the first, which says the same once more
    assert {(letter.source.offset, letter.reason) for letter in letters} == {
        (4 * 33, "not_assessed"),
        (4 * 36 + 1, "not_assessed"),
    }
    assert "pump-01" in letters[0].detail
    assert "IndexError: index 7 is out of bounds" in letters[0].detail
    assert not worker.failures
    blind = [row for row in rows([]) if ((row.offset or 0) // 4, (row.offset or 0) % 4) not in set(poison)]
    # the offsets stay, so that both logs say the same
    straight, _ = asyncio.run(run(with_gaps_filled([a_source(row) for row in blind])))
    assert machines_of(log) == machines_of(straight)


def with_gaps_filled(sources: list[Source]) -> list[Source]:
    """The same with a message that holds nothing where an offset is missing."""
    known = {source.offset: source for source in sources}
    return [known.get(offset, Source(offset=offset, value=b"[]")) for offset in range(max(known) + 1)]
