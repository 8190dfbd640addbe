"""Hourly energy of each machine, exact whatever the order of arrival.

A window is 60 minutes of sums in integers: sums of integers do not depend on their order, so late, early and
re-split readings lead to the same window. Energy weighs each minute by the time it stands for; gaps longer than
twice the usual interval of the window stay empty. An hour with too few readings to show an interval of its own goes
by the plant's: two stray readings are no complete hour. Where the plant has an energy counter, its register goes before
power (`core.energy.meter`).

A window is published once the partition's time has passed it, and kept for as long as its machine's own time has
not: a device that was cut off and now sends what it kept must find its hours as it left them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.energy.meter import CounterHour, CounterRules, hours_between, join
from schemas.energy import EnergyWindow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOUR: Final = 3600
REVISION_SECONDS: Final = 2 * HOUR
"""How long after its end and grace a window takes late readings and is published again."""
_MINUTES: Final = 60
_LEAST_TO_TELL: Final = 3  # minutes with a reading, below which an hour does not show how often its machine speaks
_UNIT: Final = 1e6  # readings are summed in millionths of their unit
_ENOUGH: Final = 0.5  # of an hour that a counter covers, from which on it goes before power that covers more


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
    counter: CounterHour | None = None

    @property
    def end(self) -> int:
        """Epoch second at which the hour is over."""
        return (self.hour + 1) * HOUR

    def add(self, minutes: Ints, power: Floats | None, production: Floats | None) -> None:
        """Counts readings at these minutes; power in kW and production in units/h, NaN where missing."""
        self.readings += len(minutes)
        self.changed = True
        if power is not None:
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

    def summary(
        self, revision: int, *, interval_seconds: float, counter_rules: CounterRules | None = None
    ) -> EnergyWindow:
        """The window as it is published; interval_seconds: expected between two readings, by the plant."""
        planned = min(max(1, round(interval_seconds / 60)), _MINUTES)
        energy, power_hours = _integral(self.power, self.power_count, planned)
        production, production_hours = _integral(self.production, self.production_count, planned)
        hours, steps = power_hours, None
        if self.counter is not None and counter_rules is not None:
            counted = self.counter.counted(counter_rules)
            if counted.hours >= min(_ENOUGH, power_hours):
                energy, hours, steps = counted.energy_kwh, counted.hours, counted.steps
        share = min(1.0, hours)
        return EnergyWindow(
            machine_id=self.machine_id,
            start=datetime.fromtimestamp(self.hour * HOUR, UTC),
            end=datetime.fromtimestamp(self.end, UTC),
            energy_kwh=energy,
            mean_power_kw=energy / hours if hours else None,
            peak_power_kw=self.peak / _UNIT if power_hours else None,
            production=production if production_hours else None,
            readings=self.readings,
            expected_readings=max(self.readings, round(self.readings / share)) if share else self.readings,
            completeness=share,
            revision=revision,
            counter=steps,
        )

    def pack(self) -> dict[str, Any]:
        """The window as plain values for the changelog."""
        packed = {name: getattr(self, name) for name in self.__slots__ if name != "counter"}
        own = {name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in packed.items()}
        return own if self.counter is None else own | {"counter": self.counter.pack()}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> "Window":
        """The inverse of `pack`."""
        values: dict[str, Any] = {
            name: np.frombuffer(value, np.int64).copy() if isinstance(value, bytes) else value
            for name, value in packed.items()
        }
        if "counter" in values:  # not in records of before there were counters
            values["counter"] = CounterHour.unpack(values["counter"])
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
    power: Floats | None,
    production: Floats | None,
    newest: Floats,
    grace_seconds: float,
    register: Floats | None = None,
    counter_rules: CounterRules | None = None,
) -> int:
    """Counts a batch into its windows, in place; returns how many readings came too late for any.

    machine: (n,) index into `machine_ids`. newest: (n,), the machine's own time when each reading arrived.
    register: (n,) of the energy counter in kWh, where the plant has one; with its rules.
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
    unlinked: dict[str, float] = {}
    for rows in np.split(order, breaks):
        key = (machine_ids[machine[rows[0]]], int(hours[rows[0]]))
        window = windows.get(key)
        if window is None:
            window = windows[key] = Window(*key)
        window.add(
            minutes[rows],
            None if power is None else power[rows],
            None if production is None else production[rows],
        )
        if register is not None:
            now = float(newest[rows].max())
            if _count(window, timestamps[rows], register[rows], now=now):
                unlinked[window.machine_id] = max(now, unlinked.get(window.machine_id, now))
    if unlinked and counter_rules is not None:
        _link(windows, unlinked, counter_rules, grace_seconds=grace_seconds)
    return int(late.sum())


