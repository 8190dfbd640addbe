"""Table of the known-future inputs of all machines, by the hour."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.arrays import Floats
from core.forecasting.engine.inputs import MOST_INPUTS, KnownInputs

AHEAD_HOURS: Final = 366 * 24
"""Hours that a plan may reach ahead; later ones are dropped."""


@dataclass(slots=True, kw_only=True)
class _Input:
    """values: (n,) from `first_hour`, hours of UTC since the epoch; float32, NaN where there is no plan."""

    first_hour: int
    values: NDArray[np.float32]


@dataclass(slots=True, kw_only=True)
class InputHours:
    """The inputs by machine and name. keep_hours: of the past of each; older ones are dropped."""

    keep_hours: int
    _inputs: dict[str, dict[str, _Input]] = field(default_factory=dict)

    def put(self, machine_id: str, name: str, first_hour: int, values: Floats, *, now: int) -> str | None:
        """Set consecutive hours of an input; NaN clears a planned hour. now: hours since the epoch.

        Returns the reason if nothing was set: too many inputs, or no hour between the kept past and a year ahead.
        """
        inputs = self._inputs.setdefault(machine_id, {})
        if name not in inputs and len(inputs) >= MOST_INPUTS:
            return f"{machine_id} has {MOST_INPUTS} inputs already, as many as can be used; leave out {name}"
        begin, end = max(first_hour, now - self.keep_hours), min(first_hour + len(values), now + AHEAD_HOURS)
        if begin >= end:
            return f"{name} of {machine_id} has no hour of the last {self.keep_hours} or the next {AHEAD_HOURS}"
        known = inputs.get(name)
        oldest = begin if known is None else max(min(known.first_hour, begin), now - self.keep_hours)
        newest = end if known is None else max(known.first_hour + len(known.values), end)
        joined = np.full(newest - oldest, np.nan, np.float32)
        if known is not None:
            kept = known.values[max(0, oldest - known.first_hour) :]
            place = max(0, known.first_hour - oldest)
            joined[place : place + len(kept)] = kept
        joined[begin - oldest : end - oldest] = values[begin - first_hour : end - first_hour]
        inputs[name] = _Input(first_hour=oldest, values=joined)
        return None

    def of(self, machine_id: str, first_hour: int, end: int) -> KnownInputs | None:
        """Return the inputs of a machine over [first_hour, end), hours of UTC; None where none has a known hour."""
        rows: dict[str, Floats] = {}
        for name, known in sorted(self._inputs.get(machine_id, {}).items()):
            places = np.arange(first_hour, end) - known.first_hour
            inside = (places >= 0) & (places < len(known.values))
            row = np.full(end - first_hour, np.nan)
            row[inside] = known.values[places[inside]]
            if not np.isnan(row).all():
                rows[name] = row
        if not rows:
            return None
        return KnownInputs(names=tuple(rows), first_hour=first_hour, values=np.stack(list(rows.values())))
