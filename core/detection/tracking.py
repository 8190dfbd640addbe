"""The compiled pass over a batch, as plain loops: about a microsecond a reading."""

from typing import Final

import numpy as np
from numba import njit

from core.arrays import Bools, Floats, Ints
from core.detection.baseline import ACCEPT_SECONDS, LEARN_SECONDS
from core.row_results import DETECT, FAULT_MISSING, FAULT_STUCK, FIRST, LEVEL_HISTORY, LEVEL_MACHINE, REST, RowResults
from core.state.tracks import Tracks

_RUNNING: Final = 0
_IDLE: Final = 1
_OFF: Final = 2
_MISSING_FACTOR: Final = 4.0  # a sensor is missing once its gap is so many times what is usual
_MISSING_LEAST: Final = 4
_MISSING_MOST: Final = 20  # a longer gap is no habit
_COUNTED_BACK: Final = 1.0  # hours by which running hours must fall to have been reset
_LEVEL_SECONDS: Final = 3600.0  # how long a sensor's recent level remembers, but at least so many readings:
_LEVEL_READINGS: Final = 12
_LEVEL_CLIP: Final = 3.0  # noises; an episode of an hour or two must not become the new level
_START_SECONDS: Final = 4 * 3600.0  # a machine that has just started may still change; until then the clip is wider
_SURPRISING: Final = 10.0  # noises away from both baseline and recent level at which surprise is a half
_STILL: Final = 2.0  # repeats of a value that are a half; a rounded value may well repeat itself once
_FLAGGED: Final = 0.5  # surprise at which a reading is flagged
_SILENT: Final = 1.0  # usual gaps without a value that are a half

# put in where it is called: a call would copy the places of some forty arrays, and there are six of them a reading
_part: Final = njit(cache=True, nogil=True, inline="always")


@njit(cache=True, nogil=True)
def track(
    rows: Ints,
    slots: Ints,
    timestamps: Floats,
    values: Floats,
    watched: Ints,
    power: int,
    runtime: int,
    slow_seconds: Floats,
    settle_seconds: float,
    early: int,
    accept_seconds: float,
    stuck_after: Ints,
    tracks: Tracks,
    traits: tuple[Floats, Floats, Floats],
    warm_up: int,
    waiting: Bools,
    learned: Bools,
    out: RowResults,
) -> tuple[Ints, Ints]:
    """Track these rows; return the rows done, and those left for the next call.

    Rows are left of machines whose warm-up, or what an early look at them needs, was completed by an earlier row: they
    are `waiting`, (m,), and to be fitted before the next call. Machines are independent, so the others go on. early,
    warm_up: readings of the first look, and of the whole warm-up. learned (n,): rows to learn from, set here.
    accept_seconds: running time away from the baseline after which the level is the new one.
    """
    done, left = np.empty_like(rows), np.empty_like(rows)
    count = 0
    for index in range(len(rows)):
        row = rows[index]
        slot = slots[row]
        if waiting[slot]:
            left[index - count] = row
            continue
        done[count] = row
        count += 1
        now = timestamps[row]
        elapsed = now - tracks.last_seen[slot]  # NaN at the first reading, negative when out of order
        if elapsed > 0:
            tracks.interval[slot] += 0.05 * (min(elapsed, 10 * tracks.interval[slot]) - tracks.interval[slot])
        if not elapsed <= 0:
            tracks.last_seen[slot] = now
        out.newest[row] = tracks.last_seen[slot]
        tracks.readings[slot] += 1
        _condition(row, slot, now, values, power, tracks, traits, out)
        if runtime >= 0 and elapsed > 0 and values[row, runtime] < tracks.last_values[slot, runtime] - _COUNTED_BACK:
            tracks.slow[slot] = np.nan  # maintenance was done: what the machine was like before it is history
            tracks.slow_hours[slot] = 0.0
        _sensor_health(row, slot, values, power, stuck_after, tracks, out)
        if out.condition[row] == _RUNNING:
            _slow_averages(slot, elapsed, values[row], watched, slow_seconds, tracks)
        _maintenance_features(row, slot, runtime, tracks, traits, out)
        out.warm[row] = tracks.fitted[slot]
        out.progress[row] = 1.0 if tracks.fitted[slot] else tracks.learned[slot] / warm_up
        if tracks.fitted[slot]:
            out.level[row] = LEVEL_MACHINE
        elif tracks.learned[slot] >= early:
            out.level[row] = LEVEL_HISTORY
        # a start in the future was told by a clock that has been set right since
        if out.condition[row] != _RUNNING or 0 <= now - tracks.running_since[slot] < settle_seconds:
            out.phase[row] = REST
            if out.condition[row] == _RUNNING:
                _begin_level(slot, values[row], watched, tracks)
            continue
        if not tracks.fitted[slot]:
            if _has_none(values[row], watched):
                continue  # nothing to learn from
            learned[row] = True
            tracks.learned[slot] += 1
            if tracks.learned[slot] <= early and tracks.running_since[slot] == -np.inf:
                out.phase[row] = FIRST
            if tracks.learned[slot] > early:
                _surprises(row, slot, now, elapsed, values[row], watched, accept_seconds, tracks, out)
                _score_early(row, slot, values[row], watched, tracks, out)
            waiting[slot] = tracks.learned[slot] == warm_up or is_early_look(tracks.learned[slot], early)
            continue
        _surprises(row, slot, now, elapsed, values[row], watched, accept_seconds, tracks, out)
        _learn_on(row, slot, elapsed, accept_seconds, tracks, out)
        out.phase[row] = DETECT
    return done[:count], left[: len(rows) - count]


