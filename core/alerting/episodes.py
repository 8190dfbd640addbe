"""Which scores people hear of: episodes with an on-delay (n of m), hysteresis, and updates in moderation.

The score is not the alert. An episode opens when n of the last m readings were over, is updated when it gets worse
or now and then, and resolves after a run of calm readings.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.plant import AlertPolicy
from core.state.episodes import FOLLOWED_KINDS, Episodes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

OPENED: Final = 1
UPDATED: Final = 2
RESOLVED: Final = 3
SEVERITIES: Final = ("info", "warning", "critical")


class Changes(NamedTuple):
    """Episodes that changed, in row order: row, code, and the episode's figures at that reading; (c,) each."""

    row: Ints
    code: Ints
    severity: Ints
    over: Ints
    peak: Floats
    share: Floats


def follow(
    kind: str,
    *,
    slots: Ints,
    timestamps: Floats,
    level: Floats,
    over: Bools,
    calm: Bools,
    severity: Ints,
    episodes: Episodes,
    policy: AlertPolicy,
) -> Changes:
    """Advances the episodes of `kind` by one batch, in place, and returns the changes.

    timestamps: (n,) epoch s, of a machine's rows never falling. level: (n,) in [0, 1], what the peak is taken of.
    over: the reading speaks for an alert. calm: it speaks against one. severity: (n,) index into `SEVERITIES` that
    this reading deserves. An episode that starts again soon after it was resolved goes on: UPDATED, not OPENED.
    """
    rows, codes, severities, counts, peaks, shares = _follow(
        FOLLOWED_KINDS.index(kind),
        slots,
        timestamps,
        level,
        over,
        calm,
        severity,
        episodes,
        policy.readings_over,
        policy.of_readings,
        policy.resolve_after_readings,
        policy.update_seconds,
        policy.merge_gap_seconds,
    )
    return Changes(row=rows, code=codes, severity=severities, over=counts, peak=peaks, share=shares)


@njit(cache=True)
def _follow(
    kind: int,
    slots: Ints,
    timestamps: Floats,
    level: Floats,
    over: Bools,
    calm: Bools,
    severity: Ints,
    episodes: Episodes,
    readings_over: int,
    of_readings: int,
    resolve_after: int,
    update_seconds: float,
    merge_gap_seconds: float,
) -> tuple[Ints, Ints, Ints, Ints, Floats, Floats]:
    n = len(slots)
    changed = 0
    rows = np.empty(n, np.int64)
    codes = np.empty(n, np.int64)
    severities = np.empty(n, np.int64)
    counts = np.empty(n, np.int64)
    peaks = np.empty(n, np.float64)
    shares = np.empty(n, np.float64)
    window = (1 << of_readings) - 1
    for row in range(n):
        slot = slots[row]
        recent = ((episodes.recent[slot, kind] << 1) | np.int64(over[row])) & window
        episodes.recent[slot, kind] = recent
        if recent == 0 and not episodes.open[slot, kind]:
            continue
        hits = 0
        while recent:
            hits += recent & 1
            recent >>= 1
        code = 0
        if not episodes.open[slot, kind]:
            if hits < readings_over or not over[row]:
                continue
            code = UPDATED
            if timestamps[row] - episodes.updated_at[slot, kind] > merge_gap_seconds:
                code = OPENED
                episodes.severity[slot, kind] = 0
                episodes.over[slot, kind] = 0
                episodes.peak[slot, kind] = 0.0
            episodes.open[slot, kind] = True
            episodes.severity[slot, kind] = max(episodes.severity[slot, kind], severity[row])
            episodes.over[slot, kind] += hits
            episodes.peak[slot, kind] = max(episodes.peak[slot, kind], level[row])
            episodes.calm[slot, kind] = 0
        else:
            worse = False
            if over[row]:
                episodes.over[slot, kind] += 1
                episodes.peak[slot, kind] = max(episodes.peak[slot, kind], level[row])
                worse = severity[row] > episodes.severity[slot, kind]
                episodes.severity[slot, kind] = max(episodes.severity[slot, kind], severity[row])
            episodes.calm[slot, kind] = episodes.calm[slot, kind] + 1 if calm[row] else 0
            if episodes.calm[slot, kind] >= resolve_after:
                code = RESOLVED
                episodes.open[slot, kind] = False
                episodes.recent[slot, kind] = 0
            elif worse or (over[row] and timestamps[row] - episodes.updated_at[slot, kind] >= update_seconds):
                code = UPDATED
        if code:
            episodes.updated_at[slot, kind] = timestamps[row]
            rows[changed] = row
            codes[changed] = code
            severities[changed] = episodes.severity[slot, kind]
            counts[changed] = episodes.over[slot, kind]
            peaks[changed] = episodes.peak[slot, kind]
            shares[changed] = hits / of_readings
            changed += 1
    return (
        rows[:changed],
        codes[:changed],
        severities[:changed],
        counts[:changed],
        peaks[:changed],
        shares[:changed],
    )
