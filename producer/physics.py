"""Physical constants of simulated machines: one set for each type, with small differences between machines.

A type of the plant file that is not known here is simulated as a general machine of its rated power.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from core.plant import Plant, Sensor
from producer.chance import Chance
from runtime.errors import UsageError

_ZERO: Final = np.zeros(1, dtype=np.int64)
Quantity = Literal["power", "temperature", "vibration", "production", "runtime", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part that wears. Effects are those of full wear: shares of the present value, and kelvin."""

    name: str
    vibration_share: float
    power_share: float
    temperature_kelvin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Physics:
    """One machine. Powers in kW, temperatures in kelvin above the hall, vibration in mm/s, production per hour."""

    week: str  # its weekly plan in `producer.shifts`
    rated_power: float
    idle_power: float
    standby_power: float
    lowest_fault_power: float  # a dip below it would look like an idle machine
    base_load: float  # power of normal work, share of rated power, 0 to 1
    daily_swing: float  # amplitude of the load over a day
    weekend_drop: float
    temperature_rise: float
    thermal_seconds: float  # time constant with which temperature follows power
    vibration: float
    production: float
    components: tuple[Component, ...]


_BEARING: Final = Component(name="bearing", vibration_share=0.95, power_share=0.03, temperature_kelvin=2.5)
_DRIVE: Final = Component(name="drive", vibration_share=0.95, power_share=0.06, temperature_kelvin=3.0)
_COOLING: Final = Component(name="cooling", vibration_share=0.95, power_share=0.04, temperature_kelvin=5.0)

_GENERAL: Final = Physics(
    week="three_shifts",
    rated_power=60.0,
    idle_power=7.0,
    standby_power=0.6,
    lowest_fault_power=14.0,
    base_load=0.68,
    daily_swing=0.05,
    weekend_drop=0.02,
    temperature_rise=34.0,
    thermal_seconds=1200.0,
    vibration=2.6,
    production=200.0,
    components=(_BEARING, _DRIVE, _COOLING),
)
_TYPES: Final[dict[str, Physics]] = {
    "press": replace(
        _GENERAL,
        week="two_shifts",
        base_load=0.70,
        daily_swing=0.03,
        temperature_rise=38.0,
        thermal_seconds=1500.0,
        vibration=3.2,
        production=320.0,
    ),
    "pump": replace(
        _GENERAL,
        week="always",
        base_load=0.66,
        daily_swing=0.06,
        weekend_drop=0.03,
        temperature_rise=30.0,
        thermal_seconds=900.0,
        vibration=2.2,
        production=140.0,
    ),
    "compressor": replace(
        _GENERAL,
        week="six_days",
        base_load=0.72,
        daily_swing=0.05,
        temperature_rise=46.0,
        thermal_seconds=1800.0,
        vibration=2.8,
        production=540.0,
    ),
}
_ROLES: Final[dict[str, Quantity]] = {"power": "power", "runtime": "runtime", "production": "production"}
_UNITS: Final[dict[str, Quantity]] = {"°C": "temperature", "mm/s": "vibration"}


def quantities(plant: Plant) -> tuple[Quantity, ...]:
    """Return the quantity of each sensor; "other" where the simulator has no physics for it.

    Raises:
        UsageError: no sensor has the role power, or one has the role energy_counter.
    """
    if plant.index_of_role("energy_counter") is not None:
        raise UsageError(
            f"plant {plant.name!r} cannot be simulated: simulated machines have no energy counter; leave that sensor "
            "out of a copy of the plant file, or replay recorded files instead"
        )
    if plant.index_of_role("power") is None:
        raise UsageError(
            f"plant {plant.name!r} cannot be simulated: no sensor has the role power, from which load, heat and "
            'vibration follow; give one role = "power", or replay recorded files instead'
        )
    return tuple(_quantity(sensor) for sensor in plant.sensors)


def _quantity(sensor: Sensor) -> Quantity:
    if sensor.role is not None:
        return _ROLES[sensor.role]
    return _UNITS.get(sensor.unit, "other")


def physics_of(plant: Plant, machine_id: str, chance: Chance) -> Physics:
    """Return the constants of one machine: those of its type, varied a little, within the plant file's limits."""
    kind = plant.type_of(machine_id)
    own = _TYPES.get(kind.name, _GENERAL) if kind else _GENERAL
    rated = (kind.rated_power if kind else None) or own.rated_power
    idle_below = (kind.idle_below if kind else None) or 0.22 * rated
    off_below = (kind.off_below if kind else None) or 0.3 * idle_below

    def vary(name: str, share: float) -> float:
        """Return a factor of 1 ± `share`; machines of one type are similar, so that models transfer between them."""
        return 1.0 + share * (2.0 * chance.child(name).uniform(_ZERO).item() - 1.0)

    return replace(
        own,
        rated_power=rated * vary("rated_power", 0.02),
        idle_power=0.5 * (off_below + idle_below),
        standby_power=0.3 * off_below,
        lowest_fault_power=1.25 * idle_below,
        temperature_rise=own.temperature_rise * vary("temperature_rise", 0.03),
        vibration=own.vibration * vary("vibration", 0.01),
        production=own.production * vary("production", 0.03),
    )


def machine_ids(plant: Plant, count: int) -> tuple[str, ...]:
    """Return ids of `count` machines, of each type in turn: press-01, pump-01, compressor-01, press-02.

    Raises:
        UsageError: count is below 1, or an id that a type's pattern yields belongs to another type.
    """
    if count < 1:
        raise UsageError(f"machines = {count}: must be at least 1")
    patterns = [kind.machines[0] for kind in plant.machine_types] or ["machine-*"]
    digits = max(2, len(str(-(-count // len(patterns)))))
    ids = tuple(
        patterns[index % len(patterns)].replace("*", f"{index // len(patterns) + 1:0{digits}d}", 1)
        for index in range(count)
    )
    for index, machine_id in enumerate(ids):
        kind = plant.type_of(machine_id)
        expected = plant.machine_types[index % len(patterns)] if plant.machine_types else None
        if kind != expected or ids.index(machine_id) != index:
            raise UsageError(
                f"plant {plant.name!r}: the pattern {patterns[index % len(patterns)]!r} yields no id of its own; "
                "start the type's list of machines with a pattern such as press-*"
            )
    return ids