@njit(cache=True, nogil=True)
def _has_none(values: Floats, watched: Ints) -> bool:
    for d in range(len(watched)):  # noqa: SIM110  compiled
        if not np.isnan(values[watched[d]]):
            return False
    return True


@njit(cache=True, nogil=True)
def is_early_look(learned: int, early: int) -> bool:
    """Return whether a machine in warm-up is fitted at this number of readings: at `early`, and at each doubling."""
    looks = early
    while looks < learned:
        looks *= 2
    return looks == learned


@_part
def _score_early(row: int, slot: int, values: Floats, watched: Ints, tracks: Tracks, out: RowResults) -> None:
    """Mark a reading to be scored by its surprise against the early look at its machine."""
    out.scored[row] = True
    out.distance[row] = 0.0
    for d in range(len(watched)):
        out.expected[row, d] = tracks.mean[slot, d]
        away = (values[watched[d]] - tracks.mean[slot, d]) / tracks.scale[slot, d]
        if not np.isnan(away):
            out.deviation[row, d] = away


@njit(cache=True, nogil=True)
def _missing(run: int, usual: float) -> bool:
    # false while `usual` is NaN: sensors may take turns in messages of their own, and their first round is no gap
    return run >= _MISSING_LEAST and run >= _MISSING_FACTOR * (1 + usual)


@_part
def _sensor_health(
    row: int, slot: int, values: Floats, power: int, stuck_after: Ints, tracks: Tracks, out: RowResults
) -> None:
    running = out.condition[row] == _RUNNING
    for sensor in range(values.shape[1]):
        value = values[row, sensor]
        if np.isnan(value):
            # a standing machine may say less; what it draws is what tells us that it stands
            if running or sensor == power:
                tracks.missing_run[slot, sensor] += 1
            if _missing(tracks.missing_run[slot, sensor], tracks.missing_usual[slot, sensor]):
                out.fault[row, sensor] = FAULT_MISSING
            continue
        last = tracks.last_values[slot, sensor]
        if not np.isnan(last):
            gap = min(tracks.missing_run[slot, sensor], _MISSING_MOST)
            if np.isnan(tracks.missing_usual[slot, sensor]):
                tracks.missing_usual[slot, sensor] = gap
            tracks.missing_usual[slot, sensor] += 0.05 * (gap - tracks.missing_usual[slot, sensor])
        tracks.missing_run[slot, sensor] = 0
        if value != last or value == 0:
            tracks.same_run[slot, sensor] = 0
        elif running:
            tracks.same_run[slot, sensor] += 1
            if 0 < stuck_after[sensor] <= tracks.same_run[slot, sensor] + 1:
                out.fault[row, sensor] = FAULT_STUCK
        tracks.last_values[slot, sensor] = value


@_part
def _condition(
    row: int,
    slot: int,
    now: float,
    values: Floats,
    power: int,
    tracks: Tracks,
    traits: tuple[Floats, Floats, Floats],
    out: RowResults,
) -> None:
    before = tracks.condition[slot]
    # what draws no known power is taken for running: better a score too many than a fault unseen
    condition = before if before <= _OFF else _RUNNING
    if power >= 0:
        drawn = values[row, power]
        if not np.isnan(drawn):
            condition = _OFF if drawn < traits[0][slot] else _IDLE if drawn < traits[1][slot] else _RUNNING
        elif _missing(tracks.missing_run[slot, power] + 1, tracks.missing_usual[slot, power]):
            condition = _RUNNING
    if condition == _RUNNING and before != _RUNNING:
        # a machine that runs with its first reading is not known to have just started
        tracks.running_since[slot] = now if before <= _OFF else -np.inf
    tracks.condition[slot] = condition
    out.condition[row] = condition


@_part
def _slow_averages(
    slot: int, elapsed: float, values: Floats, watched: Ints, slow_seconds: Floats, tracks: Tracks
) -> None:
    # time away does not count: an average over running hours must not forget while the machine stands
    longest = max(3600.0, 1.5 * tracks.interval[slot])
    step = min(max(elapsed, 0.0), longest) if elapsed == elapsed else 0.0  # noqa: PLR0124  false for NaN
    tracks.slow_hours[slot] += step / 3600.0
    for which in range(len(slow_seconds)):
        # a young average is the plain mean so far, which an old one forgets
        weight = 1 - np.exp(-step / min(slow_seconds[which], 3600.0 * tracks.slow_hours[slot] + 1e-9))
        for d in range(len(watched)):
            value = values[watched[d]]
            if np.isnan(value):
                continue
            if np.isnan(tracks.slow[slot, which, d]):
                tracks.slow[slot, which, d] = value
            else:
                tracks.slow[slot, which, d] += weight * (value - tracks.slow[slot, which, d])


