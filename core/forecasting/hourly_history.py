"""Hourly history of one machine: input of the forecaster, five bytes an hour.

Hours may arrive in any order and repeatedly; the result is the same. Measured hours take precedence over imported
ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import Features
from schemas.energy import EnergyWindow

Singles = Features
Bytes = NDArray[np.uint8]

MISSING: Final = 0
IMPORTED: Final = 1
MEASURED: Final = 2
LEAST_COMPLETENESS: Final = 0.5
"""Minimum covered share of an hour; below it, the hour is missing."""


@dataclass(slots=True)
class HourlyHistory:
    """Hourly energy in kWh, NaN where missing. values, sources: (n,), from `first_hour`, hours since the epoch, UTC.

    capacity: hours kept, counted back from the newest.
    """

    capacity: int
    first_hour: int = 0
    values: Singles = field(default_factory=lambda: np.empty(0, np.float32))
    sources: Bytes = field(default_factory=lambda: np.empty(0, np.uint8))

    @property
    def end(self) -> int:
        """Hour after the newest one; 0 while there is none."""
        return self.first_hour + len(self.values)

    def at(self, hour: int) -> float:
        """Return the energy of an hour, kWh; NaN if unknown."""
        place = hour - self.first_hour
        return float(self.values[place]) if 0 <= place < len(self.values) else float("nan")

    def put(self, hour: int, energy_kwh: float, source: int) -> bool:
        """Set an hour, kWh, and return whether anything changed; NaN extends the history by a missing hour."""
        moved = self._reach(hour)
        place = hour - self.first_hour
        if place < 0 or np.isnan(energy_kwh) or source < self.sources[place]:
            return moved
        value = np.float32(energy_kwh)
        changed = bool(self.values[place] != value or self.sources[place] != source)
        self.values[place], self.sources[place] = value, source
        return moved or changed

    def _reach(self, hour: int) -> bool:
        """Extend the arrays to an hour if the capacity allows it; return whether the newest hour changed."""
        if not len(self.values):
            self.first_hour = hour
        ahead = hour + 1 - self.end
        before = min(self.first_hour - hour, self.capacity - len(self.values))
        if ahead > 0:
            first = max(self.first_hour, hour + 1 - self.capacity)
            kept = slice(max(0, first - self.first_hour), None)
            lost = min(ahead, self.capacity)
            self.values = np.concatenate([self.values[kept], np.full(lost, np.nan, np.float32)])[-self.capacity :]
            self.sources = np.concatenate([self.sources[kept], np.zeros(lost, np.uint8)])[-self.capacity :]
            self.first_hour = hour + 1 - len(self.values)
        elif before > 0 and self.end - hour <= self.capacity:
            self.values = np.concatenate([np.full(before, np.nan, np.float32), self.values])
            self.sources = np.concatenate([np.zeros(before, np.uint8), self.sources])
            self.first_hour -= before
        return ahead > 0

    def pack(self) -> dict[str, Any]:
        """Return plain values for the changelog."""
        return {"first_hour": self.first_hour, "values": self.values.tobytes(), "sources": self.sources.tobytes()}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any], *, capacity: int) -> "HourlyHistory":
        """Return the inverse of `pack`; a smaller capacity drops the oldest hours."""
        values = np.frombuffer(packed["values"], np.float32)[-capacity:].copy()
        sources = np.frombuffer(packed["sources"], np.uint8)[-capacity:].copy()
        dropped = len(packed["sources"]) - len(sources)
        return cls(capacity=capacity, first_hour=packed["first_hour"] + dropped, values=values, sources=sources)


def energy_of(window: EnergyWindow) -> float:
    """Return the energy of a window's whole hour, kWh, from its mean power; NaN if too little of it is covered."""
    if window.mean_power_kw is None or window.completeness < LEAST_COMPLETENESS:
        return float("nan")
    return window.mean_power_kw
