"""Detection of misplaced machines, whose readings arrive in another partition than murmur2 of their id gives.

The state of a machine is kept by partition, and imported hours are placed by murmur2 of the machine's id. A sender
without keys, or with another partitioner, splits a machine over several states, or separates it from its hours.
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
    """Watch over misplaced machines, logged once for each partition. partitions: of the readings topic."""

    def __init__(self, partitions: int, metrics: ProcessorMetrics) -> None:
        self._partitions = partitions
        self._metrics = metrics
        self._checked: dict[int, tuple[Partition, int]] = {}
        self._misplaced: dict[int, list[str]] = {}
        self._logged: set[int] = set()

    def check(self, owned: Mapping[int, Partition]) -> None:
        """Check the machines that are new since the last call. owned: this worker's partitions by number."""
        for number in [number for number in self._checked if number not in owned]:
            del self._checked[number], self._misplaced[number]
        for number, partition in owned.items():
            ids = partition.state.ids
            before, seen = self._checked.get(number, (partition, 0))
            if before is not partition or seen > len(ids):
                seen = 0
            if not seen:
                self._misplaced[number] = []
            self._misplaced[number] += [
                name for name in ids[seen:] if murmur2_partition(name, self._partitions) != number
            ]
            self._checked[number] = partition, len(ids)
            if self._misplaced[number] and number not in self._logged:
                self._logged.add(number)
                self._log(number, self._misplaced[number])
        self._metrics.machines_misplaced.set(sum(map(len, self._misplaced.values())))

    def summary(self) -> dict[str, int]:
        """Return the number of misplaced machines by partition, without zeros."""
        return {str(number): len(names) for number, names in sorted(self._misplaced.items()) if names}

    def _log(self, number: int, names: list[str]) -> None:
        crc32 = all(crc32_partition(name, self._partitions) == number for name in names)
        cause = (
            "Their sender places keys by CRC32, librdkafka's default: set partitioner=murmur2_random there"
            if crc32
            else "Their senders use no key, or another partitioner: key by machine_id, placed by murmur2"
        )
        LOGGER.warning(
            "%s/%d: readings of %d machines (%s) belong to another partition by their id; their imported hours and "
            "parts of their state may be there. %s (docs/connecting.md)",
            *(READINGS, number, len(names), ", ".join(names[:_SHOWN]), cause),
        )
