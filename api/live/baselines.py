"""Machine states of the processor, read from the changelog of its state.

The newest records of each machine are kept encoded, and decoded on request.
"""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from api.live.records import ViewRecord
from core.alerting.suppression import Hold, holds_at
from core.plant import Plant
from core.state.fleet import FleetState
from core.state.records import BASELINE, MACHINE
from core.state.tracks import Tracks

LOGGER: Final = logging.getLogger("nexova.api.baselines")
_MOST_OPEN: Final = 1_024


class Baselines:
    """Baselines by machine. `take` and `of` may run in different threads: each only replaces whole values."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._records: dict[tuple[int, str], bytes] = {}
        self._open: OrderedDict[str, tuple[bytes, Tracks]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def take(self, records: Sequence[ViewRecord]) -> None:
        """Add records of the changelog."""
        for record in records:
            kind = record.identity.partition("/")[0]
            if kind not in {MACHINE, BASELINE}:
                continue
            if record.value is None:
                self._records.pop((record.partition, record.identity), None)
            else:
                self._records[record.partition, record.identity] = record.value

    def of(self, machine_id: str, partition: int) -> Tracks | None:
        """Return the state of a machine in `partition` as a table of one row; None if unknown."""
        record = self._records.get((partition, f"{MACHINE}/{machine_id}"))
        known = self._open.get(machine_id)
        if known is not None and known[0] is record:
            return known[1]
        state = self._state_of(machine_id, partition)
        if state is None or record is None:
            return None
        slot = state.slots[machine_id]
        columns: list[Any] = [column[slot : slot + 1].copy() for column in state.tracks]
        tracks = Tracks(*columns)
        self._open[machine_id] = (record, tracks)
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        return tracks

    def holds(self, machine_id: str, partition: int) -> list[Hold]:
        """Return what keeps alerts of a machine quiet at its newest reading; nothing where it is not known."""
        state = self._state_of(machine_id, partition)
        if state is None:
            return []
        slot = state.slots[machine_id]
        return holds_at(slot, float(state.tracks.last_seen[slot]), state)

    def _state_of(self, machine_id: str, partition: int) -> FleetState | None:
        keys = [f"{kind}/{machine_id}" for kind in (BASELINE, MACHINE)]
        log = [(key.encode(), self._records.get((partition, key))) for key in keys]
        if log[-1][1] is None:
            return None
        state = FleetState(self._plant)
        try:
            state.restore([(key, value) for key, value in log if value is not None])
        except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
            LOGGER.warning("the state of %s cannot be read: %s", machine_id, error)
            return None
        return state
