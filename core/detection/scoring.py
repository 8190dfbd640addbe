"""What the models say of the readings of a batch, and how often they would raise something."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.adhoc.rows import FLAG_AT
from core.detection.row_results import RowResults
from core.maintenance import BAND_STARTS
from core.models import Models, raising

Floats = NDArray[np.float64]

ADVISE_AT: Final = BAND_STARTS[0]
"""Risk from which a machine is advised on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Of how many readings a version judged, and for how many of them it raises something or would do so.

    An anomaly model raises a flag, a risk model a risk in a band above `none`.
    """

    name: str
    version: str
    judged: int
    raised: int


def anomaly_scores(rows: RowResults, models: Models) -> Floats:
    """Scores in [0, 1] that decide on the flag, (n,); NaN where a reading is not scored."""
    anomaly = rows.distance.copy()
    scored = rows.scored
    if models.anomaly is not None and models.flag_by != "distance" and scored.any():
        forest = models.anomaly.score(rows.anomaly[scored])
        anomaly[scored] = raising(anomaly[scored], forest, flag_by=models.flag_by)
    return anomaly


def risks(rows: RowResults, models: Models) -> Floats:
    """Risks in [0, 3], (n,); NaN where a reading gives none."""
    risk = np.full(len(rows.risky), np.nan)
    if models.maintenance is not None and rows.risky.any():
        asked = np.flatnonzero(rows.risky)
        # the rows of a machine side by side: they differ little, and a model may have its use of that
        asked = asked[np.argsort(rows.slot[asked], kind="stable")]
        risk[asked] = models.maintenance.risk(rows.maintenance[asked])
    return risk


def calls_of(models: Models, rows: RowResults, *, anomaly: Floats, risk: Floats) -> tuple[Calls, ...]:
    """The calls of the models that run, whose scores these are, and of those beside them, on the same readings."""
    calls = list(_calls(models, rows, anomaly=anomaly, risk=risk))
    for other in models.beside:
        calls += _calls(other, rows, anomaly=anomaly_scores(rows, other), risk=risks(rows, other))
    return tuple(calls)


def _calls(models: Models, rows: RowResults, *, anomaly: Floats, risk: Floats) -> Iterator[Calls]:
    if models.anomaly is not None:
        yield Calls(
            name=models.anomaly.name,
            version=models.anomaly.version,
            judged=int(rows.scored.sum()),
            raised=int((np.nan_to_num(anomaly) >= FLAG_AT).sum()),
        )
    if models.maintenance is not None:
        # before a machine's baseline is known nobody is advised on it
        advised = rows.risky & rows.warm
        yield Calls(
            name=models.maintenance.name,
            version=models.maintenance.version,
            judged=int(advised.sum()),
            raised=int((risk[advised] >= ADVISE_AT).sum()),
        )
