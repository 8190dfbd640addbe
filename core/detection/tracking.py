"""The compiled pass over a batch, as plain loops: about a microsecond a reading."""

from typing import Final

import numpy as np
from numba import njit

from core.arrays import Bools, Floats, Ints
from core.detection.baseline import ACCEPT_SECONDS, LEARN_SECONDS
from core.detection.units import refuse_other_units
from core.row_results import DETECT, FAULT_MISSING, FAULT_STUCK, FIRST, LEVEL_HISTORY, LEVEL_MACHINE, REST, RowResults
from core.state.tracks import Tracks

_RUNNING: Final = 0
_IDLE: Final = 1
_OFF: Final = 2
_MISSING_FACTOR: Final = 4.0  # a sensor is missing once its gap is so many times what is usual
_FORGET: Final = 0.05  # share by which a sensor's usual times follow shorter ones
_GROWTH: Final = 2.0  # a usual time at most doubles at once: an outage is no habit
_MACHINE_AWAY: Final = 2.0  # intervals; while the whole machine says nothing, no sensor of it is late
_UNKNOWN: Final = 10.0  # intervals between changes that are taken for possible before any were seen
_COUNTED_BACK: Final = 1.0  # hours by which running hours must fall to have been reset
_LEVEL_SECONDS: Final = 3600.0  # how long a sensor's recent level remembers, but at least so many readings:
_LEVEL_READINGS: Final = 12
_LEVEL_CLIP: Final = 3.0  # noises; an episode of an hour or two must not become the new level
_START_SECONDS: Final = 4 * 3600.0  # a machine that has just started may still change; until then the clip is wider
_SURPRISING: Final = 10.0  # noises away from both baseline and recent level at which surprise is a half
_STILL: Final = 2.0  # usual times between changes without one that are a half; a rounded value may repeat itself once
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
    own_seconds: Floats,
    unit_codes: Ints,
    depends: Bools,
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
    accept_seconds: running time away from the baseline after which the level is the new one. own_seconds (S,): stated
    times between two values of a sensor, 0 where they are learned. unit_codes, depends: of `core.detection.units`.
    values: those in another unit become NaN here.
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
        step = min(max(elapsed, 0.0), _MACHINE_AWAY * tracks.interval[slot]) if elapsed == elapsed else 0.0  # noqa: PLR0124  false for NaN
        refuse_other_units(row, slot, values, watched, power, unit_codes, depends, tracks, traits, out)
        _condition(row, slot, now, step, values, power, own_seconds, tracks, traits, out)
        if runtime >= 0 and elapsed > 0 and values[row, runtime] < tracks.last_values[slot, runtime] - _COUNTED_BACK:
            tracks.slow[slot] = np.nan  # maintenance was done: what the machine was like before it is history
            tracks.slow_hours[slot] = 0.0
        _sensor_health(row, slot, step, values, power, stuck_after, own_seconds, tracks, out)
        if out.condition[row] == _RUNNING:
            _slow_averages(slot, elapsed, values[row], watched, slow_seconds, tracks)
        _maintenance_features(row, slot, runtime, tracks, traits, out)
        out.warm[row] = tracks.fitted[slot]
        out.progress[row] = 1.0 if tracks.fitted[slot] else tracks.learned[slot] / warm_up
        if tracks.fitted[slot]:
            out.level[row] = LEVEL_MACHINE
        elif tracks.learned[slot] >= early:
            out.level[row] = LEVEL_HISTORY
        # a start in the future comes from a clock that has been corrected since
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
                _surprises(row, slot, now, elapsed, values[row], watched, own_seconds, accept_seconds, tracks, out)
                _score_early(row, slot, values[row], watched, tracks, out)
            waiting[slot] = tracks.learned[slot] == warm_up or is_early_look(tracks.learned[slot], early)
            continue
        _surprises(row, slot, now, elapsed, values[row], watched, own_seconds, accept_seconds, tracks, out)
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
def _usual_gap(usual: float, own: float, interval: float) -> float:
    # NaN until a first gap is known: sensors may take turns in messages of their own, and their first round is no gap
    return max(usual, own, interval) if usual == usual else np.nan  # noqa: PLR0124  false for NaN


@njit(cache=True, nogil=True)
def _missing(seconds: float, usual: float, own: float, interval: float) -> bool:
    # half an interval early, as times jitter
    return seconds > _MISSING_FACTOR * _usual_gap(usual, own, interval) - interval / 2


