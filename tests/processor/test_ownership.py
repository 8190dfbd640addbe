"""Owners that come and go, sleep and crash: whatever happens, the log says in the end what an undisturbed run says.

The real adoption, checkpoints, writers and rules, on a log in memory that refuses earlier owners as Kafka does. Workers
are paused at any write, replaced meanwhile, wake up and go on as if nothing had happened.
"""

import asyncio
import json
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from prometheus_client import CollectorRegistry

from core.models import Models
from core.state.fleet import FleetState
from core.state.records import END
from processor.adoption import Adoption
from processor.changelog import MACHINES, Restored, _end, changelog_of
from processor.checkpoint import Checkpoints
from processor.executor import BatchExecutor
from processor.fenced_producer import Fenced, Outgoing
from processor.outputs import Outputs
from processor.partitions import Partition, PartitionTable
from processor.pipeline import Pipeline
from processor.publisher import Publisher
from processor.versions.running import RunningModels
from processor.writers import Writers
from runtime.clock import Clock
from runtime.metrics import ProcessorMetrics
from runtime.processor_settings import ProcessorSettings
from runtime.settings import KafkaSettings
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.topics import ALERTS, ENERGY
from tests.builders import START, a_plant
from tests.core.streams import remembered

T = TypeVar("T")
PLANT: Final = a_plant(
    detection={"warm_up_readings": 20},
    alerts={"readings_over": 2, "of_readings": 3, "resolve_after_readings": 3, "update_seconds": 600.0},
)
MACHINES_FED: Final = ("pump-01", "pump-02", "mixer-01")
KAFKA: Final = KafkaSettings()
SETTINGS: Final = ProcessorSettings(publish_scores=False, status_seconds=3600.0)
NOW: Final = START + 1e6
# nothing is counted here, and a hundred series take as long to make as the rest of a worker
METRICS: Final = ProcessorMetrics(CollectorRegistry())


@dataclass(frozen=True, kw_only=True)
class Source:
    offset: int
    value: bytes | None
    timestamp: int = 0


@dataclass
class Log:
    """The broker: one partition of each topic. fences: whether it refuses earlier owners."""

    fences: bool
    records: list[Outgoing] = field(default_factory=list)
    owner: int = 0

    def read(self, table: str, number: int) -> Restored:
        assert number == 0
        found = [(key, value) for topic, key, value in self.records if topic == changelog_of(KAFKA, table)]
        ends = [value for key, value in found if key == END]
        return Restored(records=[one for one in found if one[0] != END], end=_end(table, ends[-1] if ends else None))

    def newest(self, topic: str) -> dict[bytes, bytes]:
        """What a compacted topic says in the end."""
        return {key: value for name, key, value in self.records if name == topic and value is not None}


@dataclass
class MemoryProducer:
    """Writes to the log, unless its worker is asleep."""

    log: Log
    awake: threading.Event
    epoch: int = 0

    def acquire(self) -> None:
        self.log.owner += 1
        self.epoch = self.log.owner

    def write(self, messages: Sequence[Outgoing]) -> None:
        assert self.awake.wait(20)
        if self.log.fences and self.epoch != self.log.owner:
            raise Fenced("another worker has the partition")
        self.log.records += messages

    def close(self) -> None: ...


class NoOutputs:
    """Scores and dead letters, which are not looked at here."""

    def send(self, topic: str, *, key: str, value: bytes, partition: int) -> None: ...

    def count(self, topic: str, messages: int = 1) -> None: ...

    def poll(self) -> None: ...

    def flush(self) -> None: ...


class Worker:
    """One worker and what it believes to own."""

    def __init__(self, log: Log) -> None:
        self.awake = threading.Event()
        self.awake.set()
        self.epoch = 0
        self.failures: list[BaseException] = []
        self.held: Partition | None = None
        self.saving: asyncio.Task[None] | None = None
        metrics = METRICS
        clock = Clock(wall=lambda: NOW, monotonic=lambda: NOW)
        outputs = cast("Outputs", NoOutputs())
        self.partitions = PartitionTable(PLANT, history_hours=168)
        self.writers = Writers(
            lambda _: MemoryProducer(log, self.awake), metrics, on_lost=self._lose, on_failure=self.failures.append
        )
        publisher = Publisher(outputs, self.writers, metrics, publish_scores=False, clock=clock.wall)
        pipeline = Pipeline(
            plant=PLANT,
            running=RunningModels(Models(), plant=PLANT, metrics=metrics),
            partitions=self.partitions,
            publisher=publisher,
            settings=SETTINGS,
            metrics=metrics,
            clock=clock.wall,
            on_alert_counts=lambda _: None,
            open_breaches=lambda: 0,
        )
        self.executor = BatchExecutor(pipeline, self.partitions, on_failure=self.failures.append)
        self.checkpoints = Checkpoints(
            kafka=KAFKA,
            settings=SETTINGS,
            partitions=self.partitions,
            writers=self.writers,
            publisher=publisher,
            executor=self.executor,
            outputs=outputs,
            metrics=metrics,
            commit=lambda _offsets, _topic: None,
            identity=lambda _topic: None,
            clock=clock.monotonic,
        )
        self.adoption = Adoption(
            read=log.read,
            partitions=self.partitions,
            writers=self.writers,
            publisher=publisher,
            clock=clock,
            epoch=lambda: self.epoch,
            identity=lambda _topic: None,
        )

    def _lose(self, partition: int, _: Fenced) -> None:
        self.partitions.drop_one(partition)
        self.checkpoints.forget_one(partition)
        self.held = None

    async def adopt(self) -> None:
        self.held = await self.adoption.adopt(0, readings=10**9, imports=0)

    async def process(self, readings: Sequence[Source], *, count: int, again: int) -> None:
        """Process the next readings of the log, the last ones of before once more among them."""
        held = self.held
        if held is None:
            return
        first = max(0, held.next_offset - again)
        records = readings[first : held.next_offset + count]
        if records:
            await self.executor.process(held, records, next_offset=records[-1].offset + 1)
            async with self.executor.quiesced():
                pass

    async def give_up(self) -> None:
        self.epoch += 1
        self.partitions.drop()
        self.checkpoints.forget()
        self.held = None
        await self.writers.drop()

    async def end(self) -> None:
        self.awake.set()
        if self.saving is not None:
            await asyncio.wait([self.saving])
        await self.give_up()
        self.executor.close()
        self.writers.close()


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
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

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
        for topic, key, value in self.log.records:
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
