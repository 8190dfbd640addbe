"""Results of the compiled pass for each reading of a batch."""

from typing import Final, NamedTuple, Self

import numpy as np

from core.arrays import Bools, Codes, Features, Floats, Ints
from schemas.scores import BaselineLevel

LEARN: Final = 0
REST: Final = 1
DETECT: Final = 2
FIRST: Final = 3
"""Phases of a machine: learning its baseline; standing or settling; compared with its baseline; or running since its
first reading, with no baseline of its own yet."""

LEVEL_LIMITS: Final = 0
LEVEL_PLANT: Final = 1
LEVEL_TYPE: Final = 2
LEVEL_HISTORY: Final = 3
LEVEL_MACHINE: Final = 4
LEVELS: Final[tuple[BaselineLevel, ...]] = ("limits", "plant", "type", "history", "machine")
"""Levels of baselines in the order of their codes: from nothing learned to the machine's own."""

FAULT_NONE: Final = 0
FAULT_MISSING: Final = 1
FAULT_STUCK: Final = 2
FAULT_IMPOSSIBLE: Final = 3
FAULT_TIMES_1000: Final = 4
FAULT_BY_1000: Final = 5
FAULT_FAHRENHEIT: Final = 6
FAULT_CELSIUS: Final = 7


class RowResults(NamedTuple):
    """Results of each reading; n rows, S sensors, D of them watched.

    slot (n,): row of the machine in the tables.
    newest (n,): time of the machine, epoch s: that of its newest reading so far, which never runs backwards.
    condition (n,) code; phase (n,) code; warm (n,): its baseline is learned, or the share `progress` (n,) of it.
    level (n,): code of the baseline's level. scored (n,): running, settled, and compared with a baseline.
    anomaly (n, D + 2) and maintenance (n, Fm) features; risky (n,): the slow averages exist.
    distance (n,): score of the machine's own distance in [0, 1], NaN where not scored, 0.5 at its limit.
    expected (n, D) in the sensors' units; deviation (n, D) in scales; contribution (n, D), at least 0, sum 1.
    leaning (n, D): deviation in scales, averaged where the detector averages it; 0 where it does not.
    substantial (n,): a sensor that carries the score is off by its minimum deviation. fault (n, S) code.
    """

    slot: Ints
    newest: Floats
    condition: Ints
    phase: Codes
    warm: Bools
    progress: Features
    level: Codes
    scored: Bools
    anomaly: Features
    maintenance: Features
    risky: Bools
    distance: Floats
    expected: Features
    deviation: Features
    leaning: Features
    contribution: Features
    substantial: Bools
    fault: Codes

    @classmethod
    def empty(cls, slots: Ints, *, sensors: int, watched: int, maintenance: int) -> Self:
        """Return room for the results of readings of the machines in these `slots`, (n,)."""
        rows = len(slots)
        return cls(
            slot=slots,
            newest=np.zeros(rows, dtype=np.float64),
            condition=np.zeros(rows, dtype=np.int64),
            phase=np.zeros(rows, dtype=np.int8),
            warm=np.zeros(rows, dtype=np.bool_),
            progress=np.zeros(rows, dtype=np.float32),
            level=np.zeros(rows, dtype=np.int8),
            scored=np.zeros(rows, dtype=np.bool_),
            anomaly=np.zeros((rows, watched + 2), dtype=np.float32),
            maintenance=np.zeros((rows, maintenance), dtype=np.float32),
            risky=np.zeros(rows, dtype=np.bool_),
            distance=np.full(rows, np.nan),
            expected=np.full((rows, watched), np.nan, dtype=np.float32),
            deviation=np.zeros((rows, watched), dtype=np.float32),
            leaning=np.zeros((rows, watched), dtype=np.float32),
            contribution=np.zeros((rows, watched), dtype=np.float32),
            substantial=np.zeros(rows, dtype=np.bool_),
            fault=np.zeros((rows, sensors), dtype=np.int8),
        )
