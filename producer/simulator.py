"""A simulated plant as a stream: history up to now, then live readings, with faults of known ground truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from core.arrays import Floats
from core.plant import Plant
from producer.chance import Chance
from producer.faults import FaultKind, InjectedFault, sensors_of
from producer.fleet import Fleet, Observed
from producer.physics import quantities
from producer.publish import Readings
from runtime.errors import UsageError

DAY_SECONDS: Final = 86_400.0
SHOWN_KINDS: Final[tuple[FaultKind, ...]] = ("overheat", "imbalance", "stuck", "spike", "dip", "dropout")
"""Faults that show within seconds; a drift would take longer than a demonstration."""
_HEALTHY_DAYS: Final = 14.0  # visible wear would be mistaken for the injected faults
FAULT_READINGS: Final = 20
REST_READINGS: Final = 14
_FIRST_FAULT_READINGS: Final = 4
_CHUNK_SECONDS: Final = DAY_SECONDS
_CHUNK_ROWS: Final = 500_000


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """Machines whose history ends at `now` and continues live; the same arguments give the same readings.

    machines: how many, or their ids. days: length of the history. now: epoch s. interval_seconds: event time between
    two live readings of a machine; the history has the plant's own interval. always_running: all machines run from a
    few hours before `now` on, whatever their shift plans.
    """

    plant: Plant
    machines: int | Sequence[str]
    seed: int
    days: float
    now: float
    interval_seconds: float
    always_running: bool = False

    def __post_init__(self) -> None:
        if self.interval_seconds <= 0:
            raise UsageError(f"interval = {self.interval_seconds:g} s: must be above 0; choose a rate")

    @cached_property
    def fleet(self) -> Fleet:
        """The simulated machines."""
        epoch = np.floor((self.now - self.days * DAY_SECONDS) / 60) * 60
        return Fleet(
            plant=self.plant,
            machines=self.machines,
            seed=self.seed,
            epoch=float(epoch),
            interval_seconds=self.plant.interval_seconds,
            # in a short demonstration, a breakdown would hide the injected faults
            least_days=self.days + _HEALTHY_DAYS if self.always_running else 0.0,
            running_from=self.now - 6 * 3600 if self.always_running else None,
        )

    def check(self) -> None:
        """Check that the plant can be simulated, before anything is sent.

        Raises:
            UsageError: it cannot be simulated, or its machines cannot be named.
        """
        _ = self.fleet.machine_ids, quantities(self.plant)

    def history(self) -> Iterator[Readings]:
        """Yield the readings before `now`, in order of time, at most a day at a time."""
        step = self.plant.interval_seconds
        seconds = np.arange(self.now - self.days * DAY_SECONDS + step, self.now, step)
        together = max(1, min(int(_CHUNK_SECONDS / step), _CHUNK_ROWS // len(self.fleet.machine_ids)))
        for first in range(0, len(seconds), together):
            yield self._readings(self.fleet.observe(np.round(seconds[first : first + together], 3)))

    def at(self, seconds: Floats, faults: Sequence[InjectedFault] = ()) -> Readings:
        """Return live readings of all machines at these instants, epoch s, rising, with `faults` applied."""
        return self._readings(self.fleet.observe(np.round(seconds, 3), scripted=faults))

    def script(self, start: float, end: float, *, every_seconds: float, number: int = 0) -> tuple[InjectedFault, ...]:
        """Return faults between `start` and `end`, about one in `every_seconds`, with a rest between two of a machine.

        Each lasts `FAULT_READINGS` live readings, ends before `end`, and affects a machine that runs throughout it.
        number: of the script; each has other faults.
        """
        chance = Chance.of("nexova", self.seed).child("script", number)
        length, rest = FAULT_READINGS * self.interval_seconds, REST_READINGS * self.interval_seconds
        free = dict.fromkeys(self.fleet.machine_ids, start + _FIRST_FAULT_READINGS * self.interval_seconds)
        faults: list[InjectedFault] = []
        begin = min(free.values())
        while begin + length <= end:
            machine_id = min(free, key=lambda machine: (free[machine], machine))  # the one that rested longest
            if free[machine_id] > begin:
                begin = free[machine_id]
                continue
            if not self._runs(machine_id, begin, begin + length):
                free[machine_id] = begin + every_seconds
                continue
            kind = SHOWN_KINDS[(len(faults) + number) % len(SHOWN_KINDS)]
            drawn = float(chance.uniform(np.array([len(faults)]))[0])
            sensors = sensors_of(kind, chance=drawn, names=self.plant.sensor_names, quantities=quantities(self.plant))
            if sensors:
                faults.append(
                    InjectedFault(machine_id=machine_id, kind=kind, start=begin, end=begin + length, sensors=sensors)
                )
            free[machine_id] = begin + length + rest
            begin += every_seconds
        return tuple(faults)

    def _runs(self, machine_id: str, start: float, end: float) -> bool:
        if self.always_running:
            return True
        return self.fleet.runs_throughout(self.fleet.machine_ids.index(machine_id), start, end)

    def _readings(self, observed: Observed) -> Readings:
        instants, machines, sensors = observed.values.shape
        return Readings(
            machine_ids=list(self.fleet.machine_ids) * instants,
            timestamps=np.repeat(observed.seconds, machines),
            values=observed.values.reshape(instants * machines, sensors),
        )
