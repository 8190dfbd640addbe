"""Workers without a broker: the real adoption, checkpoints, writers and rules, on a log in memory.

The log refuses earlier owners as Kafka does.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from prometheus_client import CollectorRegistry

from core.models import Models
from core.state.records import END
from processor.adoption import Adoption
from processor.changelog import Restored, changelog_of, end_of
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
from tests.builders import START, a_plant

PLANT: Final = a_plant(
    detection={"warm_up_readings": 20},
    alerts={"readings_over": 2, "of_readings": 3, "resolve_after_readings": 3, "update_seconds": 600.0},
)
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
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Log:
    """The broker: one partition of each topic. fences: whether it refuses earlier owners."""

    fences: bool
    records: list[Outgoing] = field(default_factory=list)
    owner: int = 0

    def read(self, table: str, number: int) -> Restored:
        assert number == 0
        found = [(key, value) for topic, key, value, _ in self.records if topic == changelog_of(KAFKA, table)]
        ends = [value for key, value in found if key == END]
        return Restored(records=[one for one in found if one[0] != END], end=end_of(table, ends[-1] if ends else None))

    def newest(self, topic: str) -> dict[bytes, bytes]:
        """What a compacted topic says in the end."""
        return {key: value for name, key, value, _ in self.records if name == topic and value is not None}


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


@dataclass
class DeadLettersOnly:
    """The messages of topics that everybody may write, of which the dead letters are kept."""

    letters: list[bytes] = field(default_factory=list)

    def send(self, topic: str, *, key: str, value: bytes, partition: int) -> None:  # noqa: ARG002
        self.letters.append(value)

    def count(self, topic: str, messages: int = 1) -> None: ...

    def poll(self) -> None: ...

    def flush(self) -> None: ...


class Worker:
    """One worker and what it believes to own."""

    def __init__(self, log: Log, models: Models | None = None) -> None:
        self.awake = threading.Event()
        self.awake.set()
        self.epoch = 0
        self.failures: list[BaseException] = []
        self.held: Partition | None = None
        self.saving: asyncio.Task[None] | None = None
        metrics = METRICS
        clock = Clock(wall=lambda: NOW, monotonic=lambda: NOW)
        self.outputs = DeadLettersOnly()
        self.poisoned: list[Exception] = []
        outputs = cast("Outputs", self.outputs)
        self.partitions = PartitionTable(PLANT, history_hours=168)
        self.writers = Writers(
            lambda _: MemoryProducer(log, self.awake), metrics, on_lost=self._lose, on_failure=self.failures.append
        )
        publisher = Publisher(outputs, self.writers, metrics, publish_scores=False, clock=clock.wall)
        pipeline = Pipeline(
            plant=PLANT,
            running=RunningModels(models or Models(), plant=PLANT, metrics=metrics),
            partitions=self.partitions,
            publisher=publisher,
            settings=SETTINGS,
            metrics=metrics,
            clock=clock.wall,
            on_alert_counts=lambda _: None,
            open_breaches=lambda: 0,
        )
        self.executor = BatchExecutor(
            pipeline, self.partitions, on_failure=self.failures.append, on_poison=self._poison
        )
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

    def _poison(self, held: Partition, until: int, error: Exception) -> None:
        self.poisoned.append(error)
        self.partitions.suspect(held.number, until=until)
        self.partitions.drop_one(held.number)
        self.checkpoints.forget_one(held.number)
        self._closing = self.writers.drop_one(held.number)
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
