"""Adoption of partitions: the worker becomes the owner, reads the saved state, and continues from it."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from core.forecasting.series_state import Outgoing as SavedMessage
from core.forecasting.series_state import SeriesTable
from core.state.fleet import FleetState
from core.state.records import UnknownStateFormat
from processor.changelog import MACHINES, SERIES, End, Restored, newest_values
from processor.partitions import Partition, PartitionTable
from processor.publisher import Publisher
from processor.writers import Writers
from runtime.clock import Clock
from runtime.errors import FailureError
from schemas.topics import HISTORY, READINGS

LOGGER: Final = logging.getLogger("nexova.processor")


class Adoption:
    """Adoption of partitions, several at a time.

    read: reads a table's changelog of a partition. epoch: returns a number that changes whenever partitions are given
    up. identity: returns a topic's identity by name.
    """

    def __init__(
        self,
        *,
        read: Callable[[str, int], Restored],
        partitions: PartitionTable,
        writers: Writers,
        publisher: Publisher,
        clock: Clock,
        epoch: Callable[[], int],
        identity: Callable[[str], str | None],
    ) -> None:
        self._read = read
        self._partitions = partitions
        self._writers = writers
        self._publisher = publisher
        self._clock = clock
        self._epoch = epoch
        self._identity = identity
        self._in_progress: dict[int, asyncio.Task[Partition | None]] = {}

    async def adopt(self, number: int, *, readings: int, imports: int) -> Partition | None:
        """Return a partition, adopted first if necessary; None if it was revoked meanwhile.

        readings, imports: offsets at which reading would begin without saved state.

        Raises:
            FailureError: the broker does not answer, or the state cannot be read.
        """
        if number in self._partitions:
            return self._partitions[number]
        task = self._in_progress.get(number)
        if task is None:
            task = asyncio.create_task(self._adopt(number, readings, imports))
            self._in_progress[number] = task
            task.add_done_callback(lambda _: self._in_progress.pop(number, None))
        # a cancelled waiter must not cancel the adoption for the others
        return await asyncio.shield(task)

    async def _adopt(self, number: int, readings: int, imports: int) -> Partition | None:
        epoch = self._epoch()
        started = self._clock.monotonic()
        writer = await self._writers.acquire(number)
        # no other worker can write from here on, so the state that is read is final
        (state, end), (series, unpublished, imported) = await asyncio.gather(
            asyncio.to_thread(self._machines, number), asyncio.to_thread(self._series, number)
        )
        if self._epoch() != epoch:
            await writer.close()
            return None
        if end is not None and end.is_of_another(self._identity(READINGS)):
            state.begin_era()
            LOGGER.warning(
                "partition %d: %s was deleted and recreated since its state was saved; the state of %d machines is "
                "kept, and the topic is read from its beginning",
                *(number, READINGS, len(state.ids)),
            )
        self._writers.hold(number, writer)
        held = self._partitions.adopt(
            number,
            state=state,
            next_offset=min(readings, 0 if end is None else end.reaches(self._identity(READINGS))),
            series=series,
            next_import=min(imports, 0 if imported is None else imported.reaches(self._identity(HISTORY))),
            at=self._clock.wall(),
        )
        self._publisher.saved(number, unpublished)
        if end is None and readings:
            LOGGER.warning(
                "partition %d has no saved state although offsets up to %d are committed: the readings that are "
                "kept are read again",
                *(number, readings),
            )
        LOGGER.info(
            "partition %d: %d machines restored up to offset %d in %.1f s, committed up to %d",
            *(number, len(state.ids), 0 if end is None else end.offset, self._clock.monotonic() - started, readings),
        )
        return held

    def _machines(self, number: int) -> tuple[FleetState, End | None]:
        state = self._partitions.new_state()
        with _refusals():
            restored = self._read(MACHINES, number)
            state.restore(restored.records)
        return state, restored.end

    def _series(self, number: int) -> tuple[SeriesTable, list[SavedMessage], End | None]:
        series = self._partitions.new_series()
        with _refusals():
            restored = self._read(SERIES, number)
            unpublished = series.restore(newest_values(restored.records), at=self._clock.wall())
        return series, unpublished, restored.end


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise the refusal of another version's state as an error for users."""
    try:
        yield
    except UnknownStateFormat as error:
        raise FailureError(str(error)) from None
