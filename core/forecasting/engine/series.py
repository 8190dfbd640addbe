"""Input and output of forecasters, in plain arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from core.arrays import Floats, Ints

IMPOSSIBLE: Final = 1e30
"""Absolute values from here on count as missing."""
LEVEL: Final = 0.8
"""Share of what comes that lies between the bounds of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlySeries:
    """One value an hour, (n,), NaN where it is missing.

    first_hour: hours since the epoch on the series' own clock, which is UTC or a plant's local time as the caller
    likes; days and weekdays are those of that clock.
    """

    first_hour: int
    values: Floats

    @classmethod
    def nothing(cls) -> "HourlySeries":
        """Return a series that has not begun."""
        return cls(first_hour=0, values=np.array([], dtype=np.float64))

    @property
    def end(self) -> int:
        """The first hour that is not known yet."""
        return self.first_hour + len(self.values)

    def until(self, hour: int) -> "HourlySeries":
        """Return the series as it was known at the beginning of `hour`."""
        return HourlySeries(first_hour=self.first_hour, values=self.values[: max(0, hour - self.first_hour)])

    def since(self, hour: int) -> "HourlySeries":
        """Return the series without what was before `hour`."""
        skipped = min(max(0, hour - self.first_hour), len(self.values))
        return HourlySeries(first_hour=self.first_hour + skipped, values=self.values[skipped:])

    def at(self, hours: Ints) -> Floats:
        """Return the values at these hours, NaN where none is known; any shape."""
        places = hours - self.first_hour
        inside = (places >= 0) & (places < len(self.values))
        found = np.full(hours.shape, np.nan)
        found[inside] = self.values[places[inside]]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Days that are unlike their weekday; holidays: day numbers since the epoch on the series' clock."""

    holidays: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The next h hours of a series in its unit: (h,) each, lower <= value <= upper.

    model: its name. wape and coverage: how the system's own answers did, over all hours of the origins that are
    complete, None before there is one. compared: the same WAPE of each member. members: the forecast of each, (h,).
    """

    value: Floats
    lower: Floats
    upper: Floats
    model: str
    wape: float | None = None
    coverage: float | None = None
    compared: Mapping[str, float] = field(default_factory=dict)
    members: Mapping[str, Floats] = field(default_factory=dict)
