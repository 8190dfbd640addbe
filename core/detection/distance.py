"""Distance of a reading from its machine's baseline: the part of the compiled pass that scores.

Two moving averages of the standardised sensors detect a changed level, a moving variance detects increased noise;
both are ratios to the limit that normal readings exceed at the stated rate. The end of an episode is measured against
its peak: after a large fault a machine may stay away from its former level without being faulty.
"""

from typing import Final

import numpy as np
from numba import njit

from core.arrays import Floats, Ints
from core.detection.baseline import ACCEPT_SECONDS, CLIP, LEARN_SECONDS, SPREAD_GAIN, SPREAD_MEAN_GAIN, VARIANCE_CLIP
from core.row_results import DETECT, REST, RowResults
from core.state.tracks import Tracks

_SHIFT_GAIN: Final = 1 / 300  # how fast the baseline of a wandering channel follows it
_SHIFT_DRIFT: Final = 0.002  # drift at which it follows with full gain
_SPREAD_WEIGHT: Final = 0.25  # of unrest against a level that is off; logarithms of variances have long tails
_STRAIN_GAIN: Final = 0.1  # of the average whose peak is an episode's height
_HALF_LIFE: Final = 2000.0  # readings after which an episode's height is half forgotten
_END_SHARE: Final = 0.2  # of its height, at which an episode is over
_RETURN_AFTER: Final = 45  # readings in a row below that share, after which a machine counts as back to normal
_RETURN_GAIN: Final = 0.03  # how fast the baseline then goes to where the machine is
_FORGOTTEN: Final = 0.3  # of the limit; below, nothing is left of an episode
_KEPT: Final = 2.0 ** (-1 / _HALF_LIFE)

# put in where it is called: a call would copy the places of some forty arrays, and there are six of them a reading
_part: Final = njit(cache=True, nogil=True, inline="always")


@njit(cache=True, nogil=True)
def score_distances(
    rows: Ints,
    values: Floats,
    watched: Ints,
    smoothing: Floats,
    least_deviation: Floats,
    interval: float,
    accept_seconds: float,
    tracks: Tracks,
    out: RowResults,
) -> None:
    """Score these rows, after `track` has classified them, and move the averages.

    interval: time that a reading stands for, s. A compiled function of its own in the file of all it calls: what is
    code cached from it is compiled again with the file.
    """
    for row in rows:
        if out.phase[row] == DETECT:
            _detect(
                row,
                out.slot[row],
                values[row],
                watched,
                smoothing,
                least_deviation,
                interval,
                accept_seconds,
                tracks,
                out,
            )
        elif out.phase[row] == REST:
            _forget(out.slot[row], smoothing, tracks)


@njit(cache=True, nogil=True)
def _forget(slot: int, smoothing: Floats, tracks: Tracks) -> None:
    """Reset the averages of a machine that stands or settles towards normal, in place.

    Deviations before a stop, which may have been a repair, must not count after it.
    """
    for d in range(tracks.averages.shape[2]):
        tracks.spread_mean[slot, d] -= SPREAD_MEAN_GAIN * tracks.spread_mean[slot, d]
        for which in range(2):
            tracks.averages[slot, which, d] -= smoothing[which] * tracks.averages[slot, which, d]
        usual = np.exp(tracks.spread_usual[slot, d]) - tracks.spread_floor[slot, d]
        tracks.spread[slot, d] += SPREAD_GAIN * (usual - tracks.spread[slot, d])
    tracks.previous[slot] = 0.0
    tracks.recent[slot] = np.nan
    tracks.strain[slot] = 0.0
    tracks.plateau[slot] = 0.0
    tracks.returning[slot] = 0


@_part
def _detect(
    row: int,
    slot: int,
    values: Floats,
    watched: Ints,
    smoothing: Floats,
    least_deviation: Floats,
    interval: float,
    accept_seconds: float,
    tracks: Tracks,
    out: RowResults,
) -> None:
    """Write the distance of a reading, its sensors' parts in it, and what was expected; move the averages."""
    sensors = len(watched)
    present = 0
    for d in range(sensors):
        value = values[watched[d]]
        scale = tracks.scale[slot, d]
        expected = tracks.mean[slot, d] + tracks.shift[slot, d] * scale
        out.expected[row, d] = expected
        # a sensor without values during warm-up has no baseline
        if not (np.isnan(value) or np.isnan(expected)):
            present += 1
            z = (value - expected) / scale
            out.deviation[row, d] = z
            bounded = _bounded(z, tracks.previous[slot, d])
            tracks.previous[slot, d] = z
            for which in range(2):
                tracks.averages[slot, which, d] += smoothing[which] * (bounded - tracks.averages[slot, which, d])
            out.leaning[row, d] = tracks.averages[slot, 0, d]
            away = z - tracks.spread_mean[slot, d]
            tracks.spread_mean[slot, d] += SPREAD_MEAN_GAIN * min(max(away, -CLIP), CLIP)
            tracks.spread[slot, d] += SPREAD_GAIN * (min(away * away, VARIANCE_CLIP) - tracks.spread[slot, d])
    if present == 0:
        return  # no sensor has a value
    ratio = _level(row, slot, sensors, tracks, out)
    ratio = max(ratio, _unrest(row, slot, sensors, ratio, tracks, out))
    total = out.contribution[row].sum()
    if total > 0:
        out.contribution[row] /= total
        out.substantial[row] = _substantial(row, slot, watched, least_deviation, tracks, out)
    limit = _follow_episode(row, slot, ratio, interval, accept_seconds, tracks, out)
    out.distance[row] = ratio / (ratio + limit)
    out.scored[row] = True


