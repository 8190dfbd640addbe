"""In-memory content of a worker's partitions: positions, machine states, and hourly series with their forecasts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from core.forecasting.series_state import SeriesTable
from core.plant import Plant
from core.state.fleet import FleetState

PLANT_PARTITION: Final = 0
"""The partition whose owner handles the plant as a whole."""


class SourceRecord(Protocol):
    """A record of the log; timestamp: ms since the epoch, by its producer or the broker."""

    offset: int
    timestamp: int
    value: bytes | None


@dataclass(slots=True, kw_only=True)
class Position:
    """Position up to which one partition of a topic was processed.

    next_offset: offset of the first record that is not yet processed.
    set_back: how often the partition had been set back before the fetch that did not follow; None: it followed.
    """

    next_offset: int
    set_back: int | None = None

    def place_of(self, first: int, *, reread: int) -> Literal["follows", "ahead", "outdated"]:
        """Return the relation of a fetch requested at offset `first`; "ahead": fetch from `next_offset` first.

        A fetch from before a rebalance may arrive after it, ahead of unsaved records, which would count as replayed if
        it were processed. Offsets without a record inside a fetch are no gap: transactions leave such offsets.
        """
        if first <= self.next_offset:
            self.set_back = None
            return "follows"
        if self.set_back is not None and reread <= self.set_back:
            return "outdated"
        self.set_back = reread
        return "ahead"

    def advance(self, next_offset: int) -> None:
        """Count all records before `next_offset` as processed."""
        self.next_offset = max(self.next_offset, next_offset)


@dataclass(slots=True, kw_only=True)
class Partition(Position):
    """One partition of readings: its position and the state of its machines.

    series: hours and forecasts of its machines; only the event loop touches them.
    imports: position in the partition of the same number of imported history.
    heard_at: wall clock, epoch s, of the last batch of records.
    suspect_until: offset before which a reading made the rules fail; batches before it are assessed with care.
    bytes_read: of readings since the last complete checkpoint.
    spoken: slots of machines with messages published since they were saved.
    statuses_due: slots of machines whose status changed since `statuses_sent_at`, epoch s.
    """

    number: int
    state: FleetState
    series: SeriesTable
    imports: Position
    heard_at: float
    suspect_until: int = 0
    bytes_read: int = 0
    spoken: set[int] = field(default_factory=set)
    statuses_due: set[int] = field(default_factory=set)
    statuses_sent_at: float = float("-inf")


class PartitionTable(Mapping[int, Partition]):
    """The partitions that this worker owns, by number."""

    def __init__(self, plant: Plant, *, history_hours: int) -> None:
        """Start with no partition; history_hours: length of a series' energy history."""
        self._plant = plant
        self._history_hours = history_hours
        self._held: dict[int, Partition] = {}
        self._suspects: dict[int, int] = {}

    def __getitem__(self, number: int) -> Partition:
        """Return a held partition; raise KeyError if it is not held."""
        return self._held[number]

    def __iter__(self) -> Iterator[int]:
        """Iterate over the numbers of the partitions held."""
        return iter(self._held)

    def __len__(self) -> int:
        """Return the number of held partitions."""
        return len(self._held)

    def owns(self, held: Partition) -> bool:
        """Return whether `held` is still in use; after a rebalance another one may have its number."""
        return self._held.get(held.number) is held

    def adopt(
        self,
        number: int,
        *,
        next_offset: int,
        next_import: int,
        at: float,
        state: FleetState | None = None,
        series: SeriesTable | None = None,
    ) -> Partition:
        """Add a partition with its restored state, if any, to continue at these offsets. at: wall clock, epoch s."""
        held = Partition(
            number=number,
            state=self.new_state() if state is None else state,
            series=self.new_series() if series is None else series,
            imports=Position(next_offset=next_import),
            heard_at=at,
            suspect_until=self._suspects.get(number, 0),
            next_offset=next_offset,
        )
        self._held[number] = held
        return held

    def new_state(self) -> FleetState:
        """Return the state of a partition without machines."""
        return FleetState(self._plant)

    def new_series(self) -> SeriesTable:
        """Return a table without series."""
        return SeriesTable(self._history_hours)

    def use_policy(self, plant: Plant) -> None:
        """Continue by the alert policy of a changed plant file; between two batches only."""
        self._plant = plant
        for held in self._held.values():
            held.state.use_policy(plant)

    def drop(self) -> None:
        """Drop all partitions; unsaved readings will be read again."""
        self._held.clear()
        self._suspects.clear()

    def suspect(self, number: int, *, until: int) -> None:
        """Assess the readings before an offset with care once the partition is adopted anew."""
        self._suspects[number] = until

    def drop_one(self, number: int) -> None:
        """Drop a partition; unsaved readings will be read again."""
        self._held.pop(number, None)
