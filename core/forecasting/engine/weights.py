"""Weights of members by their errors at complete origins, for each day of the horizon."""

from typing import Final

import numpy as np

from core.arrays import DAY, Bools, Floats
from core.forecasting.names import BLEND

TAKEOVER: Final = 28
"""Complete origins over which the blend and the seasonal median are compared."""
WEIGHED: Final = 168
"""Newest complete origins by whose errors members are weighted."""
_POWER: Final = 24
_HALF_LIFE: Final = 84.0  # origins, a day apart
_ALONE: Final = 0.95


def horizon_days(steps: int) -> int:
    """Return how many days a horizon touches."""
    return -(-steps // DAY)


def by_day(values: Floats) -> Floats:
    """Return means of the known values over each day of the horizon: (..., s) to (..., d), NaN without any."""
    steps = values.shape[-1]
    padded = np.full((*values.shape[:-1], horizon_days(steps) * DAY), np.nan)
    padded[..., :steps] = values
    return known_mean(padded.reshape(*values.shape[:-1], -1, DAY), axis=-1)


def known_mean(values: Floats, *, axis: int | None) -> Floats:
    """Return the mean of the known values along an axis, NaN without any."""
    present = ~np.isnan(values)
    count = present.sum(axis=axis)
    return np.asarray(np.where(count > 0, np.where(present, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan))


def fading_mean(errors: Floats) -> Floats:
    """Return mean over the first axis, oldest first, of what is known, newer ones counting more; NaN: nothing is."""
    ageing = 0.5 ** (np.arange(len(errors))[::-1] / _HALF_LIFE)
    present = ~np.isnan(errors)
    total = np.tensordot(ageing, present, axes=1)
    summed = np.tensordot(ageing, np.where(present, errors, 0.0), axes=1)
    return np.asarray(np.where(total > 0, summed / np.where(total > 0, total, 1.0), np.nan))


def weights_of(errors: Floats) -> Floats:
    """Return weights (m, d) of members by their mean absolute errors (k, m, d), newest last; each day sums to 1.

    An origin counts half as much as one 84 days later.
    """
    mean = fading_mean(errors)
    present = ~np.isnan(mean)
    best = np.where(present, mean, np.inf).min(axis=0)
    # members without any error share the day alone; it must not be divided by zero for them
    share = np.where(present & (best > 0), best, present & (mean == 0)) / np.where(present & (mean > 0), mean, 1.0)
    weights = np.power(np.where(np.isfinite(share), share, 0.0), _POWER)
    weights[0, weights.sum(axis=0) == 0] = 1.0  # no evidence at all: the first member, which needs none
    return np.asarray(weights / weights.sum(axis=0))


def blended(forecasts: Floats, weights: Floats, medians: Bools) -> Floats:
    """Return the blend (..., s) of members' forecasts (..., m, s), over those that are finite.

    It lies between their weighted mean and their weighted median, by the weight of those that are `medians`, (m,):
    where these are best the hours are of several kinds, and the mean of two kinds does not occur.
    """
    spread = np.repeat(weights, DAY, axis=1)[:, : forecasts.shape[-1]]
    finite = np.isfinite(forecasts)
    weight = np.where(finite, spread, 0.0)
    total = weight.sum(axis=-2)
    scale = np.where(total > 0, total, 1.0)
    known = np.where(finite, forecasts, 0.0)
    mean = (known * weight).sum(axis=-2) / scale
    order = np.argsort(known, axis=-2)
    summed = np.cumsum(np.take_along_axis(weight, order, axis=-2), axis=-2)
    middle = np.take_along_axis(order, (summed >= total[..., None, :] / 2).argmax(axis=-2)[..., None, :], axis=-2)
    median = np.take_along_axis(known, middle, axis=-2)[..., 0, :]
    share = weight[..., medians, :].sum(axis=-2) / scale
    return np.asarray(np.where(total > 0, mean + share * (median - mean), forecasts[..., 0, :]))


def taken_over(errors: Floats, *, margin: float = 1.0) -> Floats:
    """Return whether, on each day (d,), the blend, last of errors (k, m + 1, d), exceeded `margin` times the median."""
    mean = known_mean(errors[-TAKEOVER:], axis=0)
    return np.asarray(mean[-1] > margin * mean[0])


def name_of(weights: Floats, names: tuple[str, ...]) -> str:
    """Return the member that has nearly all weight on all days, or `blend`."""
    leader = int(weights.sum(axis=1).argmax())
    return names[leader] if weights[leader].min() >= _ALONE else BLEND
