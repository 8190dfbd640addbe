"""Hourly energy windows of each machine, independent of the order of arrival.

A window is 60 minutes of integer sums, which do not depend on the order of their terms, so late, early and re-split
readings lead to the same window. Energy weights each minute by the time until the next one with a reading; gaps longer
than twice the usual interval of the window stay empty. An hour with too few readings to determine an interval uses that
of the plant: two single readings are no complete hour. An energy counter takes precedence over power
(`core.energy.meter`).

Windows are kept until their machine's own time has passed them, because a device that was offline sends its buffered
readings later. `core.energy.closing` decides when they are published.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from core.arrays import HOUR, Floats, Ints
from core.energy.cells import MINUTES, UNIT, Cells, count_in
from core.energy.meter import CounterHour, CounterRules, hours_between, join
from schemas.energy import EnergyWindow

REVISION_SECONDS: Final = 2 * HOUR
"""Time after its end and grace in which a window accepts late readings and is published again."""
_LEAST_MINUTES: Final = 3  # with a reading; fewer do not determine the interval of an hour
_ENOUGH: Final = 0.5  # covered share of an hour from which the counter takes precedence over power with more


@dataclass(slots=True, eq=False)
class Window:
    """One hour of one machine that can still change.

    row: of its minutes in `cells`; -1 where they are packed, as an hour that was published rarely changes. published:
    newest published revision, -1 without one; final: whether it was final; published_at: time of its publication by our
    clock, epoch s, not kept over a restart.
    """

    machine_id: str
    hour: int
    cells: Cells
    row: int = -1
    packed: list[Any] | None = None
    published: int = -1
    final: bool = False
    counter: CounterHour | None = None
    published_at: float = float("-inf")

    @property
    def end(self) -> int:
        """Epoch second at which the hour is over."""
        return (self.hour + 1) * HOUR

    @property
    def readings(self) -> int:
        """Number of readings counted."""
        return int(self.cells.readings[self.row]) if self.packed is None else int(self.packed[4])

    @property
    def changed(self) -> bool:
        """Whether it differs from the published revision."""
        return self.packed is None and bool(self.cells.changed[self.row])

    @property
    def settled(self) -> bool:
        """Whether its current content is published, so that only a late reading changes it."""
        return self.final and not self.changed

    @property
    def version(self) -> Hashable:
        """Key that differs whenever the content of a settled window differs."""
        edges = None if self.counter is None else (self.counter.before, self.counter.after)
        return self.hour, self.published, edges

    def change(self, *, changed: bool = True) -> None:
        """Set whether it differs from the published revision."""
        self.open()
        self.cells.changed[self.row] = changed

    def disown(self) -> None:
        """Release the row's ownership, so that the next readings look the window up again and note the change."""
        self.cells.owner[self.row] = -1

    def open(self) -> None:
        """Unpack the minutes, so that readings can be added."""
        if self.row >= 0:
            return
        self.row = self.cells.take(self.hour)
        if self.packed is None:
            return
        _, _, _, changed, readings, peak, *cells, _ = self.packed
        self.cells.changed[self.row], self.cells.readings[self.row], self.cells.peak[self.row] = changed, readings, peak
        for kind in (Cells.power, Cells.production):
            minutes = np.frombuffer(cells[3 * kind], np.uint8)
            self.cells.sums[self.row, kind, minutes] = cells[3 * kind + 1]
            self.cells.counts[self.row, kind, minutes] = cells[3 * kind + 2]
        self.packed = None

    def close(self) -> None:
        """Pack the minutes, except those of a counter, which neighbouring hours need."""
        if self.packed is None and self.counter is None:
            self.packed = self.pack()
            self.release()

    def release(self) -> None:
        """Release the row of the minutes."""
        if self.row >= 0:
            self.cells.release(self.row)
            self.row = -1

    def summary(
        self, revision: int, *, interval_seconds: float, counter_rules: CounterRules | None = None, final: bool = True
    ) -> EnergyWindow:
        """Return the message for the window; interval_seconds: the plant's time between two readings."""
        self.open()
        sums, counts = self.cells.sums[self.row], self.cells.counts[self.row]
        planned = min(max(1, round(interval_seconds / 60)), MINUTES)
        energy, power_hours = _integral(sums[Cells.power], counts[Cells.power], planned)
        production, production_hours = _integral(sums[Cells.production], counts[Cells.production], planned)
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
            peak_power_kw=float(self.cells.peak[self.row]) / UNIT if power_hours else None,
            production=production if production_hours else None,
            readings=self.readings,
            expected_readings=max(self.readings, round(self.readings / share)) if share else self.readings,
            completeness=share,
            revision=revision,
            final=final,
            counter=steps,
        )

    def pack(self) -> list[Any]:
        """Return the window as plain values for the changelog; sums have only the minutes with a reading."""
        if self.packed is not None:
            return self.packed
        row, cells = self.row, self.cells
        packed: list[Any] = [self.hour, self.published, self.final, bool(cells.changed[row])]
        packed += [int(cells.readings[row]), int(cells.peak[row])]
        for kind in (Cells.power, Cells.production):
            minutes = np.flatnonzero(cells.counts[row, kind])
            packed.append(minutes.astype(np.uint8).tobytes())
            packed += [cells.sums[row, kind, minutes].tolist(), cells.counts[row, kind, minutes].tolist()]
        packed.append(None if self.counter is None else self.counter.pack())
        return packed


