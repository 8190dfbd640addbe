"""Figures of flags and scores against labels, reading by reading."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.stats import rankdata

from core.arrays import Bools, Floats

CHANGE_POINT_READINGS: Final = 60
"""Readings after the start of a labelled stretch within which a flag counts as having found it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagFigures:
    """Figures of flags against labels, each in [0, 1]; None where undefined.

    false_alarm_rate: flagged share of the normal readings; missed_alarm_rate: unflagged share of the anomalous ones.
    """

    readings: int
    anomalous: int
    flagged: int
    f1: float | None
    precision: float | None
    false_alarm_rate: float | None
    missed_alarm_rate: float | None


class Stretch(NamedTuple):
    """Consecutive rows of one kind: the first one, and the one after the last."""

    begin: int
    end: int


def flag_figures(truth: Bools, flagged: Bools) -> FlagFigures:
    """Return the figures of `flagged` against `truth`, both (n,)."""
    hits, anomalous = int((truth & flagged).sum()), int(truth.sum())
    raised, normal = int(flagged.sum()), len(truth) - anomalous
    return FlagFigures(
        readings=len(truth),
        anomalous=anomalous,
        flagged=raised,
        f1=_share(2 * hits, anomalous + raised),
        precision=_share(hits, raised),
        false_alarm_rate=_share(raised - hits, normal),
        missed_alarm_rate=_share(anomalous - hits, anomalous),
    )


def roc_auc(truth: Bools, score: Floats) -> float | None:
    """Return the probability that an anomalous reading scores higher than a normal one; None without both kinds.

    truth, score: (n,). Of equal scores half counts (Mann and Whitney 1947).
    """
    anomalous = int(truth.sum())
    normal = len(truth) - anomalous
    if not anomalous or not normal:
        return None
    ranks = rankdata(score)
    return float((ranks[truth].sum() - anomalous * (anomalous + 1) / 2) / (anomalous * normal))


def stretches(marked: Bools) -> list[Stretch]:
    """Return the runs of true values of `marked`, (n,), in order."""
    edges = np.diff(np.concatenate([[0], marked.astype(np.int8), [0]]))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [Stretch(int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]


def change_points_found(truth: Bools, flagged: Bools) -> tuple[int, int]:
    """Return how many labelled stretches are flagged within `CHANGE_POINT_READINGS` of their start, and how many are.

    A flag that stood before the stretch began has found nothing: it must rise within the stretch.
    """
    rises = flagged & ~np.append(False, flagged[:-1])
    labelled = stretches(truth)
    found = sum(bool(rises[s.begin : min(s.end, s.begin + CHANGE_POINT_READINGS)].any()) for s in labelled)
    return found, len(labelled)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
