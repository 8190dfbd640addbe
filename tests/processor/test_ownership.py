"""Owners that come and go, sleep and crash: whatever happens, the log says in the end what an undisturbed run says.

Workers are paused at any write, replaced meanwhile, wake up and go on as if nothing had happened.
"""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from core.state.fleet import FleetState
from processor.changelog import MACHINES
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.topics import ALERTS, ENERGY
from tests.builders import START
from tests.core.streams import remembered
from tests.processor.owners import PLANT, Log, Source, Worker

T = TypeVar("T")
MACHINES_FED: Final = ("pump-01", "pump-02", "mixer-01")


def reading(number: int, pattern: int) -> bytes:
    """The reading of a number: machines in turn, 7 minutes apart; `pattern` says which are too hot."""
    machine, step = number % len(MACHINES_FED), number // len(MACHINES_FED)
    hot = pattern >> (step % 16) & 1 and machine != 1
    at = datetime.fromtimestamp(START + 420 * step, UTC).isoformat()
    values = {"power": 40.0 + step % 7, "temperature": 130.0 if hot else 60.0 + step % 5, "vibration": 2.5}
    return json.dumps({"machine_id": MACHINES_FED[machine], "timestamp": at} | values).encode()


class Ownership(RuleBasedStateMachine):
    """Two workers at most believe that the partition is theirs; one of them is asleep or late."""

    fences = True

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.log = Log(fences=self.fences)
        self.readings: list[Source] = []
        self.workers: list[Worker] = []
        self.owner = self._new_owner()
        self.sleeper: Worker | None = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 120))

    def _new_owner(self) -> Worker:
        worker = Worker(self.log)
        self.workers.append(worker)
        self._run(worker.adopt())
        return worker

    @rule(count=st.integers(1, 30), pattern=st.integers(0, 2**16 - 1))
    def feed(self, count: int, pattern: int) -> None:
        first = len(self.readings)
        self.readings += [Source(offset=n, value=reading(n, pattern)) for n in range(first, first + count)]

    @rule(count=st.integers(1, 40), again=st.sampled_from((0, 0, 0, 5)))
    def process(self, count: int, again: int) -> None:
        self._run(self.owner.process(self.readings, count=count, again=again))

    @rule(complete=st.booleans())
    def save(self, complete: bool) -> None:  # noqa: FBT001  drawn by name
        self._run(self.owner.checkpoints.make(complete=complete))

    @rule()
    def crash(self) -> None:
        self.owner = self._new_owner()

    @precondition(lambda self: self.sleeper is None)
    @rule(saving=st.booleans())
    def fall_asleep(self, saving: bool) -> None:  # noqa: FBT001
        """The owner is paused, in the middle of a checkpoint maybe, and replaced."""
        self.sleeper = self.owner
        self.sleeper.awake.clear()
        if saving:
            self.sleeper.saving = self.loop.create_task(self.sleeper.checkpoints.make(complete=True))
            self._run(asyncio.sleep(0.001))
        self.owner = self._new_owner()

    @precondition(lambda self: self.sleeper is not None)
    @rule(count=st.integers(1, 40))
    def wake_up(self, count: int) -> None:
        """It goes on as if nothing had happened, until it hears of the rebalance."""
        worker, self.sleeper = cast("Worker", self.sleeper), None
        worker.awake.set()
        if worker.saving is not None:
            self._run(asyncio.wait([worker.saving]))  # type: ignore[arg-type]
        self._run(worker.process(self.readings, count=count, again=0))
        self._run(worker.checkpoints.make(complete=True))
        self._run(worker.give_up())

    def teardown(self) -> None:
        try:
            if self.sleeper is not None:
                self.wake_up(5)
            self.crash()
            self._run(self.owner.process(self.readings, count=len(self.readings), again=0))
            self._run(self.owner.checkpoints.make(complete=True))
            assert not [failure for worker in self.workers for failure in worker.failures]
            self._compare()
        finally:
            for worker in self.workers:
                self._run(worker.end())
            self.loop.close()

    def _compare(self) -> None:
        straight = Log(fences=True)
        alone = Worker(straight)
        self.workers.append(alone)
        self._run(alone.adopt())
        self._run(alone.process(self.readings, count=len(self.readings), again=0))
        self._run(alone.checkpoints.make(complete=True))
        assert state_of(self.log) == state_of(straight)
        assert alerts_of(self.log) == alerts_of(straight)
        assert windows_of(self.log) == windows_of(straight)
        revisions: dict[bytes, int] = {}
        for topic, key, value, _ in self.log.records:
            if topic == ENERGY:
                revision = EnergyWindow.model_validate_json(value or b"").revision
                assert revision > revisions.get(key, -1), "a revision is given once, and they rise"
                revisions[key] = revision


def state_of(log: Log) -> object:
    state = FleetState(PLANT)
    state.restore(log.read(MACHINES, 0).records)
    return remembered(state)["machines"]


def alerts_of(log: Log) -> dict[bytes, Alert]:
    return {key: Alert.model_validate_json(value) for key, value in log.newest(ALERTS).items()}


def windows_of(log: Log) -> dict[bytes, EnergyWindow]:
    found = {key: EnergyWindow.model_validate_json(value) for key, value in log.newest(ENERGY).items()}
    return {key: window.model_copy(update={"revision": 0}) for key, window in found.items()}


class Unfenced(Ownership):
    """As it was: whoever writes last is believed."""

    fences = False


def explore(machine: type[Ownership], *, examples: int, steps: int) -> None:
    limits = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        database=None,
        # a failure is what one test looks for: that it is one is enough
        phases=[Phase.generate],
    )
    run_state_machine_as_test(machine, settings=limits)  # type: ignore[no-untyped-call]


def test_whatever_owners_do_the_log_ends_as_that_of_an_undisturbed_run() -> None:
    explore(Ownership, examples=40, steps=12)


def test_without_fencing_a_worker_that_wakes_up_takes_something_away() -> None:
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        explore(Unfenced, examples=200, steps=15)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_thousands_of_runs_end_as_an_undisturbed_one() -> None:
    # each run some 0.1 s: its owners have threads and event loops of their own
    explore(Ownership, examples=2000, steps=30)
