"""Deviations that count towards an alert by the policy: their direction, and their absolute and relative minimum."""

import numpy as np

from core.arrays import Bools, Floats
from core.row_results import RowResults
from core.state.alert_rules import AlertRules


def deviates_by_policy(rows: RowResults, values: Floats, watched: tuple[int, ...], rules: AlertRules) -> Bools:
    """Return whether a sensor that carries the score deviates as the policy of its machine demands, (n,).

    values: (n, S) in the sensors' units, NaN where missing. watched: columns of the D sensors with a baseline. A
    sensor carries the score if its contribution is an equal share or more. A deviation that is not known counts only
    where the policy demands nothing.
    """
    side = rules.side[rows.slot]
    least = rules.minimum_deviation[rows.slot]
    share = rules.minimum_relative_deviation[rows.slot]
    demanding = np.flatnonzero((side != 0) | (least > 0) | (share > 0))
    met = np.ones(len(rows.slot), dtype=np.bool_)
    if not len(demanding):
        return met
    expected = rows.expected[demanding].astype(np.float64)
    off = values[demanding][:, list(watched)] - expected
    signed = side[demanding, None]
    carries = rows.contribution[demanding] * len(watched) >= 1 - 1e-6  # rounding of shares
    # a score that averages outlives its deviation: noise on the other side after a fault's end is no deviation there
    leaning = rows.leaning[demanding]
    on_side = (signed == 0) | (np.where(leaning != 0, leaning, off) * signed > 0)
    # NaN compares as false
    enough = (np.abs(off) >= least[demanding, None]) & (np.abs(off) >= share[demanding, None] * np.abs(expected))
    met[demanding] = (carries & on_side & enough).any(axis=1)
    return met
