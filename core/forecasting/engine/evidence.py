"""Evidence for the weights: the errors of issued forecasts or, before there are any, of simulated past ones."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from core.arrays import DAY, WEEK, Floats, Ints
from core.forecasting.engine.intervals import KEPT, adapted, hits_of
from core.forecasting.engine.members import Pasts, fitted, predictions
from core.forecasting.engine.memory import Memory
from core.forecasting.engine.series import LEVEL, HourlySeries
from core.forecasting.engine.weights import WEIGHED, blended, by_day, horizon_days, weights_of

_LEAST_BEFORE: Final = WEEK
"""Hours of history before a simulated origin of the baselines."""
_LEAST_TO_FIT: Final = 8 * WEEK  # of history before a simulated origin of the linear members
_SHARE: Final = 3
"""At most one in this number of days is simulated; the others are used for fits."""


def blank(steps: int) -> Memory:
    """Return the memory of a series without forecasts."""
    return Memory(steps=steps, alpha=np.full(horizon_days(steps), 1 - LEVEL, np.float32))


def issued(memory: Memory, origin: int, *, members: Floats, blend: Floats, answer: Floats) -> Memory:
    """Return the memory with a forecast that is scored once its hours are known; one a day is kept.

    members: (m, s), blend: (s,), answer: (3, s) value, lower and upper.
    """
    if memory.issued_at and origin - memory.issued_at[-1] < DAY:
        return memory
    row = np.vstack([members, blend])[None].astype(np.float32)
    given = answer[None].astype(np.float32)
    waiting = bool(memory.issued_at)
    return replace(
        memory,
        issued_at=(*memory.issued_at, origin),
        issued=np.concatenate([memory.issued, row]) if waiting else row,
        answers=np.concatenate([memory.answers, given]) if waiting else given,
    )


def matured(memory: Memory, series: HourlySeries) -> Memory:
    """Return the memory after all complete forecasts have been scored."""
    done = sum(origin + memory.steps <= series.end for origin in memory.issued_at)
    if not done:
        return memory
    origins = np.array(memory.issued_at[:done])
    actual = series.at(origins[:, None] + np.arange(memory.steps))
    value, lower, upper = memory.answers[:done].astype(np.float64).transpose(1, 0, 2)
    hits = hits_of(actual, lower, upper)
    alpha: Floats = memory.alpha.astype(np.float64)
    for day_hits in hits:
        alpha = adapted(alpha, day_hits)
    scored = _scored(memory, origins, actual, rows=memory.issued[:done].astype(np.float64), value=value, hits=hits)
    return replace(
        scored,
        issued_at=memory.issued_at[done:],
        issued=memory.issued[done:],
        answers=memory.answers[done:],
        alpha=alpha.astype(np.float32),
    )


def simulated(memory: Memory, pasts: Pasts, *, known_until: int, linear: bool) -> Memory:
    """Return the memory with its evidence replaced by that of simulated past forecasts, one a day.

    known_until: the first hour after the last value. linear: whether the linear members take part, fitted on the hours
    before the first of these forecasts.
    """
    series, steps = pasts.series, memory.steps
    newest = series.end - DAY * (-(-(series.end - known_until + steps) // DAY))
    earliest = series.first_hour + (_LEAST_TO_FIT if linear else _LEAST_BEFORE)
    count = max(0, (newest - earliest) // DAY + 1)
    if linear:
        count = max(1, (newest - series.first_hour - 4 * WEEK) // DAY // _SHARE)
    count = min(KEPT, count)
    fresh = replace(blank(steps), fitted_at=memory.fitted_at, coefficients=memory.coefficients)
    if not count:
        return fresh
    origins = newest - DAY * np.arange(count)[::-1]
    coefficients = fitted(pasts, steps, origin=int(origins[0])) if linear else np.zeros((0, 0, 0), np.float32)
    members = predictions(pasts, coefficients, origins, steps)
    actual = series.at(origins[:, None] + np.arange(steps))
    weights = weights_of(by_day(np.abs(members - actual[:, None])))
    blend = blended(members, weights, pasts.medians)
    rows = np.concatenate([members, blend[:, None]], axis=1)
    no_hits = np.full((count, horizon_days(steps)), np.nan)
    return _scored(fresh, origins, actual, rows=rows, value=blend, hits=no_hits)


def _scored(memory: Memory, origins: Ints, actual: Floats, *, rows: Floats, value: Floats, hits: Floats) -> Memory:
    """Return the memory with evidence added: actual (k, s), rows (k, m + 1, s) of members and blend, value (k, s)."""
    errors = by_day(np.abs(rows - actual[:, None]))
    found = {"errors": errors, "levels": by_day(np.abs(actual)), "hits": hits, "residuals": actual - value}
    more: dict[str, Any] = {"matured_at": (*memory.matured_at, *origins.tolist())[-KEPT:]}
    for name, new in found.items():
        old = getattr(memory, name)
        joined = np.concatenate([old, new]) if len(memory.matured_at) else new
        more[name] = joined[-(WEIGHED if name == "errors" else KEPT) :].astype(np.float32)
    return replace(memory, **more)
