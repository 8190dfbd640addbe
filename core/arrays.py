"""Names of the array types and of the spans of time that all rules share."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int8]
Features = NDArray[np.float32]

HOUR: Final = 3600
"""Seconds."""
