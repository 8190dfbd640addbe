"""LightGBM as a candidate: trees on the inputs of the linear members, for all steps at once."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from core.arrays import DAY, WEEK, Features, Floats, Ints
from core.forecasting.engine import Calendar, HourlySeries
from core.forecasting.engine.candidates import CannotFitError, lately
from core.forecasting.engine.features import Outlook, Past
from core.forecasting.names import CandidateName

_ROUNDS: Final = 200
_SETTINGS: Final[dict[str, Any]] = {
    "objective": "l1",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.7,
    "num_threads": 1,  # processes are the parallel part
    "deterministic": True,
    "force_row_wise": True,
    "seed": 42,
    "verbosity": -1,
}
_BEFORE: Final = 4 * WEEK  # of history that the first example looks back on
_LOOKED_BACK: Final = 13 * WEEK  # beyond what any input needs
_MOST_DAYS: Final = 365
_LEAST_DAYS: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """A fitted LightGBM of the deviations from the profile."""

    booster: Any
    calendar: Calendar

    def predict(self, series: HourlySeries, steps: int) -> Floats:
        """Return the hours after a series, (steps,)."""
        origins = np.array([series.end])
        outlook = Past.of(lately(series, _LOOKED_BACK), self.calendar).outlook(origins, steps)
        found: Floats = outlook.profile[0] + self.booster.predict(_inputs(outlook, origins))
        return found


@dataclass(frozen=True, slots=True)
class LightGbm:
    """The library as a candidate."""

    name: ClassVar[CandidateName] = "lightgbm"
    module: ClassVar[str] = "lightgbm"

    def fit(self, series: HourlySeries, *, calendar: Calendar, steps: int) -> Trees:
        """Return trees on up to a year of daily origins.

        Raises:
            CannotFitError: less than six weeks, or nothing known.
        """
        import lightgbm  # noqa: PLC0415  an extra that is slow to load

        series = series.since(series.end - DAY * _MOST_DAYS - _BEFORE - steps)
        newest = series.end - steps
        count = min(_MOST_DAYS, (newest - series.first_hour - _BEFORE) // DAY + 1)
        if count < _LEAST_DAYS or np.isnan(series.values).all():
            raise CannotFitError(f"{len(series.values)} hours are too few for LightGBM")
        origins = newest - DAY * np.arange(count)[::-1]
        outlook = Past.of(series, calendar).outlook(origins, steps)
        away = (series.at(origins[:, None] + np.arange(steps)) - outlook.profile).T.ravel()
        known = ~np.isnan(away)
        if not known.any():
            raise CannotFitError("nothing is known of what was to be forecast")
        examples = lightgbm.Dataset(_inputs(outlook, origins)[known], away[known], params=_SETTINGS)
        return Trees(booster=lightgbm.train(_SETTINGS, examples, _ROUNDS), calendar=calendar)


def _inputs(outlook: Outlook, origins: Ints) -> Features:
    """Return one row a step and origin, (s * o, f + 2): the linear members' inputs, the step, and the hour."""
    steps, count, _ = outlook.inputs.shape
    ahead = np.repeat(np.arange(steps), count)
    hour = (np.tile(origins, steps) + ahead) % DAY
    more = np.stack([ahead, hour], axis=1).astype(np.float32)
    return np.concatenate([outlook.inputs.reshape(steps * count, -1), more], axis=1)
