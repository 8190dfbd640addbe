"""Conformal intervals from past errors, scaled by the usual error of the hour of the day.

Residuals are divided by their usual size at that hour of a working or a free day; what is left is pooled for each day
of the horizon, and its quantiles, multiplied again, make the bounds. Newer origins count more (half-life 28 days), and
the share that is to be missed follows what was missed (adaptive conformal inference, Gibbs and Candès 2021).
"""

from typing import Final

import numpy as np

from core.arrays import DAY, Bools, Floats, Ints
from core.forecasting.engine.series import LEVEL
from core.forecasting.engine.weights import by_day, known_mean

KEPT: Final = 84
"""How many complete origins are kept; older ones would count less than an eighth."""
_HALF_LIFE: Final = 28.0  # origins, which are a day apart
_RATE: Final = 0.02
_ALPHA: Final = (0.02, 0.6)


def bounds_of(
    value: Floats,
    residuals: Floats,
    *,
    targets: Ints,
    free: Bools,
    past: Ints,
    past_free: Bools,
    alpha: Floats,
) -> tuple[Floats, Floats]:
    """Return lower and upper bounds (s,) of a forecast, from residuals (k, s), oldest origin first, NaN where unknown.

    targets, past: the hours of the forecast (s,) and of the residuals (k, s); free, past_free: whether they lie on a
    weekend or holiday. alpha: (d,) the share to be missed.
    """
    sizes = _usual_sizes(residuals, past % DAY, past_free)
    here = sizes[free.astype(int), targets % DAY]
    there = sizes[past_free.astype(int), past % DAY]
    relative = residuals / there
    age = np.arange(len(residuals))[::-1, None]
    weights = np.broadcast_to(0.5 ** (age / _HALF_LIFE), residuals.shape)
    lower, upper = value.copy(), value.copy()
    for day, missed in enumerate(alpha):
        steps = slice(day * DAY, (day + 1) * DAY)
        low, high = _quantiles(relative[:, steps].ravel(), weights[:, steps].ravel(), float(missed))
        lower[steps] += low * here[steps]
        upper[steps] += high * here[steps]
    return np.minimum(lower, value), np.maximum(upper, value)


def adapted(alpha: Floats, hits: Floats) -> Floats:
    """Return the share to be missed after an origin with the share `hits` (d,) between the bounds."""
    step = _RATE * ((1 - LEVEL) - (1 - hits))
    return np.asarray(np.clip(alpha + np.nan_to_num(step), *_ALPHA))


def hits_of(actual: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return share of each horizon day between the bounds, (..., s) to (..., d)."""
    inside = (actual >= lower) & (actual <= upper)
    return by_day(np.where(np.isnan(actual), np.nan, inside))


def _usual_sizes(residuals: Floats, hours: Ints, free: Bools) -> Floats:
    """Return mean absolute residual of each hour of the day, on working and on free days: (2, 24), never zero."""
    sizes = np.full((2, DAY), np.nan)
    present = ~np.isnan(residuals)
    for kind in (0, 1):
        chosen = present & (free == bool(kind))
        summed = np.bincount(hours[chosen], np.abs(residuals[chosen]), DAY)
        count = np.bincount(hours[chosen], minlength=DAY)
        sizes[kind] = np.where(count > 0, summed / np.maximum(count, 1), np.nan)
    overall = float(known_mean(np.abs(residuals), axis=None)) if present.any() else 0.0
    both = known_mean(sizes, axis=0)
    sizes = np.where(np.isnan(sizes), np.where(np.isnan(both), overall, both), sizes)
    smooth = (np.roll(sizes, 1, axis=1) + 2 * sizes + np.roll(sizes, -1, axis=1)) / 4
    return np.asarray(np.maximum(smooth, 1e-6 * overall + 1e-12))


def _quantiles(values: Floats, weights: Floats, missed: float) -> tuple[float, float]:
    present = ~np.isnan(values)
    values, weights = values[present], weights[present]
    if not len(values):
        return 0.0, 0.0
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    places = (np.cumsum(weights) - weights / 2) / weights.sum()
    # conformal: the next value is one more of n + 1
    effective = weights.sum() ** 2 / (weights**2).sum()
    half = missed / 2 - (1 - missed) / 2 / effective
    low, high = np.interp((half, 1 - half), places, values)
    return float(low), float(high)
