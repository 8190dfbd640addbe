"""The rule of `schemas.rounding` for arrays of any shape, to the same numbers."""

from typing import Final

import numpy as np

from core.arrays import Floats
from schemas.rounding import MAGNITUDES, SCALES, TOLERANCE, UNITS

_MAGNITUDES: Final = np.array(MAGNITUDES)
_SCALES: Final = np.array(SCALES)


def cut_scores(values: Floats) -> Floats:
    """Return scores, shares or risks with 4 decimals, further ones cut; NaN stays."""
    cut: Floats = np.trunc(values * UNITS + TOLERANCE) / UNITS
    return cut


def round_quantities(values: Floats) -> Floats:
    """Return quantities with 6 significant digits; NaN and infinities stay."""
    scale = _SCALES[np.searchsorted(_MAGNITUDES, np.abs(values), side="right")]
    # adding 0.0 makes 0.0 of -0.0
    rounded: Floats = np.rint(values * scale) / scale + 0.0
    return rounded
