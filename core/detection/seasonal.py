"""Detector for slow sensors with a daily season: the rarity of a reading among the sensor's own past.

It suits a temperature, load or counter sampled every few minutes. Three statistics of the seasonal residual are each
ranked in their own past: its average over six hours, and the novelty of its recent shape at two strides. Each alarm
raises the limit of the next for some weeks, as a budget. The cost of a reading is a search through 256 shapes.
"""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numba import njit

from core.arrays import Features, Floats, Ints
from core.batch import ReadingBatch
from core.plant import Plant
from core.row_results import LEVEL_LIMITS, LEVEL_MACHINE, RowResults
from core.state.habits import BINS, SHAPES, STRIDES, WINDOW, Habits, slow_sensors
from core.state.tracks import Tracks

_DAY: Final = 86_400.0
_CLIP: Final = 5.0  # standard deviations; beyond, values are clipped for levels and grow logarithmically in shapes
_WIDEST: Final = 1000.0  # standard deviations; values are clipped here
_LEAST: Final = 20  # readings needed to estimate a deviation
_RANKED: Final = 50  # readings after which a statistic is ranked in its past
_FIRST_ALARM: Final = 100  # readings, beside two days: one to learn the habits and one to compare with them
_FIRST_DAYS: Final = 2.0
_MEMORY_DAYS: Final = 60.0  # of a half hour's mean
_EXPLAINS: Final = 0.7  # the season is used while residuals have less than this share of the variance
_EXPLAINS_DAYS: Final = 3.0
_AVERAGE_SECONDS: Final = 6 * 3600.0
_FEW_SHAPES: Final = 16
_NEW_SHAPE: Final = 2.0  # usual distances from which a shape is kept
_FOLLOW: Final = 0.05  # how far the nearest shape moves
_STEP: Final = 1.02  # of the running median
_TAIL_SHARE: Final = 0.05
_TAIL_START: Final = 1.301029995663981  # -log10 of it
_LN10: Final = 2.302585092994046
_HIGHEST_TAIL, _TAUGHT_TAIL = 4.0, 3.0
_LIMIT, _LIMIT_AN_ALARM = 1.2, 0.2
_SILENCE: Final = 12 * 3600.0
_FORGET_ALARMS: Final = 14 * _DAY
_LOWEST, _SPAN = np.log(1e-3), np.log(1e6)  # of the histograms
_THOUSANDTHS: Final = 1000.0


def score_habits(
    batch: ReadingBatch, values: Floats, tracks: Tracks, habits: Habits, rows: RowResults, plant: Plant
) -> None:
    """Score the readings by the habits of their slow sensors instead of by the distance, in place.

    values: (n, S), NaN where missing. The score is in [0, 1], and 0.5 at the current limit.
    """
    sensors = np.array(slow_sensors(plant), dtype=np.int64)
    if not len(sensors) or not len(batch):
        return
    least = np.array([plant.sensors[index].minimum_deviation for index in sensors])
    _score(
        rows.slot, rows.newest, _local(batch.timestamps, plant.timezone), values, sensors, least, tracks, habits, rows
    )


