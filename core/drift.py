"""Drift of a model's output: its newest values compared with a reference, such as its first ones."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from core.arrays import Floats

_BINS: Final = 20
_SMOOTHING: Final = 0.5  # values added to each bin, so that an empty one has a logarithm


def population_stability_index(before: Floats, now: Floats) -> float:
    """Return the index of two histograms, (b,) counts each: 0 for equal ones, 0.1 for a shift, 0.25 for a large one."""
    first, second = (counts + _SMOOTHING for counts in (before, now))
    first, second = first / first.sum(), second / second.sum()
    return float(((second - first) * np.log(second / first)).sum())


@dataclass(slots=True, kw_only=True)
class DriftWatch:
    """Histograms of a version: a reference, and its newest values, with exponential decay.

    The reference is that of the first `memory` values, or one that was adopted. highest: the values lie in
    [0, highest].
    """

    version: str
    highest: float
    memory: int
    _before: Floats = field(default_factory=lambda: np.zeros(_BINS))
    _now: Floats = field(default_factory=lambda: np.zeros(_BINS))

    def add(self, values: Floats) -> None:
        """Count values, (n,); NaN is ignored."""
        values = values[np.isfinite(values)]
        counts = np.histogram(values, bins=_BINS, range=(0.0, self.highest))[0].astype(np.float64)
        self._now = self._now * np.exp(-len(values) / self.memory) + counts
        if self._before.sum() < self.memory:
            self._before += counts

    @property
    def reference(self) -> Floats | None:
        """Counts of the reference; None until it is complete."""
        return self._before if self._before.sum() >= self.memory else None

    def fits(self, counts: Floats) -> bool:
        """Return whether these counts are a complete reference for such a watch."""
        return counts.shape == (_BINS,) and bool((counts >= 0).all()) and self.memory <= counts.sum() < np.inf

    def adopt(self, counts: Floats) -> None:
        """Take these counts, which fit, as the reference."""
        self._before = counts

    @property
    def index(self) -> float | None:
        """Population stability index; None until reference and newest values are enough of both."""
        if self.reference is None or self._now.sum() < self.memory / 2:
            return None
        return population_stability_index(self._before, self._now)
