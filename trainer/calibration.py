"""Calibration of raw anomaly scores to one scale in [0, 1] for all detectors, from normal readings."""

import numpy as np

from core.arrays import Floats

_KNOTS_BELOW, _KNOTS_ABOVE = 32, 16
_TAIL_LENGTHS = 8.0  # beyond so many mean excesses the score is within 0.0002 of 1


def fewest_normal_readings(rate: float) -> int:
    """Return the number of normal readings needed to estimate their upper tail of that rate."""
    return int(np.ceil(1 / rate)) - 1


def calibration_knots(raw: Floats, *, rate: float) -> tuple[Floats, Floats]:
    """Return knots (raw, score) for linear interpolation, both rising, from n raw scores of normal readings.

    Half, the flag's threshold q, lies at the conformal rank ceil((n + 1)(1 - rate)): a normal reading like
    those given is at or above it with a probability of at most `rate`. Below, where a share p of normal
    readings scores higher, the score is 0.5 log p / log rate, so that equal steps mean equally many times
    rarer. Above, where normal readings are too few to count, it is 1 - 0.5 exp(-(raw - q) / beta), beta being
    the mean excess over q.

    Raises:
        ValueError: too few readings for the rate; see `fewest_normal_readings`.
    """
    ordered = np.sort(np.asarray(raw, dtype=np.float64))
    n = ordered.size
    if n < fewest_normal_readings(rate):
        message = f"{n} normal readings cannot show a rate of {rate:g}; {fewest_normal_readings(rate)} can"
        raise ValueError(message)
    ranked = ordered[int(np.ceil((n + 1) * (1 - rate))) - 1]
    above = ordered[ordered > ranked]
    spread = max(float(ranked - np.median(ordered)), 1e-6)
    # between two readings, so that the one ranked, and its equals, stay below the flag
    threshold = (ranked + above[0]) / 2 if above.size else ranked + spread / 1000
    # a tail of equal readings has no excess; the score is then a steep step, but still a slope
    beta = max(float(np.mean(above - threshold)) if above.size else 0.0, spread / 100)

    tails = np.geomspace(1.0, rate, _KNOTS_BELOW + 1)[:-1]
    below = np.quantile(ordered, 1 - tails, method="lower")
    excess = beta * np.linspace(0, _TAIL_LENGTHS, _KNOTS_ABOVE + 1)
    knots = np.concatenate([below, threshold + excess])
    scores = np.concatenate([0.5 * np.log(tails) / np.log(rate), 1 - 0.5 * np.exp(-excess / beta)])
    # of equal raw scores the last knot holds: that many readings are at most this high
    rising = np.append(np.diff(knots) > 0, True)
    return knots[rising], scores[rising]
