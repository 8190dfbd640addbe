"""The forecast that needs no training: the median of the same phase in the seasons before.

It is what other models must beat, and what answers when none of them can.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NAME: Final = "seasonal_median"
_SEASONS: Final = 8  # seasons whose median counts; older ones say less than they cost

_MOST_ORIGINS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A forecast of h steps in the series' unit; between lower and upper lies `level` of what comes, (h,)."""

    value: Floats
    lower: Floats
    upper: Floats
    season: int


def forecast_seasonal(values: Floats, *, horizon: int, seasons: tuple[int, ...], level: float = 0.8) -> Course:
    """The course of `values`, (n,) with NaN where missing and at least one known, over the next `horizon` steps.

    seasons: lengths to choose from, in steps; that with the least error over the newest half is taken. Without a
    season that the series has two of, its recent level stands still and the interval widens with the steps ahead.
    """
    found = [
        (season, _residuals(values, season)) for season in (1, *seasons) if season == 1 or len(values) >= 2 * season
    ]
    errors = [_error(residuals) for _, residuals in found]
    season, residuals = found[int(np.nanargmin(errors))] if not np.isnan(errors).all() else found[0]
    phases = _phases(values, season)
    ahead = (len(values) + np.arange(horizon)) % season
    value = _latest(values, phases)[ahead]
    known = np.abs(residuals[~np.isnan(residuals)])
    # conformal: the quantile of n residuals that covers `level` of the next one
    share = min(1.0, level * (1 + 1 / len(known))) if len(known) else level
    width = float(np.quantile(known, share)) if len(known) else 0.0
    steps = np.sqrt(np.arange(1, horizon + 1)) if season == 1 else np.sqrt(1 + np.arange(horizon) // season)
    return Course(value=value, lower=value - width * steps, upper=value + width * steps, season=season)


def _phases(values: Floats, season: int) -> Floats:
    """Rows of one season each, the columns aligned to `index % season`; the last row is filled up with NaN."""
    rows = -(-len(values) // season)
    table = np.full(rows * season, np.nan)
    table[: len(values)] = values
    return table.reshape(rows, season)


def _latest(values: Floats, phases: Floats) -> Floats:
    """The forecast for each phase; one never heard gets the median of all."""
    recent = phases[-_SEASONS - 1 :]
    overall = float(np.nanmedian(values))
    spoken = ~np.isnan(recent).all(axis=0)
    latest = np.full(phases.shape[1], overall)
    latest[spoken] = np.nanmedian(recent[:, spoken], axis=0)
    return latest


def _residuals(values: Floats, season: int) -> Floats:
    """Errors of the same rule within the newest half of the series, NaN where it could not have answered."""
    phases = _phases(values, season)
    first = max(1, len(phases) // 2, len(phases) - _MOST_ORIGINS)
    errors = np.full_like(phases, np.nan)
    for row in range(first, len(phases)):
        before = phases[max(0, row - _SEASONS) : row]
        spoken = ~np.isnan(before).all(axis=0)
        errors[row, spoken] = phases[row, spoken] - np.nanmedian(before[:, spoken], axis=0)
    return errors.reshape(-1)


def _error(residuals: Floats) -> float:
    known = residuals[~np.isnan(residuals)]
    return float(np.abs(known).mean()) if len(known) else float("nan")