@_part
def _maintenance_features(
    row: int, slot: int, runtime: int, tracks: Tracks, traits: tuple[Floats, Floats, Floats], out: RowResults
) -> None:
    column = 0
    complete = True
    for which in range(tracks.slow.shape[1]):
        for d in range(tracks.slow.shape[2]):
            value = tracks.slow[slot, which, d]
            complete = complete and not np.isnan(value)
            out.maintenance[row, column] = value
            column += 1
    hours = tracks.last_values[slot, runtime] if runtime >= 0 else tracks.slow_hours[slot]
    out.maintenance[row, column] = 0.0 if np.isnan(hours) else hours
    out.maintenance[row, column + 1] = traits[2][slot]
    out.risky[row] = complete


@njit(cache=True, nogil=True)
def _begin_level(slot: int, values: Floats, watched: Ints, tracks: Tracks) -> None:
    """Set the recent level of a machine that settles after a start, in place."""
    for d in range(len(watched)):
        away = (values[watched[d]] - tracks.mean[slot, d]) / tracks.scale[slot, d]
        if not np.isnan(away):
            tracks.level[slot, d] = away


@_part
def _surprises(
    row: int,
    slot: int,
    now: float,
    elapsed: float,
    values: Floats,
    watched: Ints,
    accept_seconds: float,
    tracks: Tracks,
    out: RowResults,
) -> None:
    """Write the forest's features: each sensor's surprise in [-1, 1], the longest stillness and silence in [0, 1].

    A value surprises by its distance from both the baseline and the recent level: a worn machine is far from the
    former, and one that has just calmed down from the latter, and neither is unusual.
    """
    step = min(max(elapsed, 0.0), 3600.0) if elapsed == elapsed else 0.0  # noqa: PLR0124  false for NaN
    running = max(now - tracks.running_since[slot], 1.0)
    if tracks.running_since[slot] == -np.inf and not tracks.fitted[slot]:
        # it may have started right before its first reading
        running = max(tracks.learned[slot] * tracks.interval[slot], 1.0)
    remembered = max(_LEVEL_SECONDS, _LEVEL_READINGS * tracks.interval[slot])
    follow = 1 - np.exp(-step / min(remembered, running))
    clip = _LEVEL_CLIP * max(1.0, _START_SECONDS / running)
    if tracks.lasting[slot, 0] >= accept_seconds:
        clip = np.inf
    still = silent = 0.0
    for d in range(len(watched)):
        sensor = watched[d]
        value = values[sensor]
        if np.isnan(value):
            usual = tracks.missing_usual[slot, sensor]
            if not np.isnan(usual):
                silent = max(silent, tracks.missing_run[slot, sensor] / (1 + _MISSING_FACTOR * usual))
            continue
        still = max(still, float(tracks.same_run[slot, sensor]))
        noise = tracks.noise[slot, d]
        away = (value - tracks.mean[slot, d]) / (tracks.scale[slot, d] * noise)
        if np.isnan(away):
            continue
        moved = away - tracks.level[slot, d] / noise
        away -= tracks.moved[slot, d] / noise
        tracks.level[slot, d] += follow * noise * min(max(moved, -clip), clip)
        if away * moved > 0:
            surprise = _half_at(min(abs(away), abs(moved)) ** 2, _SURPRISING**2)
            out.anomaly[row, d] = surprise if away > 0 else -surprise
    out.anomaly[row, len(watched)] = _half_at(still**2, _STILL**2)
    out.anomaly[row, len(watched) + 1] = _half_at(silent, _SILENT)


@_part
def _learn_on(row: int, slot: int, elapsed: float, accept_seconds: float, tracks: Tracks, out: RowResults) -> None:
    """Let the baseline follow the recent level: slowly while nothing is unusual, or to a level that stays for good."""
    step = min(max(elapsed, 0.0), 3600.0) if elapsed == elapsed else 0.0  # noqa: PLR0124  false for NaN
    calm = True
    for d in range(tracks.level.shape[1]):
        apart = abs(tracks.level[slot, d] - tracks.moved[slot, d])
        calm = calm and apart < _SURPRISING * tracks.noise[slot, d] and abs(out.anomaly[row, d]) < _FLAGGED
    tracks.lasting[slot, 0] = 0.0 if calm else tracks.lasting[slot, 0] + step
    if not calm and tracks.lasting[slot, 0] < accept_seconds:
        return
    follow = step / (LEARN_SECONDS if calm else ACCEPT_SECONDS)
    for d in range(tracks.level.shape[1]):
        away = tracks.level[slot, d] - tracks.moved[slot, d]
        if not np.isnan(away):
            tracks.moved[slot, d] += follow * away


@njit(cache=True, nogil=True)
def _half_at(value: float, half: float) -> float:
    # flat near 0 and near 1, so that trees cut where it matters, in between
    return value * value / (value * value + half * half)
