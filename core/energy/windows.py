"""Hourly energy of each machine, exact whatever the order of arrival.

A window is 60 minutes of sums in integers: sums of integers do not depend on their order, so late, early and
re-split readings lead to the same window. Energy weighs each minute by the time it stands for; gaps longer than
twice the usual interval of the window stay empty. An hour with too few readings to show an interval of its own goes
by the plant's: two stray readings are no complete hour. Where the plant has an energy counter, its register goes before
power (`core.energy.meter`).

Windows are kept for as long as their machine's own time has not passed them: a device that was cut off and now sends
what it kept must find its hours as it left them. When they are published is the matter of `core.energy.closing`.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
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
_NO_PEAK: Final = int(np.iinfo(np.int64).min)
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
    peak: int = _NO_PEAK
    published: int = -1  # newest revision that went out
    final: bool = False  # whether that one was
    changed: bool = False
    counter: CounterHour | None = None
    said_at: float = float("-inf")  # when by the clock that went out, not kept over a restart

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
        self, revision: int, *, interval_seconds: float, counter_rules: CounterRules | None = None, final: bool = True
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
            final=final,
            counter=steps,
        )

    @property
    def settled(self) -> bool:
        """Whether it was published as it is, so that only a late reading changes it."""
        return self.final and not self.changed

    @property
    def version(self) -> Hashable:
        """What is another value whenever a settled window is another one."""
        edges = None if self.counter is None else (self.counter.before, self.counter.after)
        return self.hour, self.published, edges

    def pack(self) -> list[Any]:
        """The window as plain values for the changelog: of each row of cells, those minutes that hold a reading."""
        packed: list[Any] = [self.hour, self.published, self.final, self.changed, self.readings, self.peak]
        for sums, counts in ((self.power, self.power_count), (self.production, self.production_count)):
            minutes = np.flatnonzero(counts)
            packed += [minutes.astype(np.uint8).tobytes(), sums[minutes].tolist(), counts[minutes].tolist()]
        packed.append(None if self.counter is None else self.counter.pack())
        return packed

    @classmethod
    def unpack(cls, machine_id: str, packed: Sequence[Any]) -> "Window":
        """Return what `pack` packed."""
        hour, published, final, changed, readings, peak, *cells, counter = packed
        window = cls(machine_id, hour, readings=readings, peak=peak, published=published, final=final, changed=changed)
        for sums, counts, place in (
            (window.power, window.power_count, 0),
            (window.production, window.production_count, 3),
        ):
            minutes = np.frombuffer(cells[place], np.uint8)
            sums[minutes], counts[minutes] = cells[place + 1], cells[place + 2]
        if counter is not None:
            window.counter = CounterHour.unpack(counter)
        return window


class Windows:
    """The windows of the machines of one partition, by machine and hour.

    due: for each machine with windows, its own time, epoch s, from which the next of them closes or is dropped.
    late: those that were published and have changed since.
    """

    __slots__ = ("_by_machine", "due", "late")

    def __init__(self) -> None:
        self._by_machine: dict[str, dict[int, Window]] = {}
        self.due: dict[str, float] = {}
        self.late: set[tuple[str, int]] = set()

    def __getitem__(self, key: tuple[str, int]) -> Window:
        return self._by_machine[key[0]][key[1]]

    def get(self, key: tuple[str, int]) -> Window | None:
        """Return a window, None where there is none."""
        return self.of(key[0]).get(key[1])

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key[1] in self._by_machine.get(key[0], ())

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return ((machine_id, hour) for machine_id, own in self._by_machine.items() for hour in own)

    def __len__(self) -> int:
        return sum(map(len, self._by_machine.values()))

    def values(self) -> Iterator[Window]:
        """Return all windows."""
        return (window for own in self._by_machine.values() for window in own.values())

    def of(self, machine_id: str) -> Mapping[int, Window]:
        """Return the windows of a machine, by hour."""
        return self._by_machine.get(machine_id, _EMPTY)

    def put(self, window: Window) -> Window:
        """Take a window in, which is looked at when next its machine's windows are closed."""
        self._by_machine.setdefault(window.machine_id, {})[window.hour] = window
        self.due[window.machine_id] = min(window.end, self.due.get(window.machine_id, np.inf))
        self.note(window)
        return window

    def note(self, window: Window) -> None:
        """Note that a window has changed, so that one that was published is published again."""
        if window.changed and window.published >= 0:
            self.late.add((window.machine_id, window.hour))

    def drop(self, machine_id: str, hour: int | None = None) -> None:
        """Drop a window of a machine, or all of them."""
        own = self._by_machine.get(machine_id, {})
        if hour is not None:
            del own[hour]
        if hour is None or not own:
            self._by_machine.pop(machine_id, None)
            self.due.pop(machine_id, None)


_EMPTY: Final[Mapping[int, Window]] = {}


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
        window = windows.get(key) or windows.put(Window(*key))
        window.add(
            minutes[rows],
            None if power is None else power[rows],
            None if production is None else production[rows],
        )
        windows.note(window)
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
    for machine_id in newest_of:
        group = list(windows.of(machine_id).values())
        known = join([window.counter for window in group if window.counter is not None], rules)
        for hour in hours_between(known, rules):
            # one that is past its revisions may have been published and dropped
            open_still = (hour + 1) * HOUR + grace_seconds + REVISION_SECONDS >= newest_of[machine_id]
            if open_still and (machine_id, hour) not in windows:
                group.append(windows.put(Window(machine_id, hour, changed=True)))
        for window in group:
            if window.counter is None:
                window.counter = CounterHour(window.hour * HOUR)
            before = None if window.changed else window.counter.counted(rules)
            if window.counter.see(known) and not window.changed:
                window.changed = before != window.counter.counted(rules)
                windows.note(window)
