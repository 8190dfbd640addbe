"""All machines of a simulated plant: their readings at common instants, with faults and their ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from core.arrays import Bools, Codes, Floats, Ints
from core.plant import Plant
from producer.chance import Chance
from producer.faults import InjectedFault, apply_faults, plan_day
from producer.physics import machine_ids, quantities
from producer.shifts import DAY_MINUTES, LEAD_MINUTES, RUNNING
from producer.timeline import MachineTimeline
from producer.wear import DAY_SECONDS
from runtime.errors import UsageError

Bytes = Codes

_GOLDEN: Final = 0.6180339887498949  # spreads any number of machines evenly over their lives
_DAYS_AT_ONCE: Final = 64
_LEAST_SETTLE_MINUTES: Final = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """T instants of M machines. values (T, M, S); fault kind codes and states (T, M); hours to failure (T, M).

    A fault kind of 0 means none, else 1 + its place in FAULT_KINDS; states are codes of `producer.shifts`.
    """

    seconds: Floats
    values: Floats
    kinds: Bytes
    states: Bytes
    hours_to_failure: Floats


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Machines from `epoch` (epoch seconds, a whole minute) on, the same for the same arguments.

    machines: how many, or their ids. least_days: no machine fails sooner after the epoch. fault_share: share of
    readings with planned faults, 0 to 0.3; the length of faults is in readings of `interval_seconds`. running_from:
    epoch seconds from which all machines run; None: they follow their shift plans.
    """

    plant: Plant
    machines: int | Sequence[str]
    seed: int
    epoch: float
    interval_seconds: float
    least_days: float = 0.0
    fault_share: float = 0.0
    running_from: float | None = None
    _planned: dict[tuple[int, int], tuple[InjectedFault, ...]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def machine_ids(self) -> tuple[str, ...]:
        """The machines' ids, in the order of the columns of `Observed`."""
        if isinstance(self.machines, int):
            return machine_ids(self.plant, self.machines)
        ids = tuple(self.machines)
        if not ids or len(set(ids)) != len(ids):
            raise UsageError(f"machines = {list(ids)}: must be distinct ids, at least one")
        return ids

    @cached_property
    def timelines(self) -> tuple[MachineTimeline, ...]:
        """The machines, without faults."""
        chance = Chance.of("nexova", self.seed)
        quantities(self.plant)  # raises a UsageError before any work is done
        return tuple(
            MachineTimeline(
                plant=self.plant,
                machine_id=machine_id,
                chance=chance.child("machine", machine_id),
                weather=chance.child("weather"),
                epoch=self.epoch,
                least_days=self.least_days,
                stagger=(index + 1) * _GOLDEN % 1.0,
                running_from=self.running_from,
            )
            for index, machine_id in enumerate(self.machine_ids)
        )

    def observe(self, seconds: Floats, *, scripted: Sequence[InjectedFault] = ()) -> Observed:
        """Return all machines at `seconds`, rising, (T,), with the planned faults and the `scripted` ones."""
        shape = (len(seconds), len(self.timelines))
        observed = Observed(
            seconds=seconds,
            values=np.empty((*shape, len(self.plant.sensors))),
            kinds=np.zeros(shape, dtype=np.int8),
            states=np.zeros(shape, dtype=np.int8),
            hours_to_failure=np.zeros(shape),
        )
        blocks = np.floor(seconds / (_DAYS_AT_ONCE * DAY_SECONDS))
        edges = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(seconds)]
        for first, last in pairwise(edges):
            if first < last:
                for index in range(len(self.timelines)):
                    self._observe(index, slice(first, last), scripted, observed)
        return observed

    def planned_faults(self, start: float, end: float) -> tuple[InjectedFault, ...]:
        """Return the planned faults that touch [start, end), in order of their start."""
        found = [fault for index in range(len(self.timelines)) for fault in self._planned_of(index, start, end)]
        return tuple(sorted(found, key=lambda fault: (fault.start, fault.machine_id)))

    def runs_throughout(self, index: int, start: float, end: float) -> bool:
        """Return whether a machine runs in a steady state in every minute of [start, end], epoch seconds."""
        days = np.arange(int(start // DAY_SECONDS), int(end // DAY_SECONDS) + 1)
        steady = self._steady(index, days).ravel()
        origin = int(days[0]) * DAY_MINUTES
        return bool(steady[int(start // 60) - origin : int(end // 60) - origin + 1].all())

    def _observe(self, index: int, rows: slice, scripted: Sequence[InjectedFault], into: Observed) -> None:
        timeline = self.timelines[index]
        seconds = into.seconds[rows]
        signals = timeline.signals(seconds)
        faults = [
            *self._planned_of(index, float(seconds[0]), float(seconds[-1]) + 1e-3),
            *(fault for fault in scripted if fault.machine_id == timeline.machine_id),
        ]
        into.kinds[rows, index] = apply_faults(
            signals.values,
            seconds,
            faults,
            names=self.plant.sensor_names,
            quantities=timeline.quantities,
            physics=timeline.physics,
            true_values=lambda instant: timeline.signals(np.array([instant])).values[0],
        )
        into.values[rows, index] = timeline.finished(signals.values)
        into.states[rows, index] = signals.state
        into.hours_to_failure[rows, index] = signals.hours_to_failure

    def _planned_of(self, index: int, start: float, end: float) -> list[InjectedFault]:
        if not self.fault_share:
            return []
        # an episode lies within its day
        days = np.arange(int(start // DAY_SECONDS), int(np.ceil(end / DAY_SECONDS)))
        missing = np.array([day for day in days if (index, int(day)) not in self._planned], dtype=np.int64)
        if missing.size:
            timeline = self.timelines[index]
            steady = self._steady(index, missing)
            for row, day in enumerate(missing.tolist()):
                self._planned[index, day] = plan_day(
                    machine_id=timeline.machine_id,
                    midnight=day * DAY_SECONDS,
                    steady=steady[row],
                    interval_seconds=self.interval_seconds,
                    share=self.fault_share,
                    chance=timeline.chance.child("faults", day),
                    names=self.plant.sensor_names,
                    quantities=timeline.quantities,
                )
        found = [fault for day in days.tolist() for fault in self._planned[index, day]]
        return [fault for fault in found if fault.start < end and fault.end > start]

    def _steady(self, index: int, days: Ints) -> Bools:
        """Return the minutes of UTC `days` in which a machine has run long enough for a steady state, (D, 1440)."""
        settle = max(_LEAST_SETTLE_MINUTES, int(np.ceil(self.plant.detection.settle_seconds / 60.0)))
        settle = min(settle, LEAD_MINUTES - 1)
        running = self.timelines[index].days.states(days) == RUNNING
        counted = np.cumsum(running, axis=1)
        first = LEAD_MINUTES
        window = (
            counted[:, first : first + DAY_MINUTES] - counted[:, first - settle - 1 : first + DAY_MINUTES - settle - 1]
        )
        after_epoch = days[:, None] * DAY_MINUTES + np.arange(DAY_MINUTES) >= self.epoch // 60
        steady: Bools = (window == settle + 1) & after_epoch
        return steady
