"""Volume under the precision-recall surface: quality of a score, tolerant of slightly shifted labels.

Paparrizos et al., "Volume Under the Surface" (VLDB 2022). Labels get buffers of every width up to a window's; an
average precision is taken at each width, and the mean of all is the volume.
"""

from typing import Final

import numpy as np

from core.arrays import Bools, Floats
from core.evaluation.flags import Stretch, stretches

WINDOW: Final = 100
"""Widest buffer, readings: the authors' own choice where a series shows no period."""
_THRESHOLDS: Final = 250  # as in the reference implementation, for equal figures


def vus_pr(truth: Bools, score: Floats, *, window: int = WINDOW) -> float | None:
    """Return the volume in [0, 1] of `score` against `truth`, both (n,); None where nothing is labelled."""
    if not truth.any():
        return None
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    thresholds = ranked[np.linspace(0, len(score) - 1, _THRESHOLDS).astype(np.int64)]
    # a threshold flags all readings of equal score
    raised = np.searchsorted(-ranked, -thresholds, side="right")
    hits = np.cumsum(truth[order])[raised - 1]
    labelled = stretches(truth)
    total = 0.0
    for width in range(window + 1):
        near = np.cumsum(_buffers(truth, labelled, width)[order])[raised - 1]
        highest = np.array([score[begin:end].max() for begin, end in _widened(labelled, width // 2, len(score))])
        seen = (highest[:, None] >= thresholds).mean(axis=0)
        # of a buffer only flagged readings count as positive, by half
        recall = np.minimum((hits + near) / (truth.sum() + near / 2), 1.0) * seen
        total += float(np.diff(np.append(0.0, recall)) @ ((hits + near) / raised))
    return total / (window + 1)


def _buffers(truth: Bools, labelled: list[Stretch], width: int) -> Floats:
    """Return labels in [0, 1] of the readings around the labelled ones, (n,), 0 within them."""
    soft = np.zeros(len(truth))
    for begin, end in labelled if width else ():
        after = np.arange(end, min(end + width // 2, len(truth)))
        soft[after] += np.sqrt(1 - (after - end + 1) / width)
        before = np.arange(max(begin - width // 2, 0), begin)
        soft[before] += np.sqrt(1 - (begin - before) / width)
    return np.where(truth, 0.0, np.minimum(soft, 1.0))


def _widened(labelled: list[Stretch], margin: int, rows: int) -> list[Stretch]:
    """Return the labelled stretches with a margin on both sides; those that then meet are one."""
    merged: list[Stretch] = []
    for begin, end in labelled:
        wide = Stretch(max(begin - margin, 0), min(end + margin, rows))
        if merged and wide.begin < merged[-1].end:
            wide = Stretch(merged.pop().begin, wide.end)
        merged.append(wide)
    return merged
