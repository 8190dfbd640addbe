"""Members of the blend: baselines that need no fit, linear members, and medians of the days after similar ones."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import DAY, WEEK, Bools, Features, Floats, Ints
from core.forecasting.engine.analogues import analogue_medians
from core.forecasting.engine.features import Past
from core.forecasting.engine.inputs import InputTable, KnownInputs
from core.forecasting.engine.linear import applied, ridge
from core.forecasting.engine.profiles import typed_median
from core.forecasting.engine.series import Calendar, HourlySeries
from core.forecasting.names import ANALOGUES, BASELINES, LINEAR, MEDIANS, MEMBERS, OF_LOGARITHMS, WITH_INPUTS

MOST_DAYS: Final = 1_100
"""Maximum number of days of history used."""
_WARM_UP: Final = 4 * WEEK  # from the start of the series to the first origin used in a fit
_YEAR: Final = 52 * WEEK
_LEAST_POSITIVE: Final = 0.95
_CLASS_WEEKS: Final = (4, 16)
_FLOOR: Final = 0.01
_LARGEST_LOGARITHM: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasts:
    """A series in its unit, and its logarithm where most of it is above zero.

    plausible: bounds of every member, half the range of the series beyond its extremes.
    """

    series: HourlySeries
    calendar: Calendar
    plausible: tuple[float, float]
    plain: Past
    logarithm: Past | None

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the members, in the order of their forecasts."""
        return (*MEMBERS, *WITH_INPUTS) if self.plain.tables else MEMBERS

    @property
    def medians(self) -> Bools:
        """Which members are medians, in the order of their forecasts."""
        return np.isin(self.members, MEDIANS)

    @classmethod
    def of(cls, series: HourlySeries, calendar: Calendar, inputs: KnownInputs | None = None) -> "Pasts":
        """Return the tables of all members, of a series with at least one known value."""
        low, high = float(np.nanmin(series.values)), float(np.nanmax(series.values))
        margin = (high - low) / 2
        given = [] if inputs is None else [InputTable.of(one, calendar) for one in inputs.series()]
        tables = tuple(table for table in given if table is not None)
        return cls(
            series=series,
            calendar=calendar,
            plausible=(low - margin, high + margin),
            plain=Past.of(series, calendar, tables),
            logarithm=_logarithm(series, calendar, tables),
        )


def fitted(pasts: Pasts, steps: int, *, origin: int) -> Features:
    """Return coefficients (l, s, f + 1) of the linear members from hours before `origin`; NaN: no logarithm."""
    first = pasts.series.first_hour + _WARM_UP
    count = max(0, (origin - 1 - first) // DAY + 1)
    origins = (origin - DAY * np.arange(1, count + 1))[::-1]
    origins = origins[origins >= first]
    targets = pasts.series.until(origin).at(origins[:, None] + np.arange(steps))
    outlook = pasts.plain.outlook(origins, steps)
    few = (origin - first) < _YEAR - _WARM_UP
    goal = (targets - outlook.profile).T
    every = outlook.inputs.shape[2] - outlook.known
    free = every - outlook.raw
    strong = 100.0 if few else None
    found = [
        ridge(outlook.inputs, goal, penalty=strong or 30, absolute=True, columns=free),
        ridge(outlook.inputs, goal, penalty=strong or 10, columns=every),
        ridge(outlook.inputs, goal, penalty=strong or 30, absolute=True, columns=every),
    ]
    with_inputs = []
    if outlook.known:
        with_inputs = [
            ridge(outlook.inputs, goal, penalty=strong or 10),
            ridge(outlook.inputs, goal, penalty=strong or 30, absolute=True),
        ]
    if pasts.logarithm is None:
        return np.stack([*found, np.full_like(found[0], np.nan), *with_inputs])
    outlook = pasts.logarithm.outlook(origins, steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(targets > 0, targets, np.nan))
    of_logarithms = ridge(outlook.inputs, (logs - outlook.profile).T, penalty=strong or 10, columns=every)
    return np.stack([*found, of_logarithms, *with_inputs])


def predictions(
    pasts: Pasts, coefficients: Features, origins: Ints, steps: int, *, analogues: bool | None = None
) -> Floats:
    """Return the forecasts of each member at these origins, (o, m, s), NaN where it has none.

    coefficients: of the linear members, or empty. analogues: whether to include these; None: like the linear ones.
    """
    outlook = pasts.plain.outlook(origins, steps, with_inputs=bool(len(coefficients)))
    baselines = (
        outlook.median,
        outlook.long_median,
        outlook.fading,
        outlook.last_day,
        *_class_medians(pasts, origins, steps),
    )
    found = dict(zip(BASELINES, baselines, strict=True))
    for name, own in zip((*LINEAR, *WITH_INPUTS), coefficients, strict=False):
        if name != OF_LOGARITHMS:
            found[name] = outlook.profile + applied(own, outlook.inputs)
        elif pasts.logarithm is not None:
            logs = pasts.logarithm.outlook(origins, steps)
            found[name] = np.exp(np.minimum(logs.profile + applied(own, logs.inputs), _LARGEST_LOGARITHM))
    if len(coefficients) if analogues is None else analogues:
        medians = analogue_medians(pasts.plain, pasts.series, origins, steps)
        found |= {name: medians[:, place] for place, name in enumerate(ANALOGUES)}
    missing = np.full((len(origins), steps), np.nan)
    every = np.stack([found.get(name, missing) for name in pasts.members], axis=1)
    return np.asarray(np.clip(every, *pasts.plausible))


def _class_medians(pasts: Pasts, origins: Ints, steps: int) -> list[Floats]:
    """Return medians (o, s) over the days of a class of each span of weeks."""
    start = origins[:, None]
    targets = start + np.arange(steps)
    medians = [typed_median(pasts.plain.days.of_class(targets, start, weeks)) for weeks in _CLASS_WEEKS]
    return [np.where(np.isnan(median), pasts.plain.level, median) for median in medians]


def _logarithm(series: HourlySeries, calendar: Calendar, tables: tuple[InputTable, ...]) -> Past | None:
    known = series.values[~np.isnan(series.values)]
    positive = known[known > 0]
    if len(positive) < _LEAST_POSITIVE * len(known):
        return None
    floor = _FLOOR * float(np.median(positive))
    logs = np.log(np.maximum(series.values, floor))
    return Past.of(HourlySeries(first_hour=series.first_hour, values=logs), calendar, tables)
