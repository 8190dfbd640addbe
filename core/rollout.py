"""Roll-out of a model version: alert counts of each version, and the check of its canary window."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.arrays import Floats
from core.detection.scoring import anomaly_scores
from core.maintenance import ADVISE_AT, advisable, risks
from core.models import Models
from core.row_results import RowResults
from schemas.scores import FLAG_AT


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCounts:
    """Readings of a batch that a version scored, and how many of them it alerts on or, as a shadow, would alert on.

    An anomaly model alerts with a flag, a risk model with a risk in a band above `none`.
    """

    name: str
    version: str
    scored: int
    alerting: int


def count_alerts(models: Models, rows: RowResults, *, anomaly: Floats, risk: Floats) -> tuple[AlertCounts, ...]:
    """Return the counts of the running models, which gave `scores`, and of their shadows on the same readings."""
    counts = list(_counts(models, rows, anomaly=anomaly, risk=risk))
    for shadow in models.shadows:
        counts += _counts(shadow, rows, anomaly=anomaly_scores(rows, shadow), risk=risks(rows, shadow))
    return tuple(counts)


def _counts(models: Models, rows: RowResults, *, anomaly: Floats, risk: Floats) -> Iterator[AlertCounts]:
    if models.anomaly is not None:
        yield AlertCounts(
            name=models.anomaly.name,
            version=models.anomaly.version,
            scored=int(rows.scored.sum()),
            alerting=int((np.nan_to_num(anomaly) >= FLAG_AT).sum()),
        )
    if models.maintenance is not None:
        advised = advisable(rows, models)
        yield AlertCounts(
            name=models.maintenance.name,
            version=models.maintenance.version,
            scored=int(advised.sum()),
            alerting=int((risk[advised] >= ADVISE_AT).sum()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateBounds:
    """Bounds of a version's alert rate, alerting / scored readings, relative to the previous version's.

    At most `factor` times the usual rate plus `margin`, at least usual / `factor` less `margin`. The margin is a share
    of all readings, as three times very few alerts are still few.
    """

    factor: float
    margin: float

    def around(self, usual: float) -> tuple[float, float]:
        """Return the lowest and the highest rate within bounds, in [0, 1]."""
        return max(0.0, usual / self.factor - self.margin), min(1.0, usual * self.factor + self.margin)


@dataclass(slots=True, kw_only=True)
class CanaryCheck:
    """Comparison of a promoted version with the previous one, on the readings that both scored in the canary window.

    least: readings that a verdict needs. scored, alerting, alerting_before: counts since the last verdict; the last
    one is that of the previous version.
    """

    name: str
    version: str
    previous: str
    bounds: RateBounds
    least: int
    scored: int = 0
    alerting: int = 0
    alerting_before: int = 0

    def add(self, counts: tuple[AlertCounts, ...]) -> None:
        """Count a batch, if both versions scored it."""
        own = {count.version: count for count in counts if count.name == self.name}
        if self.version in own and self.previous in own:
            self.scored += own[self.version].scored
            self.alerting += own[self.version].alerting
            self.alerting_before += own[self.previous].alerting

    def violation(self) -> str | None:
        """Return the reason to roll the version back, or None; a rate within bounds resets the counts."""
        if self.scored < self.least:
            return None
        rate, usual = self.alerting / self.scored, self.alerting_before / self.scored
        lowest, highest = self.bounds.around(usual)
        if lowest <= rate <= highest:
            self.scored = self.alerting = self.alerting_before = 0
            return None
        return (
            f"alert rate {rate:.1%} is outside {lowest:.1%} to {highest:.1%}, as {self.previous} raises {usual:.1%} "
            f"on the same {self.scored:,} readings"
        )
