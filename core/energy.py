"""Hourly energy of each machine, exact whatever the order of arrival.

A window is 60 minutes of sums in integers: sums of integers do not depend on their order, so late, early and
re-split readings lead to the same window. Energy weighs each minute by the time it stands for; gaps longer than
twice the usual interval of the window stay empty. An hour with too few readings to show an interval of its own goes
by the plant's: two stray readings are no complete hour.

A window is published once the partition's time has passed it, and kept for as long as its machine's own time has
not: a device that was cut off and now sends what it kept must find its hours as it left them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.energy import EnergyWindow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOUR: Final = 3600
REVISION_SECONDS: Final = 2 * HOUR
"""How long after its end and grace a window takes late readings and is published again."""
_MINUTES: Final = 60
_LEAST_TO_TELL: Final = 3  # minutes with a reading, below which an hour does not show how often its machine speaks
_UNIT: Final = 1e6  # readings are summed in millionths of their unit


@dataclass(slots=True)
class Window:
    """One hour of one machine while it can still change. Arrays are (60,), one cell a minute."""

    machine_id: str
    hour: int
    power: Ints = field(default_factory=lambda: np.zeros(_MINUTES, np.int64))
    power_count: Ints = field(default_factory=lambda: np.zeros(_MINUTES, np.int64))
    production: Ints = field(default_factory=lambda: np.zeros(_MINUTES, np.int64))
    production_count: Ints = field(default_factory=lambda: np.zeros(_MINUTES, np.int64))
    readings: int = 0
    peak: int = np.iinfo(np.int64).min
    published: int = -1  # newest revision that went out
    changed: bool = False

    @property
    def end(self) -> int:
        """Epoch second at which the hour is over."""
        return (self.hour + 1) * HOUR

    def add(self, minutes: Ints, power: Floats, production: Floats | None) -> None:
        """Counts readings at these minutes; power in kW and production in units/h, NaN where missing."""
        self.readings += len(minutes)
        self.changed = True
        known = ~np.isnan(power)
        fixed = np.rint(power[known] * _UNIT).astype(np.int64)
        np.add.at(self.power, minutes[known], fixed)
        np.add.at(self.power_count, minutes[known], 1)
        if len(fixed):
            self.peak = max(self.peak, int(fixed.max()))
        if production is not None:
            made = ~np.isnan(production)
            np.add.at(self.production, minutes[made], np.rint(production[made] * _UNIT).astype(np.int64))
            np.add.at(self.production_count, minutes[made], 1)

    def summary(self, revision: int, *, interval_seconds: float) -> EnergyWindow:
        """The window as it is published; interval_seconds: expected between two readings, by the plant."""
        planned = min(max(1, round(interval_seconds / 60)), _MINUTES)
        energy, hours = _integral(self.power, self.power_count, planned)
        production, production_hours = _integral(self.production, self.production_count, planned)
        share = min(1.0, hours)
        return EnergyWindow(
            machine_id=self.machine_id,
            start=datetime.fromtimestamp(self.hour * HOUR, UTC),
            end=datetime.fromtimestamp(self.end, UTC),
            energy_kwh=energy,
            mean_power_kw=energy / hours if hours else None,
            peak_power_kw=self.peak / _UNIT if hours else None,
            production=production if production_hours else None,
            readings=self.readings,
            expected_readings=max(self.readings, round(self.readings / share)) if share else self.readings,
            completeness=share,
            revision=revision,
        )

    def pack(self) -> dict[str, Any]:
        """The window as plain values for the changelog."""
        packed = {name: getattr(self, name) for name in self.__slots__}
        return {name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in packed.items()}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> "Window":
        """The inverse of `pack`."""
        values: dict[str, Any] = {
            name: np.frombuffer(value, np.int64).copy() if isinstance(value, bytes) else value
            for name, value in packed.items()
        }
        return cls(**values)


Windows = dict[tuple[str, int], Window]


def _integral(sums: Ints, counts: Ints, planned: int) -> tuple[float, float]:
    """Time integral in unit-hours, and the hours covered, of per-minute sums; planned: minutes between readings."""
    covered = np.flatnonzero(counts)
    if not len(covered):
        return 0.0, 0.0
    means = sums[covered] / counts[covered] / _UNIT
    steps = np.diff(covered)
    # of two middle steps the shorter: a gap must not make itself usual
    usual = int(np.sort(steps)[(len(steps) - 1) // 2]) if len(covered) >= _LEAST_TO_TELL else planned
    # a last reading may stand for time beyond the hour, as the first of the next hour lacks it; an hour is an hour
    stands = np.append(steps, max(_MINUTES - covered[-1], usual))
    weights = np.where(stands > 2 * usual, usual, stands)
    hours = min(float(weights.sum()), float(_MINUTES)) / _MINUTES
    return float((means * weights).sum() / weights.sum() * hours), hours


def accumulate(
    windows: Windows,
    *,
    machine_ids: tuple[str, ...],
    machine: Ints,
    timestamps: Floats,
    power: Floats,
    production: Floats | None,
    newest: Floats,
    grace_seconds: float,
) -> int:
    """Counts a batch into its windows, in place; returns how many readings came too late for any.

    machine: (n,) index into `machine_ids`. newest: (n,), the machine's own time when each reading arrived.
    """
    hours = np.floor_divide(timestamps, HOUR).astype(np.int64)
    late = (hours + 1) * HOUR + grace_seconds + REVISION_SECONDS < newest
    minutes = np.floor_divide(timestamps - hours * HOUR, 60).astype(np.int64)
    # one sort brings the readings of a window together
    order = np.lexsort((hours, machine))
    order = order[~late[order]]
    if not len(order):
        return int(late.sum())
    sorted_machine, sorted_hours = machine[order], hours[order]
    breaks = np.flatnonzero((np.diff(sorted_machine) != 0) | (np.diff(sorted_hours) != 0)) + 1
    for rows in np.split(order, breaks):
        key = (machine_ids[machine[rows[0]]], int(hours[rows[0]]))
        window = windows.get(key)
        if window is None:
            window = windows[key] = Window(*key)
        window.add(minutes[rows], power[rows], None if production is None else production[rows])
    return int(late.sum())


def close(
    windows: Windows,
    *,
    watermark: float,
    newest_of: Callable[[str], float],
    grace_seconds: float,
    interval_seconds: float,
) -> list[EnergyWindow]:
    """Summaries of the windows that are over and were not published as they are; drops those past revision.

    watermark: the partition's time, epoch s. newest_of: a machine's own time. interval_seconds: see `summary`.
    """
    closed = []
    for key, window in list(windows.items()):
        if window.end + grace_seconds > watermark:
            continue
        if window.changed:
            window.published += 1
            window.changed = False
            closed.append(window.summary(window.published, interval_seconds=interval_seconds))
        last_call = window.end + grace_seconds + REVISION_SECONDS
        if last_call < watermark and last_call < newest_of(window.machine_id):
            del windows[key]
    return closed


def packed_windows(windows: Windows, machine_ids: Iterable[str]) -> list[dict[str, Any]]:
    """The windows of these machines as plain values."""
    wanted = set(machine_ids)
    return [window.pack() for (machine_id, _), window in windows.items() if machine_id in wanted]