@njit(cache=True, nogil=True)
def _usual_hold(usual: float, own: float, interval: float) -> float:
    """Return the usual time between two changes of a sensor's value, s, of which a gateway may send copies."""
    if usual > 0:
        return max(usual, own, interval)
    return own if own > 0 else _UNKNOWN * interval


@_part
def _sensor_health(
    row: int,
    slot: int,
    step: float,
    values: Floats,
    power: int,
    stuck_after: Ints,
    own_seconds: Floats,
    tracks: Tracks,
    out: RowResults,
) -> None:
    running = out.condition[row] == _RUNNING
    interval = tracks.interval[slot]
    for sensor in range(values.shape[1]):
        value = values[row, sensor]
        # a standing machine may say less; what it draws is what tells us that it stands
        if running or sensor == power:
            tracks.missing_for[slot, sensor] += step
        gap, usual = tracks.missing_for[slot, sensor], tracks.missing_usual[slot, sensor]
        if np.isnan(value):
            if not out.fault[row, sensor] and _missing(gap, usual, own_seconds[sensor], interval):
                out.fault[row, sensor] = FAULT_MISSING
            continue
        last = tracks.last_values[slot, sensor]
        if not np.isnan(last):
            # the longest recent gap, slowly forgotten: values may come in bursts
            if np.isnan(usual):
                usual = gap
            longest = min(gap, _GROWTH * max(usual, interval))
            tracks.missing_usual[slot, sensor] = max(longest, usual + _FORGET * (longest - usual))
        tracks.missing_for[slot, sensor] = 0.0
        if value != last or value == 0:
            if last != 0 and not np.isnan(last):
                _learn_hold(slot, sensor, tracks.same_for[slot, sensor] + gap, tracks)
            tracks.same_for[slot, sensor] = 0.0
        elif running:
            tracks.same_for[slot, sensor] += gap
            hold = _usual_hold(tracks.same_usual[slot, sensor], own_seconds[sensor], interval)
            # n equal values are n - 1 intervals apart
            if stuck_after[sensor] > 0 and tracks.same_for[slot, sensor] > (stuck_after[sensor] - 1.5) * hold:
                out.fault[row, sensor] = FAULT_STUCK
        tracks.last_values[slot, sensor] = value


@njit(cache=True, nogil=True)
def _learn_hold(slot: int, sensor: int, seconds: float, tracks: Tracks) -> None:
    """Learn from the time between two changes, s; that until the first change was not seen whole: 0 marks it."""
    usual = tracks.same_usual[slot, sensor]
    if np.isnan(usual):
        tracks.same_usual[slot, sensor] = 0.0
    elif usual == 0:
        tracks.same_usual[slot, sensor] = seconds
    else:
        most = _GROWTH * max(usual, tracks.interval[slot])
        tracks.same_usual[slot, sensor] += _FORGET * (min(seconds, most) - usual)


@_part
def _condition(
    row: int,
    slot: int,
    now: float,
    step: float,
    values: Floats,
    power: int,
    own_seconds: Floats,
    tracks: Tracks,
    traits: tuple[Floats, Floats, Floats],
    out: RowResults,
) -> None:
    before = tracks.condition[slot]
    # a machine without known power counts as running: an extra score is better than a missed fault
    condition = before if before <= _OFF else _RUNNING
    if power >= 0:
        drawn = values[row, power]
        if not np.isnan(drawn):
            condition = _OFF if drawn < traits[0][slot] else _IDLE if drawn < traits[1][slot] else _RUNNING
        elif _missing(
            tracks.missing_for[slot, power] + step,
            tracks.missing_usual[slot, power],
            own_seconds[power],
            tracks.interval[slot],
        ):
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
    own_seconds: Floats,
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
    interval = tracks.interval[slot]
    for d in range(len(watched)):
        sensor = watched[d]
        value = values[sensor]
        if np.isnan(value):
            usual = _usual_gap(tracks.missing_usual[slot, sensor], own_seconds[sensor], interval)
            if not np.isnan(usual):
                late = tracks.missing_for[slot, sensor]
                silent = max(silent, late / (interval + _MISSING_FACTOR * (usual - interval)))
            continue
        hold = _usual_hold(tracks.same_usual[slot, sensor], own_seconds[sensor], interval)
        still = max(still, tracks.same_for[slot, sensor] / hold)
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