def _local(timestamps: Floats, timezone: str) -> Floats:
    """Return the local time of the plant, counted like epoch seconds, (n,)."""
    # no zone changes its offset within a quarter of an hour
    quarters, place = np.unique(timestamps // 900, return_inverse=True)
    zone = ZoneInfo(timezone)
    offsets = [datetime.fromtimestamp(quarter * 900, UTC).astimezone(zone).utcoffset() for quarter in quarters.tolist()]
    ahead = np.array([0.0 if one is None else one.total_seconds() for one in offsets])
    return np.asarray(timestamps + ahead[place], dtype=np.float64)


@njit(cache=True, nogil=True)
def _score(
    slots: Ints,
    newest: Floats,
    local: Floats,
    values: Floats,
    sensors: Ints,
    least: Floats,
    tracks: Tracks,
    habits: Habits,
    out: RowResults,
) -> None:
    tails = np.empty(len(STRIDES) + 1)
    for row in range(len(slots)):
        slot, now = slots[row], newest[row]
        if np.isnan(habits.since[slot]):
            habits.since[slot] = now
        interval = tracks.interval[slot]
        highest = -1.0
        out.distance[row], out.scored[row], out.substantial[row] = np.nan, False, False
        known = (now - habits.since[slot]) / (_FIRST_DAYS * _DAY)
        out.warm[row], out.progress[row] = known >= 1, min(known, 1.0)
        out.level[row] = LEVEL_MACHINE if known >= 1 else LEVEL_LIMITS
        total = 0.0
        for q in range(len(sensors)):
            out.contribution[row, q] = 0.0
            value = values[row, sensors[q]]
            if np.isnan(value):
                continue
            expected, scale, unusual = _unusual(slot, q, value, now, local[row], interval, habits)
            if np.isnan(unusual):
                continue
            out.expected[row, q], out.deviation[row, q] = expected, (value - expected) / scale
            _statistics(slot, q, unusual, interval, habits, tails)
            count = habits.moments[slot, q, 0]
            squares = 0.0
            for which in range(len(tails)):
                tails[which] = _tail(habits.ranks[slot, q, which], tails[which], count > _RANKED)
                squares += tails[which] ** 2
            rarity = np.sqrt(squares / len(tails))
            habits.alarms[slot, q] *= np.exp(-interval / _FORGET_ALARMS)
            limit = _LIMIT + _LIMIT_AN_ALARM * habits.alarms[slot, q]
            ripe = count > _FIRST_ALARM and out.warm[row]
            silent = now - habits.alarmed_at[slot, q] <= _SILENCE
            if ripe and not silent and rarity >= limit:
                habits.alarms[slot, q] += 1.0
                habits.alarmed_at[slot, q] = now
                habits.run_limit[slot, q] = limit
            elif rarity < habits.run_limit[slot, q]:
                habits.run_limit[slot, q] = 0.0
            if habits.run_limit[slot, q] > 0:
                limit = min(limit, habits.run_limit[slot, q])
                if abs(value - expected) >= least[q]:
                    out.substantial[row] = True
            score = rarity / (rarity + limit) if rarity > 0 else 0.0
            out.contribution[row, q] = squares
            total += squares
            if ripe:
                highest = max(highest, score)
        if highest >= 0:
            out.scored[row] = True
            out.distance[row] = highest
        if total > 0:
            out.contribution[row] /= total


@njit(cache=True, nogil=True)
def _unusual(
    slot: int, q: int, value: float, now: float, local: float, interval: float, habits: Habits
) -> tuple[float, float, float]:
    """Return expected value, scale, and seasonal residual in scales, NaN at first; learn from `value`."""
    count, mean = habits.moments[slot, q, 0], habits.moments[slot, q, 1]
    scale = np.sqrt(habits.moments[slot, q, 2] / count) if count > 1 else 0.0
    scale = max(scale, 1e-6 * abs(mean), 1e-9)
    day = np.floor(local / _DAY)
    weekend = 1 if (int(day) + 3) % 7 >= 5 else 0  # day 0 was a Thursday  # noqa: PLR2004
    part = int((local - day * _DAY) // 1800)
    profile, seen = habits.profile[slot, q, weekend], habits.seen[slot, q, weekend]
    expected, unusual = mean, np.nan
    if count >= _LEAST:
        away = min(max((value - mean) / scale, -_WIDEST), _WIDEST)
        unusual = away
        if seen[part] > 0:
            rest = min(max((value - profile[part]) / scale, -_WIDEST), _WIDEST)
            gain = 1 - np.exp(-interval / (_EXPLAINS_DAYS * _DAY))
            power = habits.power[slot, q]
            power[0] += gain * (min(rest * rest, _CLIP**2) - power[0])
            power[1] += gain * (min(away * away, _CLIP**2) - power[1])
            if power[0] < _EXPLAINS * power[1]:
                expected = profile[part]
                unusual = rest * np.sqrt(power[1] / max(power[0], 1e-6))
    learned = value
    if count > _RANKED and now - habits.since[slot] > _DAY:
        learned = min(max(value, mean - _CLIP * scale), mean + _CLIP * scale)
    seen[part] += 1
    profile[part] += (learned - profile[part]) / min(seen[part], _MEMORY_DAYS * max(1.0, 300.0 / interval))
    step = learned - mean
    habits.moments[slot, q, 0] = count + 1
    habits.moments[slot, q, 1] = mean + step / (count + 1)
    habits.moments[slot, q, 2] += step * (learned - habits.moments[slot, q, 1])
    return expected, scale, unusual


@njit(cache=True, nogil=True)
def _statistics(slot: int, q: int, unusual: float, interval: float, habits: Habits, out: Floats) -> None:
    """Write the average and the novelty at each stride, NaN while unknown, and learn the shapes."""
    habits.average[slot, q] += (1 - np.exp(-interval / _AVERAGE_SECONDS)) * (unusual - habits.average[slot, q])
    out[0] = abs(habits.average[slot, q])
    bounded = unusual
    if abs(unusual) > _CLIP:
        bounded = np.sign(unusual) * _CLIP * (1 + np.log(abs(unusual) / _CLIP))
    for which in range(len(STRIDES)):
        partial = habits.partial[slot, q, which]
        partial[0] += bounded
        partial[1] += 1
        if partial[1] >= STRIDES[which]:
            recent = habits.recent[slot, q, which]
            recent[:-1] = recent[1:].copy()
            recent[-1] = partial[0] / partial[1]
            partial[:] = 0
            if not np.isnan(recent[0]):
                habits.novelty[slot, q, which] = _novelty(slot, q, which, recent, habits)
        out[which + 1] = habits.novelty[slot, q, which]


@njit(cache=True, nogil=True)
def _novelty(slot: int, q: int, which: int, recent: Features, habits: Habits) -> float:
    """Return the distance of the recent shape from the nearest known one, and add it or move that one."""
    shapes, used = habits.shapes[slot, q, which], habits.used[slot, q, which]
    known = habits.known[slot, q, which]
    nearest, least = -1, np.inf
    for each in range(known):
        squares = 0.0
        for place in range(WINDOW):
            apart = recent[place] - shapes[each, place] / _THOUSANDTHS
            squares += apart * apart
            if squares >= least:
                break
        if squares < least:
            nearest, least = each, squares
    distance = np.sqrt(least / WINDOW) if known else 0.0
    usual = habits.usual[slot, q, which]
    if known < _FEW_SHAPES or distance > _NEW_SHAPE * usual:
        if known < SHAPES:
            nearest = known
            habits.known[slot, q, which] = known + 1
        else:
            nearest = int(np.argmin(used))
        used[:known] *= 0.999
        used[nearest] = 1.0
        for place in range(WINDOW):
            shapes[nearest, place] = int(np.round(recent[place] * _THOUSANDTHS))
    else:
        used[nearest] += 1.0
        for place in range(WINDOW):
            apart = recent[place] - shapes[nearest, place] / _THOUSANDTHS
            shapes[nearest, place] += int(np.round(_FOLLOW * apart * _THOUSANDTHS))
    if usual == 0:
        habits.usual[slot, q, which] = distance
    else:
        habits.usual[slot, q, which] = usual * _STEP if distance > usual else usual / _STEP
    return float(distance)


@njit(cache=True, nogil=True)
def _tail(ranks: Features, value: float, ranked: bool) -> float:  # noqa: FBT001
    """Return -log10 of the share of past values at least as high, 0 below the tail, and add `value` to them."""
    if np.isnan(value):
        return 0.0
    tail = 0.0
    if ranked:
        total = ranks.sum()
        above = mass = 0.0
        place = BINS - 1
        while place > 0 and above + ranks[place] < _TAIL_SHARE * total:
            above += ranks[place]
            mass += ranks[place] * np.exp(_LOWEST + (place + 0.5) * _SPAN / BINS)
            place -= 1
        start = np.exp(_LOWEST + (place + 1) * _SPAN / BINS)
        excess = max(mass / above - start if above > 0 else 0.0, 0.02 * start)
        if value > start:
            tail = _TAIL_START + (value - start) / (_LN10 * excess)
            value = min(value, start + (_TAUGHT_TAIL - _TAIL_START) * _LN10 * excess)
    place = int((np.log(max(value, 1e-9)) - _LOWEST) / _SPAN * BINS)
    ranks[min(max(place, 0), BINS - 1)] += 1.0
    return min(tail, _HIGHEST_TAIL)
