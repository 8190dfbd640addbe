"""Checkpoints: flush scores, write state with its dependent messages, commit offsets; in this order.

After a crash between two steps, readings are read again. The saved state recognises them by offset, and unsaved state
produces the same outputs once more, so nothing is lost or counted twice. The reasons for the order are in
docs/decisions/0002-checkpoint-order.md, those for the intervals in
docs/decisions/0111-state-costs-what-readings-cost.md.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from core.admission import long_silent
from core.alerting.messages import resolved
from core.state.records import Record
from processor.changelog import MACHINES, SERIES, changelog_of, end_record
from processor.executor import BatchExecutor
from processor.fenced_producer import Outgoing
from processor.outputs import Outputs
from processor.partitions import Partition, PartitionTable
from processor.publisher import Publisher
from processor.rhythm import Rhythm
from processor.stage_cpu import stage_cpu
from processor.writers import Writers
from runtime.metrics import ProcessorMetrics
from runtime.processor_settings import ProcessorSettings
from runtime.settings import KafkaSettings
from schemas.topics import HISTORY, READINGS

LOGGER: Final = logging.getLogger("nexova.processor")
_FORGET_SECONDS: Final = 600.0
_AT_ONCE: Final = 1_000
"""Machines whose state is packed while batches wait."""


@dataclass(slots=True)
class _Save:
    """Content of one checkpoint of a partition, and the position of its readings when it began."""

    held: Partition
    slots: list[int]
    complete: bool
    next_offset: int
    next_import: int
    bytes_read: int
    size: int = 0
    last: list[Outgoing] = field(default_factory=list)


class Checkpoints:
    """Checkpoints of all partitions, one at a time.

    commit: marks the offsets of a topic, by partition, as safe to commit. identity: returns a topic's identity by name.
    clock: monotonic s.
    """

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        settings: ProcessorSettings,
        partitions: PartitionTable,
        writers: Writers,
        publisher: Publisher,
        executor: BatchExecutor,
        outputs: Outputs,
        metrics: ProcessorMetrics,
        commit: Callable[[Mapping[int, int], str], None],
        identity: Callable[[str], str | None],
        clock: Callable[[], float],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._partitions = partitions
        self._writers = writers
        self._publisher = publisher
        self._executor = executor
        self._outputs = outputs
        self._metrics = metrics
        self._commit = commit
        self._identity = identity
        self._one = asyncio.Lock()
        self._saved: dict[tuple[str, int], int] = {}
        self._rhythms: dict[int, Rhythm] = {}
        self._forget_at: dict[int, float] = {}
        self._clock = clock
        self.last_success = clock()

    async def make(self, *, complete: bool = False) -> None:
        """Save the partitions that are due; with `complete`, all changes since the last checkpoint.

        Raises:
            OutputFailed: a score was not delivered; nothing was saved.
            WriteFailed: the state could not be written.
        """
        async with self._one:
            started = self._clock()
            try:
                await self._make(complete=complete)
            except BaseException:
                self._metrics.checkpoints.labels(result="failed").inc()
                raise
            self._metrics.checkpoints.labels(result="succeeded").inc()
            self._metrics.checkpoint_duration.observe(self._clock() - started)
            self.last_success = self._clock()

    async def _make(self, *, complete: bool) -> None:
        async with self._executor.quiesced():
            self._raise_failure()
            saves = [self._begin(held, complete=complete) for held in self._partitions.values()]
        saves = [save for save in saves if save.slots or save.last or self._has_news(save)]
        todo = [(save, slot) for save in saves for slot in save.slots]
        # a machine packed after its partition's offset was taken may be ahead of it, which is harmless
        for start in range(0, max(1, len(todo)), _AT_ONCE):
            async with self._executor.quiesced():
                self._raise_failure()
                records = await self._executor.run(partial(self._packed, todo[start : start + _AT_ONCE]))
            await asyncio.to_thread(self._outputs.flush)
            for save, written in records:
                save.size += sum(len(key) + len(value or b"") for key, value in written)
                self._add(save, self._to(MACHINES, written))
        for save in saves:
            self._add(save, save.last + self._ends(save))
        await self._settle(saves)
        self._note(saves)

    def _begin(self, held: Partition, *, complete: bool) -> _Save:
        """Capture offsets, messages and changed machines consistently, between two batches."""
        rhythm = self._rhythms.setdefault(held.number, self._new_rhythm())
        deleted = self._forget_silent(held)
        dirty = held.state.dirty
        due = complete or rhythm.is_due(now=self._clock(), dirty=len(dirty), bytes_read=held.bytes_read)
        save = _Save(
            held=held,
            slots=sorted(dirty if due else held.spoken & dirty),
            complete=due,
            next_offset=held.next_offset,
            next_import=held.imports.next_offset,
            bytes_read=held.bytes_read,
        )
        held.spoken = set()
        series = [(key.encode(), value) for key, value in held.series.changed_records()]
        save.last = self._writers.take_with_state(held.number) + self._to(SERIES, series) + self._to(MACHINES, deleted)
        save.last += self._publisher.counted(held.series.unsent())
        return save

    def _forget_silent(self, held: Partition) -> list[Record]:
        """Remove machines that have been silent for very long; return the records that delete them."""
        now = self._clock()
        if now < self._forget_at.get(held.number, 0.0):
            return []
        self._forget_at[held.number] = now + _FORGET_SECONDS
        forgotten = long_silent(held.state, seconds=self._settings.forget_after_days * 86_400)
        if not forgotten:
            return []
        names = {held.state.ids[slot] for slot in forgotten}
        kept = [{held.state.ids[slot] for slot in slots} - names for slots in (held.statuses_due, held.spoken)]
        for alert in held.state.alerts.values():
            if alert.machine_id in names and alert.state != "resolved":
                self._publisher.alert(held.number, resolved(alert, at=held.state.watermark))
        deleted = held.state.forget(forgotten)
        held.statuses_due, held.spoken = ({held.state.slots[name] for name in some} for some in kept)
        self._metrics.machines_forgotten.inc(len(forgotten))
        text = (
            "partition %d: %d machines, silent for %g days, are removed with their counts, baselines, hours and alerts"
        )
        LOGGER.warning(text, held.number, len(forgotten), self._settings.forget_after_days)
        return deleted

    def _to(self, table: str, records: Iterable[Record]) -> list[Outgoing]:
        topic = changelog_of(self._kafka, table)
        return [Outgoing(topic, key, value) for key, value in records]

    def _ends(self, save: _Save) -> list[Outgoing]:
        number, ends = save.held.number, []
        if save.complete and self._saved.get((READINGS, number)) != save.next_offset:
            ends.append(end_record(self._kafka, MACHINES, offset=save.next_offset, topic_id=self._identity(READINGS)))
        if self._saved.get((HISTORY, number)) != save.next_import:
            ends.append(end_record(self._kafka, SERIES, offset=save.next_import, topic_id=self._identity(HISTORY)))
        return ends

    def _add(self, save: _Save, messages: list[Outgoing]) -> None:
        writer = self._writers.of(save.held.number)
        if writer is not None and self._partitions.owns(save.held):
            writer.add(messages)

    async def _settle(self, saves: list[_Save]) -> None:
        for save in saves:
            writer = self._writers.of(save.held.number)
            if writer is not None:
                await writer.settle()

    def _note(self, saves: list[_Save]) -> None:
        readings, imports = {}, {}
        for save in saves:
            number, held = save.held.number, save.held
            if not self._partitions.owns(held) or self._writers.of(number) is None:
                continue  # given up meanwhile: its next owner continues from the saved state
            imports[number] = save.next_import
            if save.complete:
                readings[number] = save.next_offset
                held.bytes_read -= save.bytes_read
                self._rhythms[number].saved(now=self._clock(), machines=len(save.slots), size=save.size)
        for topic, offsets in ((READINGS, readings), (HISTORY, imports)):
            news = {number: n for number, n in offsets.items() if self._saved.get((topic, number)) != n}
            if news:
                self._commit(news, topic)
                self._saved.update({(topic, number): offset for number, offset in news.items()})
        size = sum(save.size for save in saves)
        self._metrics.state_size.set(size)
        self._metrics.changelog_bytes.inc(size)

    def _has_news(self, save: _Save) -> bool:
        return bool(self._ends(save))

    def _raise_failure(self) -> None:
        if self._executor.failure is not None:
            raise self._executor.failure

    def _new_rhythm(self) -> Rhythm:
        return Rhythm(
            share=self._settings.checkpoint_share,
            shortest=0.0,
            longest=self._settings.checkpoint_longest_seconds,
            most_bytes=self._settings.checkpoint_most_bytes,
            saved_at=self._clock(),
        )

    def forget(self) -> None:
        """Discard pending work of revoked partitions."""
        self._saved.clear()
        self._rhythms.clear()

    def forget_one(self, partition: int) -> None:
        """Discard pending work of one lost partition."""
        self._rhythms.pop(partition, None)
        for topic in (READINGS, HISTORY):
            self._saved.pop((topic, partition), None)

    def _packed(self, some: list[tuple[_Save, int]]) -> list[tuple[_Save, list[Record]]]:
        """Return the records of these machines, by partition."""
        with stage_cpu(self._metrics, "save"):
            slots: dict[int, list[int]] = {}
            saves: dict[int, _Save] = {}
            for save, slot in some:
                saves[save.held.number] = save
                slots.setdefault(save.held.number, []).append(slot)
            return [(save, save.held.state.records_of(slots[number])) for number, save in saves.items()]
