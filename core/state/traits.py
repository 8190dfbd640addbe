"""Properties of each machine from the plant file, as arrays beside the tables."""

from typing import NamedTuple

import numpy as np

from core.arrays import Floats
from core.plant import Plant


class MachineTraits(NamedTuple):
    """Properties of machines from the plant file; not kept in the changelog, so that a changed file takes effect."""

    off_below: Floats
    idle_below: Floats
    type_code: Floats


def traits_of(plant: Plant, machine_id: str) -> tuple[float, float, float]:
    """Return the power below which the machine is off, and idle (kW, -inf: never), and the code of its type."""
    kind = plant.type_of(machine_id)
    if kind is None:
        return -np.inf, -np.inf, -1.0
    off = -np.inf if kind.off_below is None else kind.off_below
    idle = off if kind.idle_below is None else kind.idle_below
    return off, idle, float(plant.machine_types.index(kind))
