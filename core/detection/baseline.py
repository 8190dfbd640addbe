"""Baseline of one machine: its normal behaviour, learned from its first readings.

The method is a multivariate control chart: exponentially weighted averages of standardised readings (MEWMA,
Lowry et al. 1992) and a shrunken covariance (Ledoit and Wolf 2004). The variance of channels that drift is inflated.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from scipy.special import fdtri

from core.arrays import Bools, Floats

CLIP: Final = 5.0  # standard deviations; a single outlier must not dominate an average
_BLOCK: Final = 40  # readings of a block, for the estimate of drift
_SKIP: Final = 30  # readings until an average is independent of its start
_START: Final = 20  # readings whose mean starts an average
SPREAD_MEAN_GAIN: Final = 0.1
SPREAD_GAIN: Final = 0.05
"""Weights of the newest reading in a sensor's moving mean and in the variance around it."""
LEARN_SECONDS: Final = 14 * 86_400.0
ACCEPT_SECONDS: Final = 6 * 3600.0
"""Time constants of a baseline: following a calm machine, and one that stays at another level."""
VARIANCE_CLIP: Final = 25.0  # squared scales
_SPREAD_FLOOR: Final = 0.05  # squared scales; differences between smaller variances are irrelevant
_SPREAD_SKIP: Final = 60  # readings until a variance is independent of its start
_LEAST_NOISE: Final = 0.1  # scales; readings much closer in time than the machine reacts hardly differ
_FEW: Final = 2.0  # standard errors by which the noise of few readings is widened


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Normal behaviour of D sensors.

    mean, scale: of each sensor in its unit, (D,); the mean of a sensor without values is NaN. noise: its movement
    from one reading to the next, in scales, within 0.1 and 1, (D,). drift: variance of its random walk per reading, in
    squared scales, (D,). precision: inverse covariances of the fast and slow averages, (2, D, D). typical: median
    squared distance of each, (2,). limit: ratio to `typical` that normal readings exceed at the stated rate. averages:
    the fast and slow averages after the last reading, (2, D).

    Of the moving variances, whose features are ln(variance + spread_floor): spread_usual, their means, (D,);
    spread_precision, such that the squared distance from them is 1 at their own limit, (D, D); spread_mean and
    spread, the means and variances after the last reading in scales and squared scales, (D,).
    """

    mean: Floats
    scale: Floats
    noise: Floats
    drift: Floats
    precision: Floats
    typical: Floats
    limit: float
    averages: Floats
    spread_usual: Floats
    spread_floor: Floats
    spread_precision: Floats
    spread_mean: Floats
    spread: Floats


def fit_baseline(
    rows: Floats, *, smoothing: tuple[float, float], false_alarm_rate: float, least_scale: Floats
) -> Baseline:
    """Return the baseline of `rows`, (n, D) with NaN where missing; n at least 20.

    smoothing: weights of the newest reading in the fast and the slow average. false_alarm_rate: share of normal
    readings beyond the limit. least_scale: (D,), floor of the scale in the sensors' units, so that the first step of a
    constant sensor raises no alarm.
    """
    n, sensors = rows.shape
    seen = ~np.isnan(rows)
    mean, spread, scale = _level_of(rows, seen, least_scale)
    centred = np.where(seen, rows - mean, 0.0)
    # a sensor that moved less than its floor gets the noise of the floor
    lacking = 1.0 - (spread / scale) ** 2
    moving = max(1.0, float(sensors - lacking.sum()))
    z = np.clip(centred / scale, -CLIP, CLIP)
    drift = _drift(z)
    known = np.where(seen, z, np.nan)
    early = min(_START, n)
    start = z[:early].sum(axis=0) / np.maximum(seen[:early].sum(axis=0), 1)
    skip = min(_SKIP, n // 4)
    precision = np.empty((2, sensors, sensors))
    typical = np.empty(2)
    limits = np.empty(2)
    averages = np.empty((2, sensors))
    for which, weight in enumerate(smoothing):
        smooth = _smoothed(known, weight, start)
        inflation = 50.0 * drift + lacking * weight / (2 - weight) + 1e-9
        covariance = ledoit_wolf(smooth[skip:]) + np.diag(inflation)
        precision[which] = np.linalg.inv(covariance)
        distances = np.einsum("ni,ij,nj->n", smooth[skip:], precision[which], smooth[skip:])
        typical[which] = max(float(np.median(distances)), 1e-9)
        limits[which] = _limit(n, moving, weight, false_alarm_rate) / typical[which]
        averages[which] = smooth[-1]
    # the floor of the plant file for nearly constant sensors applies to their variance too
    still = 1.0 - np.minimum(spread / np.where(least_scale > 0, np.maximum(spread, least_scale), 1.0), 1.0) ** 2
    still = np.where(least_scale > 0, still, 0.0)
    spread_floor = _SPREAD_FLOOR + still
    features, spread_mean, moving_spread = _spreads(known, spread_floor)
    features = features[min(_SPREAD_SKIP, n // 2) :]
    usual = features.mean(axis=0)
    features -= usual
    # a sensor that moved less than its floor gets the uncertainty of the floor's variance
    covariance = ledoit_wolf(features) + np.diag(still * 2 * SPREAD_GAIN / (2 - SPREAD_GAIN) + 1e-9)
    spread_precision = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    typical_spread = np.median(np.einsum("ni,ij,nj->n", features, spread_precision, features))
    spread_limit = max(_limit(n, moving, SPREAD_GAIN, false_alarm_rate), float(typical_spread))
    return Baseline(
        mean=mean,
        scale=scale,
        noise=np.clip(np.maximum(_noise(rows), least_scale) / scale, _LEAST_NOISE, 1.0),
        drift=drift,
        precision=precision,
        typical=typical,
        limit=float(np.sqrt(limits.prod())),
        averages=averages,
        spread_usual=usual,
        spread_floor=spread_floor,
        spread_precision=spread_precision / spread_limit,
        spread_mean=spread_mean,
        spread=moving_spread,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """Estimates from a few readings of D sensors: mean and scale in their units, noise in scales, (D,) each."""

    mean: Floats
    scale: Floats
    noise: Floats


def first_look(rows: Floats, *, least_scale: Floats, by_noise: bool) -> FirstLook:
    """Return the estimates from the first `rows`, (n, D), NaN where missing; n at least 2.

    by_noise: use the noise between successive readings; otherwise that of all rows around their mean. The fewer rows,
    the wider the noise: the deviation of ten readings may be half of the true one.
    """
    seen = ~np.isnan(rows)
    mean, _, scale = _level_of(rows, seen, least_scale)
    noise = np.ones(rows.shape[1])
    if by_noise:
        noise = np.clip(np.maximum(_noise(rows), least_scale) / scale, _LEAST_NOISE, 1.0)
    return FirstLook(mean=mean, scale=scale, noise=noise * (1.0 + _FEW / np.sqrt(len(rows))))


def _level_of(rows: Floats, seen: Bools, least_scale: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean, NaN where never seen, standard deviation and scale of the columns, (D,) each."""
    counts = seen.sum(axis=0)
    divisor = np.maximum(counts, 1)
    mean = np.where(counts > 0, np.where(seen, rows, 0.0).sum(axis=0) / divisor, np.nan)
    centred = np.where(seen, rows - mean, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / divisor)
    scale = np.maximum(spread, np.maximum(least_scale, np.nan_to_num(1e-3 * np.abs(mean))))
    return mean, spread, np.where(scale > 0, scale, 1.0)


