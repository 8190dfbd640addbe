"""Hourly energy from the register of a meter, independent of the order of arrival.

A register counts kWh and only rises, except for a reset to 0 (another device) and a rollover at its modulus. For an
hour these readings are kept: its first, the last of each minute (of two at one instant the greater), and the nearest
before and after the hour. Each is a maximum or a minimum, so neither order nor repetition changes any.

A reading of about 0, a small fall or an impossible rise is ignored if one of the next two readings is back at the
former value. A fall by one step, or by less than a tenth, is no reset and no energy.

The energy between two readings belongs to the hour that contains both. Where an hour ends between them it is divided
by time, unless they are further apart than the plant file allows: then it belongs to no hour and is counted
separately.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np

from core.arrays import HOUR, Floats
from core.plant import Plant
from schemas.energy import CounterSteps

Reading = tuple[float, float]
"""Epoch seconds and the register, kWh."""
StepKind = Literal["usual", "reset", "rollover", "unknown"]

_MINUTE: Final = 60
_WRONG_READINGS: Final = 2  # consecutive readings, at most, that a later one can revoke
_ROUNDING: Final = 1e-6
_DIP: Final = 0.1  # of the register: a smaller fall is no reset


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterRules:
    """Rules of a register from the plant file. modulus, resolution: kWh; maximum_power: kW; longest_gap: s."""

    modulus: float | None
    resolution: float
    maximum_power: float
    longest_gap: float

    def step(self, before: Reading, after: Reading) -> tuple[float, StepKind]:
        """Return the energy between two readings, kWh, and the kind of step; 0 where it is unknown.

        More than a machine can draw at its highest power is no energy: the reading is wrong, or the device was replaced
        by one with a count of its own.
        """
        rise, highest = after[1] - before[1], self.highest_energy(before, after)
        if 0 <= rise <= highest:
            return rise, "usual"
        if rise < 0:
            if -rise <= max(self.resolution * (1 + _ROUNDING), _DIP * before[1]):
                return 0.0, "usual"
            if self.modulus is not None and rise + self.modulus <= highest:
                return rise + self.modulus, "rollover"
            if after[1] <= highest:
                return after[1], "reset"
        return 0.0, "unknown"

    def highest_energy(self, before: Reading, after: Reading) -> float:
        """Return the highest possible energy between two readings, plus one step of the register, kWh."""
        return self.maximum_power * (after[0] - before[0]) / HOUR + self.resolution

    def plausible(self, readings: Sequence[Reading]) -> list[Reading]:
        """Return readings, which are in order of time, without the wrong ones that a later one revokes."""
        kept: list[Reading] = []
        place = 0
        while place < len(readings):
            reading = readings[place]
            if kept and self.doubtful(kept[-1], reading):
                back = (
                    later
                    for later in range(place + 1, min(len(readings), place + 1 + _WRONG_READINGS))
                    if self.returns(kept[-1], readings[later])
                )
                place = next(back, place)
            kept.append(readings[place])
            place += 1
        return kept

    def doubtful(self, before: Reading, reading: Reading) -> bool:
        """Return whether a reading may be wrong: about 0, a small fall, or an impossible rise."""
        rise = reading[1] - before[1]
        return rise > self.highest_energy(before, reading) or (
            rise < 0 and (reading[1] <= self.resolution or -rise <= max(self.resolution, _DIP * before[1]))
        )

    def returns(self, before: Reading, later: Reading) -> bool:
        """Return whether a register is back at its former value or slightly above, which a true reset rarely is."""
        rise = later[1] - before[1]
        return 0 <= rise <= min(self.highest_energy(before, later), max(self.resolution, _DIP * before[1]))

    def bridges(self, before: Reading, after: Reading) -> bool:
        """Return whether the energy between two readings may be divided between hours."""
        return after[0] - before[0] <= self.longest_gap


def counter_rules(plant: Plant) -> CounterRules | None:
    """Return the rules of a plant's energy counter; None where it has none."""
    index = plant.index_of_role("energy_counter")
    if index is None:
        return None
    own, power = plant.sensors[index].counter, plant.index_of_role("power")
    possible = float("inf") if power is None else plant.sensors[power].maximum
    return CounterRules(
        modulus=own.modulus,
        resolution=own.resolution,
        maximum_power=possible if own.maximum_power is None else own.maximum_power,
        # as for power: twice the expected interval, at least a minute
        longest_gap=own.longest_gap_seconds or 2 * max(_MINUTE, plant.interval_seconds),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Energy of an hour by the register. hours: covered share of the hour, 0 to 1."""

    energy_kwh: float
    hours: float
    steps: CounterSteps


@dataclass(slots=True)
class CounterHour:
    """The register around one hour, which begins at epoch second `start`. minutes: last reading of each, 0 to 59.

    before, after: the nearest known reading on either side of the hour.
    """

    start: int
    minutes: dict[int, Reading] = field(default_factory=dict)
    first: Reading | None = None
    before: Reading | None = None
    after: Reading | None = None

    @property
    def end(self) -> int:
        """Epoch second at which the hour is over."""
        return self.start + HOUR

    @property
    def last(self) -> Reading | None:
        """The hour's own last reading."""
        return self.minutes[max(self.minutes)] if self.minutes else None

    @property
    def edges(self) -> list[Reading]:
        """Readings at both ends that neighbouring hours may need, with enough context to detect a wrong one."""
        own, count = sorted(self.minutes), _WRONG_READINGS + 1
        outer = [self.minutes[minute] for minute in (*own[:count], *own[-count:])]
        return [edge for edge in (self.before, self.first, *outer, self.after) if edge is not None]

    def add(self, times: Floats, registers: Floats) -> tuple[bool, bool]:
        """Add readings of the hour, (n,) each, NaN where missing; return whether its first and its last changed."""
        known = ~np.isnan(registers)
        times, registers = times[known], registers[known]
        if not len(times):
            return False, False
        first, last = self.first, self.last
        order = np.lexsort((registers, times))
        times, registers = times[order], registers[order]
        minutes = ((times - self.start) // _MINUTE).astype(np.int64)
        ends = np.append(np.flatnonzero(np.diff(minutes)), len(minutes) - 1)
        for minute, *reading in zip(
            minutes[ends].tolist(), times[ends].tolist(), registers[ends].tolist(), strict=True
        ):
            found = (reading[0], reading[1])
            self.minutes[minute] = max(found, self.minutes.get(minute, found))
        of_first = int(np.searchsorted(times, times[0], side="right")) - 1
        earliest = (float(times[0]), float(registers[of_first]))
        self.first = earliest if first is None else min(first, earliest, key=_early)
        return self.first != first, self.last != last

    def see(self, known: Sequence[Reading]) -> bool:
        """Find the nearest neighbours among readings in order of time; return whether one is new."""
        before, after = self.before, self.after
        place = bisect_left(known, (float(self.start), -np.inf))
        if place:
            self.before = known[place - 1]
        place = bisect_left(known, (float(self.end), -np.inf))
        if place < len(known):
            self.after = known[place]
        return (self.before, self.after) != (before, after)

    def settled_at(self, rules: CounterRules) -> float:
        """Return the epoch second after which no timely reading can change the hour."""
        newest = self.last or self.before
        if self.after is not None or newest is None:
            return self.end
        return max(self.end, newest[0] + rules.longest_gap)

    def counted(self, rules: CounterRules) -> Counted:
        """Return the energy of the hour by its readings."""
        energy = covered = unplaced = 0.0
        found: dict[StepKind, int] = dict.fromkeys(("usual", "reset", "rollover", "unknown"), 0)
        for before, after in pairwise(rules.plausible(sorted({*self.edges, *self.minutes.values()}))):
            kwh, kind = rules.step(before, after)
            ends_here = self.start <= after[0] < self.end
            found[kind] += ends_here
            if kind == "unknown":
                continue
            within = min(after[0], self.end) - max(before[0], self.start)
            if _in_one_hour(before, after) or rules.bridges(before, after):
                energy += kwh * within / (after[0] - before[0])
                covered += within
            elif ends_here:
                unplaced += kwh
        steps = CounterSteps(
            resets=found["reset"], rollovers=found["rollover"], unknown=found["unknown"], unplaced_kwh=unplaced
        )
        return Counted(energy_kwh=energy, hours=covered / HOUR, steps=steps)

    def pack(self) -> dict[str, Any]:
        """Return plain values for the changelog."""
        own = sorted({*self.minutes.values(), *([] if self.first is None else [self.first])})
        return {"start": self.start, "own": own, "before": self.before, "after": self.after}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> "CounterHour":
        """Return the inverse of `pack`."""
        hour = cls(packed["start"])
        if packed["own"]:
            hour.add(*np.array(packed["own"], dtype=np.float64).T)
        hour.before, hour.after = _reading(packed["before"]), _reading(packed["after"])
        return hour


def join(hours: Sequence[CounterHour], rules: CounterRules) -> list[Reading]:
    """Return plausible readings at the edges of one machine's hours by time; of two at one instant the greater."""
    greatest: dict[float, float] = {}
    for at, register in (edge for hour in hours for edge in hour.edges):
        greatest[at] = max(register, greatest.get(at, register))
    return rules.plausible(sorted(greatest.items()))


def hours_between(known: Sequence[Reading], rules: CounterRules) -> list[int]:
    """Return hours since the epoch that lie wholly between two readings and get a share of the energy between them."""
    return [
        hour
        for before, after in pairwise(known)
        if rules.bridges(before, after)
        for hour in range(int(before[0] // HOUR) + 1, int(after[0] // HOUR))
    ]


def _early(reading: Reading) -> tuple[float, float]:
    return reading[0], -reading[1]


def _in_one_hour(before: Reading, after: Reading) -> bool:
    return after[0] <= (before[0] // HOUR + 1) * HOUR


def _reading(packed: Sequence[float] | None) -> Reading | None:
    return None if packed is None else (float(packed[0]), float(packed[1]))