def _count(window: Window, timestamps: Floats, register: Floats, *, now: float) -> bool:
    """Takes register readings of a window in; whether other windows of its machine, whose time is `now`, need them."""
    if window.counter is None:
        window.counter = CounterHour(window.hour * HOUR)
        window.counter.add(timestamps, register)
        return True
    first, last = window.counter.add(timestamps, register)
    return first or (last and now >= window.end)


def _link(windows: Windows, newest_of: Mapping[str, float], rules: CounterRules, *, grace_seconds: float) -> None:
    """Tells each window of these machines its neighbours' registers, and makes windows of hours between two of them."""
    own: dict[str, list[Window]] = defaultdict(list)
    for (machine_id, _), window in windows.items():
        if machine_id in newest_of:
            own[machine_id].append(window)
    for machine_id, group in own.items():
        known = join([window.counter for window in group if window.counter is not None], rules)
        for hour in hours_between(known, rules):
            # one that is past its revisions may have been published and dropped
            open_still = (hour + 1) * HOUR + grace_seconds + REVISION_SECONDS >= newest_of[machine_id]
            if open_still and (machine_id, hour) not in windows:
                window = windows[machine_id, hour] = Window(machine_id, hour, changed=True)
                group.append(window)
        for window in group:
            if window.counter is None:
                window.counter = CounterHour(window.hour * HOUR)
            before = None if window.changed else window.counter.counted(rules)
            if window.counter.see(known) and not window.changed:
                window.changed = before != window.counter.counted(rules)


def close(
    windows: Windows,
    *,
    watermark: float,
    newest_of: Callable[[str], float],
    grace_seconds: float,
    interval_seconds: float,
    counter_rules: CounterRules | None = None,
) -> list[EnergyWindow]:
    """Summaries of the windows that are over and were not published as they are; drops those past revision.

    watermark: the partition's time, epoch s. newest_of: a machine's own time. interval_seconds: see `summary`.
    An hour by a counter is over when no reading on time can say more of it, which may be one of the next hour.
    """
    closed = []
    for key, window in list(windows.items()):
        if window.end + grace_seconds > watermark:
            continue
        if counter_rules is not None and _may_grow(window, counter_rules, watermark - grace_seconds):
            continue
        if window.changed:
            window.published += 1
            window.changed = False
            closed.append(
                window.summary(window.published, interval_seconds=interval_seconds, counter_rules=counter_rules)
            )
        last_call = window.end + grace_seconds + REVISION_SECONDS
        if last_call < watermark and last_call < newest_of(window.machine_id):
            del windows[key]
    return closed


def _may_grow(window: Window, rules: CounterRules, now: float) -> bool:
    """Whether a reading of the next hour that is on time can still say more of one that was not published yet."""
    return window.counter is not None and window.published < 0 and window.counter.settled_at(rules) > now


def packed_windows(windows: Windows, machine_ids: Iterable[str]) -> list[dict[str, Any]]:
    """The windows of these machines as plain values."""
    wanted = set(machine_ids)
    return [window.pack() for (machine_id, _), window in windows.items() if machine_id in wanted]
