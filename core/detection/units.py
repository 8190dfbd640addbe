"""Values in another unit: a jump to a thousand times or a thousandth of the usual values, or between °C and °F.

A value is in another unit if it is far from the machine's baseline, its conversion is near it, and the last accepted
value of the sensor was near it too. A fault that grows has left the baseline before it reaches the converted level, and
a sudden one is rarely so exact.
"""

from typing import Final

import numpy as np
from numba import njit

from core.arrays import Bools, Floats, Ints
from core.plant import Plant
from core.row_results import FAULT_BY_1000, FAULT_CELSIUS, FAULT_FAHRENHEIT, FAULT_TIMES_1000, RowResults
from core.state.tracks import Tracks

_FAR: Final = 10.0  # scales; nearer to the baseline a value is not looked at
_NEAR: Final = 6.0  # scales between a converted value and the baseline, but at most a share of the usual value:
_SHARE_OF_FACTOR: Final = 0.5
_SHARE_OF_TEMPERATURE: Final = 0.1  # so that one and a half times the usual is no °F, however wide the baseline
_ROUNDING: Final = 0.02  # share of the usual value by which a converted one may always differ
_STEADY: Final = 5.0  # scales from zero to the usual value; around zero a factor proves nothing
_NEVER: Final = -1
_CELSIUS: Final = 1
_FAHRENHEIT: Final = 2
_UNITS: Final = {"°C": _CELSIUS, "C": _CELSIUS, "degC": _CELSIUS, "°F": _FAHRENHEIT, "F": _FAHRENHEIT}


def unit_codes(plant: Plant) -> Ints:
    """Return a code of each sensor's unit, (S,): 1 °C, 2 °F, 0 others, -1 derived sensors, which are not judged."""
    codes = np.array([_UNITS.get(sensor.unit, 0) for sensor in plant.sensors], dtype=np.int64)
    codes[[index for index, _ in plant.derived]] = _NEVER
    return codes


def dependents(plant: Plant) -> Bools:
    """Return whether the derived sensor of column j depends on the sensor of column i, (S, S)."""
    depends = np.zeros((len(plant.sensors), len(plant.sensors)), dtype=np.bool_)
    for index, formula in plant.derived:
        for name in formula.names:
            column = plant.sensor_names.index(name)
            depends[column, index] = True
            depends[:, index] |= depends[:, column]
    return depends


@njit(cache=True, nogil=True, inline="always")
def refuse_other_units(
    row: int,
    slot: int,
    values: Floats,
    watched: Ints,
    power: int,
    codes: Ints,
    depends: Bools,
    tracks: Tracks,
    traits: tuple[Floats, Floats, Floats],
    out: RowResults,
) -> None:
    """Replace values in another unit, and what is derived from them, by NaN, in place, and write their faults.

    values: (n, S). codes, depends: of `unit_codes` and `dependents`. Only machines with a baseline are judged.
    """
    if not tracks.fitted[slot]:
        return
    for d in range(len(watched)):
        sensor = watched[d]
        value, scale = values[row, sensor], tracks.scale[slot, d]
        usual = tracks.mean[slot, d] + tracks.moved[slot, d] * scale
        if not abs(value - usual) > _FAR * scale or codes[sensor] == _NEVER:
            continue
        if not abs(tracks.last_values[slot, sensor] - usual) <= _FAR * scale:
            continue
        # a standing machine may show next to nothing, which is no thousandth
        small = sensor != power and (power < 0 or not values[row, power] < traits[1][slot])
        fault = _other_unit(value, usual, scale, codes[sensor], small)
        if fault:
            out.fault[row, sensor] = fault
            values[row, sensor] = np.nan
            for column in range(depends.shape[1]):
                if depends[sensor, column]:
                    values[row, column] = np.nan


@njit(cache=True, nogil=True)
def _other_unit(value: float, usual: float, scale: float, code: int, small: bool) -> int:  # noqa: FBT001  compiled
    """Return the fault of a value that is far from `usual`; 0 if no conversion brings it near."""
    steady = abs(usual) > _STEADY * scale
    if steady and _is_near(value / 1000, usual, scale, _SHARE_OF_FACTOR):
        return FAULT_TIMES_1000
    if steady and small and _is_near(value * 1000, usual, scale, _SHARE_OF_FACTOR):
        return FAULT_BY_1000
    if code == _CELSIUS and _is_near((value - 32) / 1.8, usual, scale, _SHARE_OF_TEMPERATURE):
        return FAULT_FAHRENHEIT
    if code == _FAHRENHEIT and _is_near(value * 1.8 + 32, usual, scale, _SHARE_OF_TEMPERATURE):
        return FAULT_CELSIUS
    return 0


@njit(cache=True, nogil=True)
def _is_near(converted: float, usual: float, scale: float, share: float) -> bool:
    return abs(converted - usual) <= max(_ROUNDING * abs(usual), min(_NEAR * scale, share * abs(usual)))