class Windows:
    """The windows of the machines of one partition, by machine and hour.

    due: by table row of the machines, the machine's own time, epoch s, at which the next of its windows closes or is
    dropped. late: windows that were published and have changed since.
    """

    __slots__ = ("_by_machine", "_cells", "_newest", "due", "late")

    def __init__(self) -> None:
        self._by_machine: dict[str, dict[int, Window]] = {}
        self._cells = Cells()
        self._newest = np.full(0, -1, np.int64)  # by table row: the row of the hour of the last reading
        self.due = np.full(0, np.inf)
        self.late: set[tuple[str, int]] = set()

    def __getitem__(self, key: tuple[str, int]) -> Window:
        return self._by_machine[key[0]][key[1]]

    def get(self, key: tuple[str, int]) -> Window | None:
        """Return a window; None where there is none."""
        return self.of(key[0]).get(key[1])

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key[1] in self._by_machine.get(key[0], ())

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return ((machine_id, hour) for machine_id, own in self._by_machine.items() for hour in own)

    def __len__(self) -> int:
        return sum(map(len, self._by_machine.values()))

    def of(self, machine_id: str) -> Mapping[int, Window]:
        """Return the windows of a machine, by hour."""
        return self._by_machine.get(machine_id, _EMPTY)

    def add(self, machine_id: str, hour: int, slot: int) -> Window:
        """Return a new open window of the machine in table row `slot`."""
        window = Window(machine_id, hour, self._cells)
        window.open()
        self._put(window, slot)
        return window

    def restore(self, machine_id: str, packed: list[Any], slot: int) -> None:
        """Add a window as `Window.pack` packed it."""
        hour, published, final, changed, *_, counter = packed
        window = Window(machine_id, hour, self._cells, packed=packed, published=published, final=final)
        if counter is not None:
            window.counter = CounterHour.unpack(counter)
        if changed or not final or counter is not None:
            window.open()
        self._put(window, slot)
        self.note(window)

    def _put(self, window: Window, slot: int) -> None:
        self._by_machine.setdefault(window.machine_id, {})[window.hour] = window
        self._reach(slot)
        self.due[slot] = min(window.end, self.due[slot])

    def _reach(self, slot: int) -> None:
        known = len(self.due)
        if slot >= known:
            more = max(slot + 1, 2 * known) - known
            self.due = np.append(self.due, np.full(more, np.inf))
            self._newest = np.append(self._newest, np.full(more, -1, np.int64))

    def note(self, window: Window) -> None:
        """Note that a window has changed, so that one that was published is published again."""
        if window.published >= 0 and window.changed:
            self.late.add((window.machine_id, window.hour))

    def drop(self, machine_id: str, hour: int) -> None:
        """Drop a window of a machine."""
        own = self._by_machine[machine_id]
        own.pop(hour).release()
        if not own:
            del self._by_machine[machine_id]

    def forget(self, machine_ids: Iterable[str], remaining: Ints) -> None:
        """Drop the windows of machines whose table rows are removed; remaining: the other rows in their new order."""
        for machine_id in machine_ids:
            for window in self._by_machine.pop(machine_id, {}).values():
                window.release()
        self._reach(int(remaining.max(initial=-1)))
        self.due = self.due[remaining]
        self._newest = np.full(len(remaining), -1, np.int64)

    def rows_for(self, machine_ids: Sequence[str], machine: Ints, slots: Ints, hours: Ints) -> Ints:
        """Return the row of minutes of each reading, (n,), and create missing windows.

        machine: index into `machine_ids`; slots: table row; hours: -1 for a reading outside any window.
        """
        self._reach(int(slots.max()))
        rows = self._newest[slots]
        known = rows >= 0
        candidates = rows[known]
        known[known] = (self._cells.owner[candidates] == slots[known]) & (self._cells.hour[candidates] == hours[known])
        rows[~known] = -1
        missing = np.flatnonzero(~known & (hours >= 0))
        if not len(missing):
            return rows
        pairs, place = np.unique(np.stack([machine[missing], hours[missing]], axis=1), axis=0, return_inverse=True)
        slot_of = dict(zip(machine[missing].tolist(), slots[missing].tolist(), strict=True))
        found = np.empty(len(pairs), np.int64)
        for number, (index, hour) in enumerate(pairs.tolist()):
            machine_id, slot = machine_ids[index], slot_of[index]
            window = self.get((machine_id, hour)) or self.add(machine_id, hour, slot)
            window.open()
            found[number] = window.row
            if window.published >= 0:
                self.late.add((machine_id, hour))
            else:
                self._newest[slot], self._cells.owner[window.row] = window.row, slot
        rows[missing] = found[place.reshape(-1)]
        return rows

    def count(self, rows: Ints, minutes: Ints, power: Floats, production: Floats) -> None:
        """Add readings, (n,) each, to rows of minutes; rows below 0 are skipped, values are NaN where missing."""
        count_in(self._cells, rows, minutes, power, production)


