"""Reloading of the plant file's alert policy while the worker runs; with an invalid file the last valid one is kept."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from core.plant import AlertPolicy, Plant
from processor.executor import BatchExecutor
from processor.partitions import PartitionTable
from runtime.errors import UsageError
from runtime.metrics import ProcessorMetrics
from runtime.plants import load_plant, plant_path

LOGGER: Final = logging.getLogger("nexova.processor.policy")
_CHECK_SECONDS: Final = 2.0
_CALENDAR_SECONDS: Final = 86_400.0
Seen = tuple[tuple[int, int] | None, ...]


class PolicyWatch:
    """Watcher of the plant file and its calendar, which applies a changed policy between two batches.

    clock: epoch s. on_change: called with the new plant.
    """

    def __init__(
        self,
        *,
        path: Path | None,
        plant: Plant,
        partitions: PartitionTable,
        executor: BatchExecutor,
        metrics: ProcessorMetrics,
        clock: Callable[[], float],
        on_change: Callable[[Plant], None],
    ) -> None:
        self.plant = plant
        self._path = path
        self._partitions = partitions
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._on_change = on_change
        self._seen = self._look()
        self._read_at = clock()

    async def run(self, *, stopped: Callable[[], bool]) -> None:
        """Check the files periodically until `stopped`."""
        while not stopped():
            await asyncio.sleep(_CHECK_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Reload the plant file if it or its calendar changed, and daily, as a calendar covers a moving year."""
        seen = await asyncio.to_thread(self._look)
        stale = self.plant.alerts.calendar is not None and self._clock() - self._read_at > _CALENDAR_SECONDS
        if seen == self._seen and not stale:
            return
        self._seen, self._read_at = seen, self._clock()
        try:
            found = await asyncio.to_thread(load_plant, self._path, now=datetime.fromtimestamp(self._clock(), UTC))
        except UsageError as error:
            self._metrics.policy_changes.labels(result="refused").inc()
            LOGGER.error("%s; the last valid alert policy stays in use", error.message)  # noqa: TRY400  one line
            return
        if found.alerts == self.plant.alerts:
            return
        if without_policy(found) != without_policy(self.plant):
            LOGGER.warning("the plant file changed beyond [alerts]; that part takes effect after a restart")
        self.plant = self.plant.model_copy(update={"alerts": found.alerts})
        async with self._executor.quiesced():
            self._partitions.use_policy(self.plant)
        self._on_change(self.plant)
        self._metrics.policy_changes.labels(result="taken").inc()
        LOGGER.info("the changed alert policy is in use")

    def _look(self) -> Seen:
        path = plant_path(self._path)
        files = [path] if self.plant.alerts.calendar is None else [path, path.parent / self.plant.alerts.calendar]
        return tuple(_stamp(file) for file in files)


def without_policy(plant: Plant) -> Plant:
    """Return the plant with the default alert policy, for comparing the other parts."""
    return plant.model_copy(update={"alerts": AlertPolicy()})


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