@njit(cache=True, nogil=True)
def _bounded(z: float, previous: float) -> float:
    # one wild reading must not own an average, but a threefold vibration must weigh more than a sensor that wanders:
    # beyond the clip only as much counts, by its root, as the reading before has shown too
    size = abs(z)
    if size <= CLIP:
        return z
    confirmed = min(size, max(CLIP, previous if z > 0 else -previous))
    return (CLIP if z > 0 else -CLIP) * float(np.sqrt(confirmed / CLIP))


@_part
def _level(row: int, slot: int, sensors: int, tracks: Tracks, out: RowResults) -> float:
    """Return the distance of both averages as a ratio to their limit, and write the sensors' contributions."""
    ratio = 1.0
    for which in range(2):
        squared = 0.0
        for d in range(sensors):
            part = 0.0
            for other in range(sensors):
                part += tracks.precision[slot, which, d, other] * tracks.averages[slot, which, other]
            part *= tracks.averages[slot, which, d]
            squared += part
            out.contribution[row, d] += max(part, 0.0) / 2
        ratio *= _median_of_recent(tracks.recent[slot, which], squared) / tracks.typical[slot, which]
    return float(np.sqrt(max(ratio, 0.0)) / tracks.limit[slot])


@_part
def _unrest(row: int, slot: int, sensors: int, level: float, tracks: Tracks, out: RowResults) -> float:
    """Return the distance of the variances as a weighted ratio to its limit; write the contributions above `level`."""
    unusual = np.empty(sensors)
    for d in range(sensors):
        unusual[d] = np.log(tracks.spread[slot, d] + tracks.spread_floor[slot, d]) - tracks.spread_usual[slot, d]
    parts = np.zeros(sensors)
    for d in range(sensors):
        for other in range(sensors):
            parts[d] += unusual[d] * tracks.spread_precision[slot, d, other] * unusual[other]
    ratio = _SPREAD_WEIGHT * _median_of_recent(tracks.recent[slot, 2], parts.sum())
    if ratio > level:
        for d in range(sensors):
            out.contribution[row, d] = max(parts[d], 0.0)
    return float(ratio)


@_part
def _follow_episode(
    row: int, slot: int, ratio: float, interval: float, accept_seconds: float, tracks: Tracks, out: RowResults
) -> float:
    """Return the ratio, at least 1, that flags this reading, and move the baseline after an episode."""
    tracks.strain[slot] += _STRAIN_GAIN * (ratio - tracks.strain[slot])
    tracks.plateau[slot] = max(tracks.plateau[slot] * _KEPT, tracks.strain[slot])
    limit = max(1.0, _END_SHARE * tracks.plateau[slot])
    sensors = out.deviation.shape[1]
    if ratio >= limit:
        tracks.lasting[slot, 1] += interval
    elif ratio < limit / 2:
        tracks.lasting[slot, 1] = 0.0
    if tracks.lasting[slot, 1] >= accept_seconds:
        # away for so long is where it is now; however far
        for d in range(sensors):
            tracks.shift[slot, d] += min(interval / ACCEPT_SECONDS, 1.0) * float(out.deviation[row, d])
    if ratio < limit / 2:
        for d in range(sensors):
            follow = _SHIFT_GAIN * min(1.0, tracks.drift[slot, d] / _SHIFT_DRIFT)
            follow = max(follow, min(interval / LEARN_SECONDS, 1.0))
            tracks.shift[slot, d] += follow * min(max(float(out.deviation[row, d]), -CLIP), CLIP)
    tracks.returning[slot] = tracks.returning[slot] + 1 if limit > 1.0 and ratio < limit else 0
    if tracks.returning[slot] >= _RETURN_AFTER:
        # back, though not to where it was: from there the next fault, a smaller one maybe, is to be seen
        for d in range(sensors):
            tracks.shift[slot, d] += _RETURN_GAIN * min(max(float(out.deviation[row, d]), -CLIP), CLIP)
    if ratio < _FORGOTTEN:
        tracks.plateau[slot] = 0.0
    return float(limit)


@njit(cache=True, nogil=True)
def _substantial(row: int, slot: int, watched: Ints, least_deviation: Floats, tracks: Tracks, out: RowResults) -> bool:
    for d in range(len(watched)):
        # sensors that carry less than their share of the score do not speak for it
        if out.contribution[row, d] * len(watched) >= 1:
            away = max(abs(out.deviation[row, d]), abs(tracks.averages[slot, 0, d]), np.sqrt(tracks.spread[slot, d]))
            if away * tracks.scale[slot, d] >= least_deviation[watched[d]]:
                return True
    return False


@njit(cache=True, nogil=True)
def _median_of_recent(recent: Floats, newest: float) -> float:
    """Shift `newest` into the last five values and return their median without NaN."""
    for position in range(4):
        recent[position] = recent[position + 1]
    recent[4] = newest
    if np.isnan(recent.sum()):
        return float(np.nanmedian(recent))
    a, b, c, d = recent[0], recent[1], recent[2], recent[3]
    # of four values neither the least nor the greatest can be the median of five
    low = max(min(a, b), min(c, d))
    high = min(max(a, b), max(c, d))
    return float(max(min(low, high), min(max(low, high), newest)))