def ledoit_wolf(rows: Floats) -> Floats:
    """Return the covariance of `rows`, (n, D), shrunk towards a scaled identity (Ledoit and Wolf 2004, eq. 14)."""
    n, sensors = rows.shape
    centred = rows - rows.mean(axis=0)
    sample: Floats = centred.T @ centred / n
    level = np.trace(sample) / sensors
    spread = ((sample - level * np.eye(sensors)) ** 2).sum()
    if spread == 0:
        return sample
    noise = ((centred**2).sum(axis=1) ** 2).sum() / n**2 - (sample**2).sum() / n
    shrinkage = min(max(noise, 0.0), spread) / spread
    shrunken: Floats = (1 - shrinkage) * sample + shrinkage * level * np.eye(sensors)
    return shrunken


def _drift(z: Floats) -> Floats:
    """Return the variance per reading of each channel's random walk, from the means of blocks, (D,)."""
    blocks = len(z) // _BLOCK
    if blocks < 3:  # noqa: PLR2004  an estimate needs two differences
        return np.zeros(z.shape[1])
    means = z[: blocks * _BLOCK].reshape(blocks, _BLOCK, -1).mean(axis=1)
    moved = (np.diff(means, axis=0) ** 2).mean(axis=0)
    noise = np.minimum(z.var(axis=0), (np.diff(z, axis=0) ** 2).mean(axis=0) / 2)
    # so few differences have a standard error: without it half of all steady channels would count as wandering
    chance = 2 * noise / _BLOCK * (1 + np.sqrt(2 / (blocks - 1)))
    drift: Floats = np.maximum(0.0, (moved - chance) / (2 * _BLOCK / 3))
    return drift


def _noise(rows: Floats) -> Floats:
    """Return the standard deviation of each channel's independent noise, from the median step, (D,)."""
    noise = np.zeros(rows.shape[1])
    for channel in range(rows.shape[1]):
        known = rows[~np.isnan(rows[:, channel]), channel]
        if len(known) > 1:
            # a step is the difference of two noises; the median leaves out starts, spikes and gaps
            noise[channel] = np.median(np.abs(np.diff(known))) / (0.6745 * np.sqrt(2))
    return noise


def _limit(n: int, sensors: float, weight: float, rate: float) -> float:
    """Return Hotelling's limit of a squared distance, for the number of independent readings in an average of n.

    sensors: how many of them move, at least 1; one that moves less than its floor counts in part.
    """
    effective = max(n * weight / (2 - weight), 3.0 * sensors + 1)
    factor = sensors * (effective + 1) * (effective - 1) / (effective * (effective - sensors))
    return float(factor * fdtri(sensors, effective - sensors, 1 - rate))


@njit(cache=True)
def _smoothed(z: Floats, weight: float, start: Floats) -> Floats:
    """Return exponentially weighted averages of `z`, (n, D), from `start` on; a NaN leaves its average unchanged."""
    out = np.empty_like(z)
    average = start.copy()
    for row in range(len(z)):
        for d in range(z.shape[1]):
            if not np.isnan(z[row, d]):
                average[d] += weight * (z[row, d] - average[d])
        out[row] = average
    return out


@njit(cache=True)
def _spreads(z: Floats, floor: Floats) -> tuple[Floats, Floats, Floats]:
    """Return logarithms of moving variances of `z`, (n, D), NaN where missing; means and variances at the end, (D,)."""
    out = np.empty_like(z)
    mean, variance = np.zeros(z.shape[1]), np.ones(z.shape[1])
    for row in range(len(z)):
        for d in range(z.shape[1]):
            if not np.isnan(z[row, d]):
                away = z[row, d] - mean[d]
                mean[d] += SPREAD_MEAN_GAIN * away
                variance[d] += SPREAD_GAIN * (min(away * away, VARIANCE_CLIP) - variance[d])
        out[row] = np.log(variance + floor)
    return out, mean, variance
