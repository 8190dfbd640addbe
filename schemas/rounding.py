"""Rounding of numbers in messages: the significant digits of each kind of number.

Scores, shares and risks
    `DECIMALS` decimals. Further ones are cut, not rounded, so that no score climbs over a threshold and nothing that
    is incomplete becomes complete.
Quantities: values of sensors, energies, powers, deviations, costs
    6 significant digits, but no digit before the decimal point is lost (registers of counters), and at most 9
    decimals, so that what rounds to nothing is 0.0.

The types of `schemas.message` apply the rule when a message or an answer becomes JSON; in Python, and in the state of
a machine, numbers stay exact. `core.rounding` applies it to arrays, `processor.score_writer` in compiled code.
"""

from bisect import bisect_right
from math import isfinite
from typing import Final

DECIMALS: Final = 4
UNITS: Final = 10**DECIMALS
"""Steps of a score from 0 to 1."""
TOLERANCE: Final = 1e-9
"""In steps. The product of a number of exactly `DECIMALS` decimals with `UNITS` may fall short by its last bit."""
MAGNITUDES: Final = tuple(10.0**exponent for exponent in range(-3, 6))
"""Magnitudes from which on a quantity has one decimal less than the 9 of the smallest."""
SCALES: Final = tuple(10.0 ** (len(MAGNITUDES) - place) for place in range(len(MAGNITUDES) + 1))
"""Steps of a unit at each magnitude. All are exact, so a division by them gives the float nearest to the decimal."""


def cut_score(value: float) -> float:
    """Return a score, share or risk with `DECIMALS` decimals, further ones cut. NaN and infinities stay."""
    return int(value * UNITS + TOLERANCE) / UNITS if isfinite(value) else value


def round_quantity(value: float) -> float:
    """Return a quantity with 6 significant digits, see the head of this module. NaN and infinities stay."""
    if not isfinite(value):
        return value
    scale = SCALES[bisect_right(MAGNITUDES, abs(value))]
    return round(value * scale) / scale


def in_words(value: float, digits: int = 4) -> str:
    """Return a number as a sentence has it: `digits` significant digits, whole numbers whole, never an exponent."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return f"{round_quantity(float(f'{value:.{digits}g}')):.9f}".rstrip("0").rstrip(".")
