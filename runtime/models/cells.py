"""Skipping of repeated rows in a forest: adjacent rows between the same cuts have the same value.

A machine's slow averages move little from one reading to the next. At a reading a second three rows in four lie between
the same cuts as the row before them, and checking that takes a tenth of the forest's time.
"""

from typing import Self

import numpy as np
from numba import njit
from onnx import ModelProto

from core.arrays import Features, Ints

_BRANCH, _LEAF = b"BRANCH_LEQ", b"LEAF"


class Cells:
    """The cells into which the cuts of all trees divide the space of the features."""

    def __init__(self, cuts: list[Features]) -> None:
        """Sort the cuts, given by feature; a row is left of a cut when its value is at most the cut."""
        # with these at the ends, whatever is a number lies between two cuts
        sides = [np.unique(np.concatenate([each, [-np.inf, np.inf]]).astype(np.float32)) for each in cuts]
        self._cuts = np.concatenate(sides)
        self._ends = np.cumsum([0, *map(len, sides)]).astype(np.int64)

    @classmethod
    def of(cls, graph: bytes, *, n_features: int) -> Self | None:
        """Return the cells of a single-node tree ensemble; None if it has nodes other than x <= cut."""
        attributes = {each.name: each for each in ModelProto.FromString(graph).graph.node[0].attribute}
        modes = np.array(attributes["nodes_modes"].strings)
        if not np.isin(modes, [_BRANCH, _LEAF]).all():
            return None
        features = np.array(attributes["nodes_featureids"].ints)
        values = np.array(attributes["nodes_values"].floats, dtype=np.float32)
        return cls([values[(modes == _BRANCH) & (features == feature)] for feature in range(n_features)])

    def runs(self, rows: Features) -> tuple[Ints, Ints]:
        """Return the first row of each run of rows in one cell, (r,), and the run of each row, (n,), of rows (n, F).

        A row with a NaN or an infinity is a run of its own.
        """
        run_of = np.empty(len(rows), dtype=np.int64)
        first = np.empty(len(rows), dtype=np.int64)
        runs = _runs(rows, self._cuts, self._ends, first, run_of)
        return first[:runs], run_of


@njit(cache=True, nogil=True)
def _runs(rows: Features, cuts: Features, ends: Ints, first: Ints, run_of: Ints) -> int:
    features = rows.shape[1]
    # sides of the cell of the row before; nothing lies between these
    low, high = np.full(features, np.inf, dtype=np.float32), np.full(features, -np.inf, dtype=np.float32)
    runs = 0
    for row in range(len(rows)):
        left = row == 0
        for feature in range(features):
            value = rows[row, feature]
            if low[feature] < value <= high[feature]:
                continue
            left = True
            if not np.isfinite(value):
                low[feature], high[feature] = np.inf, -np.inf
                continue
            own = cuts[ends[feature] : ends[feature + 1]]
            at = np.searchsorted(own, value)
            low[feature], high[feature] = own[at - 1], own[at]
        if left:
            first[runs] = row
            runs += 1
        run_of[row] = runs - 1
    return runs
