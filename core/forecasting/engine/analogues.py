"""Analogue members: medians of the hours after past origins in a similar state.

A plant that idles or runs has hours of two kinds, and no mean of both ever comes. A weighted median of what followed
similar states decides for one of them. The state of an origin is its last day, hour by hour with the newest counting
most, and the means of its last seven days; levels are squashed, so that idle and busy differ more than busy and busier.
"""

from typing import Final

import numpy as np

from core.arrays import DAY, Floats, Ints
from core.forecasting.engine.features import Past
from core.forecasting.engine.profiles import day_types
from core.forecasting.engine.series import HourlySeries

NEIGHBOURS: Final = (12, 36)
"""Past origins that count for each of the two members; beyond them the weight fades."""
_MOST_DAYS: Final = 400
_LEAST_DAYS: Final = 28
_LOOKED_BACK: Final = 7  # days of a state
_DAY_WEIGHTS: Final = 1.2 * np.array([1.2, 0.6, 0.3, 0.3, 0.3, 0.3, 0.5])
_HOUR_WEIGHTS: Final = np.linspace(0.15, 1.0, DAY)
_BANDWIDTH: Final = 0.6  # of the distance of the last neighbour
_HALF_LIFE: Final = 180.0  # days
_SAME_TYPE: Final = 1.5  # weight of a day of the same type against another of its class
_LEAST_OF_CLASS: Final = 5
_CLASSES: Final = np.array([0, 0, 0, 0, 0, 1, 2])  # working days, Saturdays, Sundays and holidays


def analogue_medians(past: Past, series: HourlySeries, origins: Ints, steps: int) -> Floats:
    """Return the medians (o, 2, s) of what followed similar states; NaN where less than four weeks are known."""
    sums = past.filled_sums
    found = np.full((len(origins), len(NEIGHBOURS), steps), np.nan)
    for place, origin in enumerate(origins.tolist()):
        known = origin - series.first_hour
        if known >= _LEAST_DAYS * DAY and not np.isnan(series.values[:known]).all():
            found[place] = _medians(past, series.values[:known], sums, first_hour=series.first_hour, steps=steps)
    return found


def _medians(past: Past, values: Floats, sums: Floats, *, first_hour: int, steps: int) -> Floats:
    """Return the medians (2, s) of the steps after `values`, (n,)."""
    known = len(values)
    starts = np.arange(known - DAY, max((_LOOKED_BACK + 1) * DAY, known - _MOST_DAYS * DAY) - 1, -DAY)
    distances = _distances(past.filled[:known], sums, np.append(known, starts))
    ahead = np.arange(steps)
    targets = day_types((first_hour + known + ahead) // DAY, past.days.calendar)
    types = day_types((first_hour + starts[:, None] + ahead) // DAY, past.days.calendar)
    places = starts[:, None] + ahead
    followed = np.where(places < known, values[np.minimum(places, known - 1)], np.nan)
    present = ~np.isnan(followed)
    usable = present & (_CLASSES[types] == _CLASSES[targets])
    usable = np.where(usable.sum(axis=0) < _LEAST_OF_CLASS, present, usable)
    ageing = 0.5 ** (np.arange(1, len(starts) + 1) / _HALF_LIFE)
    weights = usable * ageing[:, None] * np.where(types == targets, _SAME_TYPE, 1.0)
    nearest = np.argsort(distances, kind="stable")
    count = np.cumsum(usable[nearest], axis=0)
    order = np.argsort(followed, axis=0, kind="stable")  # NaN last
    ordered = np.take_along_axis(followed, order, axis=0)
    found = np.full((len(NEIGHBOURS), steps), np.nan)
    for row, neighbours in enumerate(NEIGHBOURS):
        last = (count >= np.minimum(neighbours, np.maximum(count[-1], 1))).argmax(axis=0)
        width = _BANDWIDTH * distances[nearest][last] + 1e-9
        near = weights * np.exp(-0.5 * (distances[:, None] / width) ** 2)
        summed = np.cumsum(np.take_along_axis(near, order, axis=0), axis=0)
        middle = (summed >= summed[-1] / 2).argmax(axis=0)
        found[row] = np.where(summed[-1] > 0, ordered[middle, ahead], np.nan)
    return found


def _distances(filled: Floats, sums: Floats, starts: Ints) -> Floats:
    """Return how far the states at `starts`, hours from the beginning, are from that at the first of them."""
    newest = filled[-_MOST_DAYS * DAY :]
    low = min(0.0, float(newest.min()))
    busy: Floats = newest[newest >= np.median(newest)]
    half = float(np.median(busy)) - low + 1e-9  # the level that is squashed to one half
    last_day = np.maximum(0.0, filled[starts[:, None] - DAY + np.arange(DAY)] - low)
    back = starts[:, None] - DAY * np.arange(_LOOKED_BACK + 1)
    daily = np.maximum(0.0, (sums[back[:, :-1]] - sums[back[:, 1:]]) / DAY - low)
    states = np.hstack([last_day / (last_day + half) * _HOUR_WEIGHTS, daily / (daily + half) * _DAY_WEIGHTS])
    return np.asarray(np.sqrt(((states[1:] - states[0]) ** 2).sum(axis=1)))
