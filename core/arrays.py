"""Array types by element type, and units of time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int8]
Features = NDArray[np.float32]

HOUR: Final = 3600
"""Seconds of an hour."""
DAY: Final = 24
"""Hours of a day."""
WEEK: Final = 168
"""Hours of a week."""
