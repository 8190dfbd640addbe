"""Machines whose readings come in another partition than their id belongs to, or in several.

All that we know of a machine is kept by partition. Imported hours are placed by murmur2 of the machine's id; a sender
without keys, or with another partitioner, splits a machine over several states, or keeps its hours from it.
"""

import logging
from collections.abc import Mapping
from typing import Final

from core.partitioning import crc32_partition, murmur2_partition
from processor.partitions import Partition
from runtime.metrics import ProcessorMetrics
from schemas.topics import READINGS

LOGGER: Final = logging.getLogger("nexova.processor")
_SHOWN: Final = 3


class PlacementWatch:
    """Finds misplaced machines, and says so once of each partition. partitions: of the topic of the readings."""

    def __init__(self, partitions: int, metrics: ProcessorMetrics) -> None:
        self._partitions = partitions
        self._metrics = metrics
        self._looked_at: dict[int, tuple[Partition, int]] = {}
        self._misplaced: dict[int, list[str]] = {}
        self._said: set[int] = set()

    def look(self, held: Mapping[int, Partition]) -> None:
        """Look at machines that are new since the last look."""
        for number in [number for number in self._looked_at if number not in held]:
            del self._looked_at[number], self._misplaced[number]
        for number, partition in held.items():
            ids = partition.state.ids
            before, seen = self._looked_at.get(number, (partition, 0))
            if before is not partition or seen > len(ids):
                seen = 0
            if not seen:
                self._misplaced[number] = []
            self._misplaced[number] += [
                name for name in ids[seen:] if murmur2_partition(name, self._partitions) != number
            ]
            self._looked_at[number] = partition, len(ids)
            if self._misplaced[number] and number not in self._said:
                self._said.add(number)
                self._tell(number, self._misplaced[number])
        self._metrics.machines_misplaced.set(sum(map(len, self._misplaced.values())))

    def summary(self) -> dict[str, int]:
        """Return how many machines are misplaced, by partition."""
        return {str(number): len(names) for number, names in sorted(self._misplaced.items()) if names}

    def _tell(self, number: int, names: list[str]) -> None:
        crc32 = all(crc32_partition(name, self._partitions) == number for name in names)
        cause = (
            "their sender places keys by CRC32, librdkafka's default: set partitioner=murmur2_random there"
            if crc32
            else "their senders use no key, or another partitioner: key by machine_id, placed by murmur2"
        )
        LOGGER.warning(
            "%s/%d: readings of %d machines (%s) belong into another partition by their id; their imported hours and "
            "parts of their state may be there. %s (docs/connecting.md)",
            *(READINGS, number, len(names), ", ".join(names[:_SHOWN]), cause),
        )
