"""Choice of the score that raises the flag, and of its false alarm rate, on the calibration split.

The plant's false alarm rate is the upper bound. Where labels show that fewer false alarms cost few
detections, the forest's threshold is set at a lower rate; and where the machine's own distance adds more false alarms
than detections, it does not raise the flag at all. The test split is not used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.metrics import f1_score

from core.arrays import Bools, Floats
from core.detection.features import FeatureFrame
from core.detection.scoring import combine_scores
from core.models import FlagBy
from schemas.scores import FLAG_AT
from trainer.calibration import calibration_knots
from trainer.datasets import Datasets

_RATES: Final = 24  # tried, equally many times rarer from one to the next
_WAYS: Final[tuple[FlagBy, ...]] = ("both", "forest", "distance")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagChoice:
    """A calibration as knots (raw, score), its rate, and what raises the flag.

    evidence: the F1 of each way to flag on the calibration split, at its best rate; empty without labels.
    """

    knots: tuple[tuple[float, ...], tuple[float, ...]]
    rate: float
    flag_by: FlagBy
    evidence: Mapping[str, float]


def choose_flag(
    raw: Floats, data: Datasets, frame: FeatureFrame, *, held_out: Bools, highest_rate: float
) -> FlagChoice:
    """Compare the ways to flag on the labelled readings of the calibration split.

    raw: the forest's scores, uncalibrated, NaN where not scored, (n,). held_out: the normal readings of the
    calibration split, enough to show `highest_rate`. Without labels, or with labels of one kind
    only, both scores raise the flag, the forest's at the highest rate.
    """
    normal = raw[held_out]
    judged = frame.running & (data.split == 1)
    truth = None if data.anomaly is None else data.anomaly[judged]
    if truth is None or not 0 < truth.sum() < truth.size:
        return FlagChoice(knots=_knots(normal, highest_rate), rate=highest_rate, flag_by="both", evidence={})
    best: dict[FlagBy, tuple[float, float]] = {}
    # the rarest rate that so many readings can show at all
    lowest_rate = min(highest_rate, 1 / normal.size)
    for rate in np.geomspace(highest_rate, lowest_rate, _RATES).tolist():
        forest = np.interp(raw[judged], *_knots(normal, rate))
        for way in _WAYS:
            score = combine_scores(frame.distance[judged], forest, flag_by=way)
            f1 = float(f1_score(truth, score >= FLAG_AT, zero_division=0.0))
            # of equal figures the first counts: the allowed rate, and both scores
            if way not in best or f1 > best[way][0]:
                best[way] = (f1, rate)
    chosen = max(_WAYS, key=lambda way: best[way][0])
    rate = best[chosen][1]
    return FlagChoice(
        knots=_knots(normal, rate), rate=rate, flag_by=chosen, evidence={way: f1 for way, (f1, _) in best.items()}
    )


def _knots(normal: Floats, rate: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    raw, score = calibration_knots(normal, rate=rate)
    return tuple(raw.tolist()), tuple(score.tolist())
