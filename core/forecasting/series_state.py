"""State of the hourly series of one partition: hours, open forecasts, and their accuracy.

It changes a few times an hour, when an hour closes or a forecast is issued, and has changelog records of its own, so
that the frequent checkpoints stay small.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from core.arrays import HOUR, Floats
from core.forecasting.accuracy import ForecastAccuracy
from core.forecasting.hourly_history import IMPORTED, MEASURED, HourlyHistory, energy_of
from core.state.records import UnknownStateFormat, refusal
from schemas.energy import EnergyWindow
from schemas.forecasts import is_plant_series

Outgoing = tuple[str, str, bytes]
"""Topic, key and value of a message."""
HOURS: Final = "h"
MEMORY: Final = "m"
_FORMAT: Final = 1


@dataclass(slots=True)
class SeriesState:
    """One series. issued: origin of the newest forecast, hours since the epoch, -1 before the first.

    outbox: messages published with that forecast. saved_with: number of the first save that held it.
    memory: of the forecaster, opaque here.
    """

    history: HourlyHistory
    accuracy: ForecastAccuracy = field(default_factory=ForecastAccuracy)
    issued: int = -1
    outbox: tuple[Outgoing, ...] = ()
    saved_with: int = -1
    memory: bytes = b""

    def record(self, hour: int, energy_kwh: float, source: int) -> tuple[bool, Floats | None]:
        """Record an hour; return whether anything changed, and the sums that matured with it."""
        changed = self.history.put(hour, energy_kwh, source)
        if source != MEASURED or hour < self.accuracy.reached:
            return changed, None
        return True, self.accuracy.mature(hour, energy_kwh)


@dataclass(slots=True)
class SeriesTable:
    """The series of one partition; `changed_records` returns what must be saved.

    capacity: hours of history. waiting: machines with a new hour since the last forecast.
    saves: number of the newest save that held forecasts.
    """

    capacity: int
    states: dict[str, SeriesState] = field(default_factory=dict)
    waiting: dict[str, float] = field(default_factory=dict)
    saves: int = 0
    _changed: set[str] = field(default_factory=set)
    _remembered: set[str] = field(default_factory=set)
    _unsent: set[str] = field(default_factory=set)

    def of(self, series_id: str) -> SeriesState:
        """Return the state of a series; a new one for an unknown series."""
        if series_id not in self.states:
            self.states[series_id] = SeriesState(HourlyHistory(self.capacity))
        return self.states[series_id]

    def record_window(self, window: EnergyWindow, *, at: float) -> Floats | None:
        """Record a closed window; return the sums that matured. at: seconds of any clock."""
        hour = int(window.start.timestamp()) // HOUR
        return self.record_measured(window.machine_id, hour, energy_of(window), at=at)

    def record_measured(self, series_id: str, hour: int, energy_kwh: float, *, at: float) -> Floats | None:
        """Record one measured hour, NaN where too little was measured; return the sums that matured."""
        state = self.of(series_id)
        changed, matured = state.record(hour, energy_kwh, MEASURED)
        if changed:
            self._changed.add(series_id)
        self._wait(series_id, at)
        return matured

    def record_imported(self, series_id: str, hour: int, energy_kwh: float, *, at: float) -> bool:
        """Record an imported hour; return whether it changed anything."""
        state = self.of(series_id)
        # an import is of the past: it does not advance time where a machine is measured
        if state.history.end <= hour and state.accuracy.reached:
            return False
        changed, _ = state.record(hour, energy_kwh, IMPORTED)
        if changed:
            self._changed.add(series_id)
            self._wait(series_id, at)
        return changed

    def _wait(self, series_id: str, at: float) -> None:
        state = self.states[series_id]
        # a plant needs no fit: it is summed when its machines have their forecasts
        if state.issued < state.history.end and not is_plant_series(series_id):
            self.waiting.setdefault(series_id, at)

    def issue(self, series_id: str, origin: int, outbox: tuple[Outgoing, ...], *, memory: bytes) -> None:
        """Keep the messages of a forecast until they are saved and published; its hours are in `accuracy` already."""
        state = self.states[series_id]
        state.issued, state.outbox, state.saved_with = origin, outbox, -1
        self._changed.add(series_id)
        self._unsent.add(series_id)
        if memory != state.memory:
            state.memory = memory
            self._remembered.add(series_id)

    def remember(self, series_id: str, memory: bytes) -> None:
        """Keep the memory of a forecaster between two forecasts."""
        self.states[series_id].memory = memory
        self._remembered.add(series_id)

    def changed_records(self) -> Iterator[tuple[str, bytes]]:
        """Return (kind/series, record) of all changes since the last call."""
        changed, remembered = self._changed, self._remembered
        self._changed, self._remembered = set(), set()
        fresh = {series_id for series_id in self._unsent if self.states[series_id].saved_with < 0}
        if fresh:
            self.saves += 1
        for series_id in fresh:
            self.states[series_id].saved_with = self.saves
        for series_id in sorted(remembered):
            document = {"format": _FORMAT, "series": series_id, "memory": self.states[series_id].memory}
            yield f"{MEMORY}/{series_id}", msgspec.msgpack.encode(document)
        for series_id in sorted(changed):
            state = self.states[series_id]
            document = {
                "format": _FORMAT,
                "series": series_id,
                "history": state.history.pack(),
                "accuracy": state.accuracy.pack(),
                "issued": state.issued,
                "outbox": state.outbox,
                "saved_with": state.saved_with,
            }
            yield f"{HOURS}/{series_id}", msgspec.msgpack.encode(document)

    def unsent(self) -> list[Outgoing]:
        """Return the messages of saved forecasts that were not returned before."""
        due = [message for series_id in sorted(self._unsent) for message in self.states[series_id].outbox]
        self._unsent = set()
        return due

    def restore(self, records: Iterable[bytes], *, at: float) -> list[Outgoing]:
        """Restore saved records; return the messages that may not have been published, to be published again.

        Only those of the newest save can be missing: before a save, all messages of the one before are acknowledged.

        Raises:
            UnknownStateFormat: a record was written by an incompatible version.
        """
        for record in records:
            document: dict[str, Any] = msgspec.msgpack.decode(record)
            if document.get("format") != _FORMAT:
                found = f"hours in format {document.get('format')}"
                raise UnknownStateFormat(refusal(found, reads=_FORMAT))
            state = self.of(document["series"])
            if "memory" in document:
                state.memory = document["memory"]
                continue
            state.history = HourlyHistory.unpack(document["history"], capacity=self.capacity)
            state.accuracy = ForecastAccuracy.unpack(document["accuracy"])
            state.issued, state.outbox = document["issued"], tuple(map(tuple, document["outbox"]))
            state.saved_with = document["saved_with"]
            self._wait(document["series"], at)
        self.saves = max((state.saved_with for state in self.states.values()), default=-1)
        self.saves = max(self.saves, 0)
        return [message for state in self.states.values() if state.saved_with == self.saves for message in state.outbox]
