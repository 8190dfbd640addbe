"""Series to forecast: a plant with working days, and what goes wrong with series."""

from typing import Final

import numpy as np

from core.arrays import DAY, Floats
from core.forecasting.engine import HourlySeries

MONDAY: Final = 18_631 * DAY
"""2021-01-04 0 h."""


def a_week_of(days: int, *, seed: int = 1, noise: float = 4.0) -> Floats:
    """Hours of a plant that works from 6 to 22 h, less on weekends, with a level that wanders from day to day."""
    random = np.random.default_rng(seed)
    hours = np.arange(days * DAY)
    working = (hours % DAY >= 6) & (hours % DAY < 22)
    level = np.repeat(np.cumsum(random.normal(0, 0.03, days)), DAY)
    course = 40 + np.where(working, 60.0, 0.0) * np.where(hours // DAY % 7 < 5, 1.0, 0.3) * np.exp(level)
    return course + random.normal(0, noise, len(hours))


def a_series(values: Floats, *, phase: int = 0) -> HourlySeries:
    return HourlySeries(first_hour=MONDAY + phase, values=np.asarray(values, np.float64))


def _odd() -> dict[str, Floats]:
    usual, long = a_week_of(70), a_week_of(560)
    random = np.random.default_rng(2)
    some_missing = np.where(random.random(len(usual)) < 0.4, np.nan, usual)
    jump_up, late_jump, jump_down = usual.copy(), usual.copy(), usual.copy()
    jump_up[len(usual) // 2 :] *= 1000
    late_jump[-30:] *= 1000
    jump_down[-20 * DAY :] /= 1000
    year_before, year_within, year_since = long.copy(), long.copy(), long.copy()
    year_before[60 * DAY : 425 * DAY] = np.nan
    year_within[100 * DAY : 555 * DAY] = np.nan
    year_since[195 * DAY :] = np.nan
    return {
        "nothing": np.array([]),
        "nothing known": np.full(500, np.nan),
        "one value": np.array([5.0]),
        "one value long ago": np.append(5.0, np.full(2000, np.nan)),
        "five hours": usual[:5],
        "one day": usual[:DAY],
        "ten days": usual[: 10 * DAY],
        "three weeks": usual[: 21 * DAY],
        "eight weeks and a day": usual[: 57 * DAY],
        "all zero": np.zeros(70 * DAY),
        "constant": np.full(70 * DAY, 7.5),
        "negative": -usual,
        "both signs": usual - usual.mean(),
        "40 % missing": some_missing,
        "one hour a week": np.where(np.arange(len(usual)) % 168 == 9, usual, np.nan),
        "seldom above zero": np.where(np.arange(len(usual)) % 97 == 0, 50.0, 0.0),
        "a thousand times more": jump_up,
        "a thousand times more since yesterday": late_jump,
        "a thousand times less": jump_down,
        "a year of gap": year_before,
        "a year of gap until last week": year_within,
        "a year of gap until now": year_since,
        "infinities": np.where(np.arange(len(usual)) % 50 == 0, np.inf, usual),
        "beyond what can be measured": usual * 1e300,
        "next to nothing": usual * 1e-300,
    }


ODD: Final = _odd()
