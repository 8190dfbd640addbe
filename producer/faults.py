"""Faults superimposed on a machine's sensor values, and their ground truth.

A fault is an episode: a machine, a kind, a start, an end and the sensors that show it. Its effect follows from the
episode alone, so a reading is changed in the same way in whichever chunk it is computed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from core.arrays import Bools, Codes, Floats
from producer.chance import Chance
from producer.physics import Physics, Quantity

FaultKind = Literal["spike", "dip", "overheat", "drift", "stuck", "dropout", "imbalance"]
FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)

_SHOWS: Final[dict[FaultKind, tuple[frozenset[Quantity], ...]]] = {
    "spike": (frozenset({"power"}), frozenset({"temperature"}), frozenset({"vibration"})),
    "dip": (frozenset({"power", "production"}),),
    "overheat": (frozenset({"temperature"}),),
    "drift": (frozenset({"temperature"}), frozenset({"vibration"}), frozenset({"power"})),
    "stuck": (frozenset({"temperature"}), frozenset({"vibration"}), frozenset({"power"})),
    # never power, without which it is unknown whether the machine runs
    "dropout": (
        frozenset({"temperature"}),
        frozenset({"vibration"}),
        frozenset({"temperature", "vibration", "production"}),
    ),
    "imbalance": (frozenset({"vibration", "power"}),),
}
"""Quantities in which each kind of fault shows; one of the sets is chosen."""

TYPICAL_READINGS: Final[dict[FaultKind, tuple[int, int]]] = {
    "spike": (2, 6),
    "dip": (6, 16),
    "overheat": (12, 36),
    "drift": (18, 48),
    "stuck": (12, 30),
    "dropout": (8, 24),
    "imbalance": (12, 36),
}
"""Shortest and longest episodes in history, in readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedFault:
    """Ground truth of one fault. Readings with start <= time < end (epoch seconds) are anomalous.

    strength: 0 (just visible) to 1 (violent).
    """

    machine_id: str
    kind: FaultKind
    start: float
    end: float
    sensors: tuple[str, ...]
    strength: float = 0.5


def sensors_of(
    kind: FaultKind, *, chance: float, names: tuple[str, ...], quantities: tuple[Quantity, ...]
) -> tuple[str, ...]:
    """Return the sensors that show a fault, chosen by `chance` in (0, 1); empty if the plant has none for it."""
    available = set(quantities)
    choices = [shows & available for shows in _SHOWS[kind]]
    possible = [choice for choice in choices if choice]
    if not possible:
        return ()
    chosen = possible[int(chance * len(possible))]
    return tuple(name for name, quantity in zip(names, quantities, strict=True) if quantity in chosen)


def apply_faults(
    values: Floats,
    seconds: Floats,
    faults: Iterable[InjectedFault],
    *,
    names: tuple[str, ...],
    quantities: tuple[Quantity, ...],
    physics: Physics,
    true_values: Callable[[float], Floats],
) -> Codes:
    """Apply faults to `values`, (n, S), in place; return the kind of each reading, (n,): 0 none, else 1 + its index.

    seconds: rising, (n,). true_values: returns the values without faults, (S,), at an instant; a stuck sensor keeps
    those of the fault's start.
    """
    kinds = np.zeros(len(seconds), dtype=np.int8)
    for fault in faults:
        first, last = np.searchsorted(seconds, (fault.start, fault.end))
        if first == last:
            continue
        kinds[first:last] = 1 + FAULT_KINDS.index(fault.kind)
        progress = (seconds[first:last] - fault.start) / (fault.end - fault.start)
        for name in fault.sensors:
            column = names.index(name)
            if fault.kind == "dropout":
                values[first:last, column] = np.nan
            elif fault.kind == "stuck":
                values[first:last, column] = true_values(fault.start)[column]
            else:
                values[first:last, column] = _faulty(
                    values[first:last, column], quantities[column], fault, progress, physics
                )
    return kinds


def _faulty(value: Floats, quantity: Quantity, fault: InjectedFault, progress: Floats, physics: Physics) -> Floats:
    """Return `value`, (n,), with the fault; its size exceeds the effects of load, wear and warm-up."""
    strength = fault.strength
    result: Floats
    if fault.kind == "dip":
        result = value * (0.50 - 0.15 * strength)
        return np.maximum(result, physics.lowest_fault_power) if quantity == "power" else result
    if fault.kind == "imbalance":
        factor = 2.3 + 0.9 * strength if quantity == "vibration" else 1.08 + 0.04 * strength
        result = value * factor
        return result
    size = {
        "power": (0.50 + 0.30 * strength) * physics.rated_power,
        "temperature": 26.0 + 18.0 * strength,
        "vibration": (1.9 + 1.3 * strength) * physics.vibration,
    }.get(quantity, 0.0)
    course = {
        "spike": np.ones_like(progress),
        "overheat": 1.0 - np.exp(-(progress + 0.05) / 0.10),
        "drift": np.sqrt(0.08 + 0.92 * progress),
    }[fault.kind]
    result = value + size * course
    return result


def plan_day(
    *,
    machine_id: str,
    midnight: float,
    steady: Bools,
    interval_seconds: float,
    share: float,
    chance: Chance,
    names: tuple[str, ...],
    quantities: tuple[Quantity, ...],
) -> tuple[InjectedFault, ...]:
    """Return the faults of one machine on one day; over many days, they last for about `share` of its readings.

    steady: minutes of the day in which it runs in a steady state, (1440,). midnight: epoch seconds of minute 0. Each
    episode lies within steady minutes, with a gap of ten readings to the next.
    """
    step = max(1, round(interval_seconds / 60.0))
    gap = max(1, int(np.ceil(10 * interval_seconds / 60.0)))
    free = steady.copy()
    if free.sum() < 4 * gap:
        return ()
    # a tenth more, because machines do not run every day
    budget = 1.1 * share * 86_400.0 * (0.5 + float(chance.uniform(np.zeros(1, np.int64))[0]))
    attempts = 24 + int(budget / interval_seconds)
    draws = chance.uniform(1 + np.arange(attempts * 6)).reshape(attempts, 6)
    faults: list[InjectedFault] = []
    for draw in draws:
        kind = FAULT_KINDS[int(draw[0] * len(FAULT_KINDS))]
        shortest, longest = TYPICAL_READINGS[kind]
        readings = shortest + int(draw[1] * (longest + 1 - shortest))
        seconds = max(interval_seconds, min(readings * interval_seconds, 6 * 3600.0))
        minutes = int(np.ceil(seconds / 60.0))
        begin = int(draw[2] * len(free)) // step * step
        sensors = sensors_of(kind, chance=float(draw[3]), names=names, quantities=quantities)
        if not sensors or begin + minutes > len(free) or not free[begin : begin + minutes].all():
            continue
        # an episode longer than the rest of the day's budget is accepted with the probability that keeps the mean
        if draw[4] * seconds >= budget:
            break
        free[max(begin - gap, 0) : begin + minutes + gap] = False
        start = midnight + begin * 60.0
        faults.append(
            InjectedFault(
                machine_id=machine_id,
                kind=kind,
                start=start,
                end=start + seconds,
                sensors=sensors,
                strength=float(draw[5]),
            )
        )
        budget -= seconds
        if budget <= 0:
            break
    return tuple(sorted(faults, key=lambda fault: fault.start))
