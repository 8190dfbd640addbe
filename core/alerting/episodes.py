"""Alert episodes: on-delay (n of m), hysteresis, cool-down and a budget.

A score is not an alert. An episode opens when n of the last m readings were over, is updated when it gets worse
or from time to time, and resolves after a run of calm readings. The terms are those of ISA-18.2 and EEMUA 191.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit

from core.arrays import Bools, Codes, Floats, Ints
from core.state.alert_rules import AlertRules
from core.state.episodes import FOLLOWED_KINDS, SUPPRESSIONS, Episodes

OPENED: Final = 1
UPDATED: Final = 2
RESOLVED: Final = 3
SEVERITIES: Final = ("info", "warning", "critical")
_CRITICAL: Final = SEVERITIES.index("critical")

NOT_SUPPRESSED: Final = SUPPRESSIONS.index("none")
IN_MAINTENANCE: Final = SUPPRESSIONS.index("maintenance")
SHELVED: Final = SUPPRESSIONS.index("shelved")
_DISABLED: Final = SUPPRESSIONS.index("disabled")
_COOLDOWN: Final = SUPPRESSIONS.index("cooldown")
_BUDGET: Final = SUPPRESSIONS.index("budget")
_WEEK_SECONDS: Final = 7 * 86_400.0
_UPDATE_SHARE: Final = 0.25  # of an episode's age: a long one is updated less and less often …
_LONGEST_UPDATE_SECONDS: Final = 86_400.0  # … but daily


class Changes(NamedTuple):
    """Episodes that changed, in row order: row, code, and the episode's figures at that reading; (c,) each.

    suppressed: openings that did not become an alert, by the codes of `SUPPRESSIONS`.
    """

    row: Ints
    code: Ints
    severity: Ints
    over: Ints
    peak: Floats
    share: Floats
    suppressed: Ints


def follow(
    kind: str,
    *,
    slots: Ints,
    timestamps: Floats,
    level: Floats,
    over: Bools,
    calm: Bools,
    severity: Ints,
    suppressed: Codes,
    episodes: Episodes,
    rules: AlertRules,
) -> Changes:
    """Advance the episodes of `kind` by one batch, in place, and return the changes.

    timestamps: (n,) epoch s, non-decreasing for each machine. level: (n,) in [0, 1], of which the peak is kept.
    over: (n,) the reading counts towards an alert. calm: (n,) it counts towards a resolution. severity: (n,) of the
    reading, index into `SEVERITIES`. suppressed: (n,) codes of `SUPPRESSIONS` by maintenance and shelving.
    An episode that starts again soon after it was resolved continues: UPDATED, not OPENED.
    """
    rows, codes, severities, counts, peaks, shares, suppressions = _follow(
        FOLLOWED_KINDS.index(kind), slots, timestamps, level, over, calm, severity, suppressed, episodes, rules
    )
    return Changes(
        row=rows, code=codes, severity=severities, over=counts, peak=peaks, share=shares, suppressed=suppressions
    )


@njit(cache=True)
def _opening(
    slot: int, kind: int, now: float, severity: int, suppressed: int, episodes: Episodes, rules: AlertRules
) -> tuple[int, int]:
    """Return the code of the change, 0 for none, and of the reason if an opening is suppressed, else NOT_SUPPRESSED."""
    if suppressed != NOT_SUPPRESSED:
        return 0, suppressed
    if not rules.enabled[slot, kind]:
        return 0, _DISABLED
    since = now - episodes.updated_at[slot, kind]
    if since <= rules.merge_gap_seconds[slot, kind]:
        return UPDATED, NOT_SUPPRESSED
    if since < rules.cooldown_seconds[slot, kind]:
        return 0, _COOLDOWN
    openings = 0.0
    if episodes.openings[slot, kind] > 0:
        age = max(now - episodes.opened_at[slot, kind], 0.0)
        openings = episodes.openings[slot, kind] * np.exp(-age / _WEEK_SECONDS)
    if severity < _CRITICAL and openings + 1.0 > rules.budget_per_week[slot, kind]:
        return 0, _BUDGET
    episodes.openings[slot, kind] = openings + 1.0
    episodes.opened_at[slot, kind] = now
    return OPENED, NOT_SUPPRESSED


@njit(cache=True)
def _follow(
    kind: int,
    slots: Ints,
    timestamps: Floats,
    level: Floats,
    over: Bools,
    calm: Bools,
    severity: Ints,
    suppressed: Codes,
    episodes: Episodes,
    rules: AlertRules,
) -> tuple[Ints, Ints, Ints, Ints, Floats, Floats, Ints]:
    n = len(slots)
    changed = 0
    rows = np.empty(n, np.int64)
    codes = np.empty(n, np.int64)
    severities = np.empty(n, np.int64)
    counts = np.empty(n, np.int64)
    peaks = np.empty(n, np.float64)
    shares = np.empty(n, np.float64)
    suppressions = np.zeros(len(SUPPRESSIONS), np.int64)
    for row in range(n):
        slot = slots[row]
        window = (1 << rules.of_readings[slot, kind]) - 1
        recent = ((episodes.recent[slot, kind] << 1) | np.int64(over[row])) & window
        episodes.recent[slot, kind] = recent
        if recent == 0 and not episodes.open[slot, kind]:
            continue
        hits = 0
        while recent:
            hits += recent & 1
            recent >>= 1
        code = 0
        now = timestamps[row]
        if not episodes.open[slot, kind]:
            if hits < rules.readings_over[slot, kind] or not over[row]:
                continue
            code, reason = _opening(slot, kind, now, severity[row], suppressed[row], episodes, rules)
            if code == 0:
                suppressions[reason] += 1
                episodes.recent[slot, kind] = 0  # counted once; it takes as many readings until the next attempt
                continue
            if code == OPENED:
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
            if episodes.calm[slot, kind] >= rules.resolve_after_readings[slot, kind]:
                code = RESOLVED
                episodes.open[slot, kind] = False
                episodes.recent[slot, kind] = 0
            elif suppressed[row] == NOT_SUPPRESSED and over[row]:
                age = now - episodes.opened_at[slot, kind]
                patience = max(rules.update_seconds[slot, kind], min(_UPDATE_SHARE * age, _LONGEST_UPDATE_SECONDS))
                if worse or now - episodes.updated_at[slot, kind] >= patience:
                    code = UPDATED
        if code:
            episodes.updated_at[slot, kind] = now
            rows[changed] = row
            codes[changed] = code
            severities[changed] = episodes.severity[slot, kind]
            counts[changed] = episodes.over[slot, kind]
            peaks[changed] = episodes.peak[slot, kind]
            shares[changed] = hits / rules.of_readings[slot, kind]
            changed += 1
    return (
        rows[:changed],
        codes[:changed],
        severities[:changed],
        counts[:changed],
        peaks[:changed],
        shares[:changed],
        suppressions,
    )
