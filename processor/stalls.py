"""Detection of partitions without progress although more records wait."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

FIRST_PATIENCE: Final = 8.0
_MOST_PATIENCE: Final = 80.0


@dataclass(slots=True)
class Stalls:
    """Detector of stalled partitions; waits longer after each unsuccessful attempt. clock: monotonic s."""

    clock: Callable[[], float]
    _seen: dict[tuple[str, int], tuple[int, float, float]] = field(default_factory=dict)

    def stalled(self, topic: str, positions: Mapping[int, int], lag: Mapping[int, int]) -> list[int]:
        """Return the partitions of a topic with waiting records and an unchanged position for too long.

        positions: next offset to process. lag: number of records from it on.
        """
        now = self.clock()
        for key in [key for key in self._seen if key[0] == topic and key[1] not in positions]:
            del self._seen[key]
        found = []
        for partition, position in positions.items():
            before, since, patience = self._seen.get((topic, partition), (-1, now, FIRST_PATIENCE))
            if position != before or not lag.get(partition):
                self._seen[topic, partition] = (position, now, FIRST_PATIENCE)
            elif now - since >= patience:
                self._seen[topic, partition] = (position, now, min(2 * patience, _MOST_PATIENCE))
                found.append(partition)
        return found