_EMPTY: Final[Mapping[int, Window]] = {}


def _integral(sums: Ints, counts: Ints, planned: int) -> tuple[float, float]:
    """Return time integral in unit-hours and covered hours of per-minute sums; planned: minutes between readings."""
    covered = np.flatnonzero(counts)
    if not len(covered):
        return 0.0, 0.0
    means = sums[covered] / counts[covered] / UNIT
    steps = np.diff(covered)
    # the lower median: a single gap must not become the usual step
    usual = int(np.sort(steps)[(len(steps) - 1) // 2]) if len(covered) >= _LEAST_MINUTES else planned
    # the last reading may represent time of the next hour, as its first one does not cover it; the sum is capped
    represented = np.append(steps, max(MINUTES - covered[-1], usual))
    weights = np.where(represented > 2 * usual, usual, represented)
    hours = min(float(weights.sum()), float(MINUTES)) / MINUTES
    return float((means * weights).sum() / weights.sum() * hours), hours


def accumulate(
    windows: Windows,
    *,
    machine_ids: tuple[str, ...],
    machine: Ints,
    slots: Ints,
    timestamps: Floats,
    power: Floats | None,
    production: Floats | None,
    newest: Floats,
    grace_seconds: float,
    register: Floats | None = None,
    counter_rules: CounterRules | None = None,
) -> int:
    """Add a batch to its windows, in place, and return the number of readings too late for any.

    machine: (n,) index into `machine_ids`; slots: (n,) their table rows. newest: (n,), the machine's own time when each
    reading arrived. register: (n,) of the energy counter in kWh, where the plant has one; with its rules.
    """
    hours = np.floor_divide(timestamps, HOUR).astype(np.int64)
    late = (hours + 1) * HOUR + grace_seconds + REVISION_SECONDS < newest
    minutes = np.floor_divide(timestamps - hours * HOUR, 60).astype(np.int64)
    hours = np.where(late, -1, hours)
    rows = windows.rows_for(machine_ids, machine, slots, hours)
    nothing = np.full(len(rows), np.nan)
    windows.count(rows, minutes, nothing if power is None else power, nothing if production is None else production)
    if register is not None and counter_rules is not None:
        # sorted, the readings of a window are consecutive
        order = np.lexsort((hours, machine))
        order = order[~late[order]]
        breaks = np.flatnonzero((np.diff(machine[order]) != 0) | (np.diff(hours[order]) != 0)) + 1
        unlinked: dict[str, tuple[float, int]] = {}
        for group in np.split(order, breaks) if len(order) else ():
            window = windows[machine_ids[machine[group[0]]], int(hours[group[0]])]
            now = float(newest[group].max())
            if _count(window, timestamps[group], register[group], now=now):
                before, _ = unlinked.get(window.machine_id, (now, 0))
                unlinked[window.machine_id] = max(now, before), int(slots[group[0]])
        _link(windows, unlinked, counter_rules, grace_seconds=grace_seconds)
    return int(late.sum())


def _count(window: Window, timestamps: Floats, register: Floats, *, now: float) -> bool:
    """Add register readings to a window; return whether its neighbours need them. now: the machine's own time."""
    if window.counter is None:
        window.counter = CounterHour(window.hour * HOUR)
        window.counter.add(timestamps, register)
        return True
    first, last = window.counter.add(timestamps, register)
    return first or (last and now >= window.end)


def _link(
    windows: Windows, machines: Mapping[str, tuple[float, int]], rules: CounterRules, *, grace_seconds: float
) -> None:
    """Give each window of these machines its neighbours' registers, and create windows for hours between two.

    machines: their own time, epoch s, and their table row.
    """
    for machine_id, (newest, slot) in machines.items():
        group = list(windows.of(machine_id).values())
        known = join([window.counter for window in group if window.counter is not None], rules)
        for hour in hours_between(known, rules):
            # an hour past its revisions may have been published and dropped
            open_still = (hour + 1) * HOUR + grace_seconds + REVISION_SECONDS >= newest
            if open_still and (machine_id, hour) not in windows:
                window = windows.add(machine_id, hour, slot)
                window.change()
                group.append(window)
        for window in group:
            if window.counter is None:
                window.counter = CounterHour(window.hour * HOUR)
            before = None if window.changed else window.counter.counted(rules)
            if window.counter.see(known) and not window.changed and before != window.counter.counted(rules):
                window.change()
                windows.note(window)
