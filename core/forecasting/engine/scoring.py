"""Scores of forecasts and of their intervals."""

from dataclasses import dataclass

import numpy as np

from core.arrays import Floats
from core.forecasting.engine.series import LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Errors over hours whose value is known and was forecast; low is good. Shares are 1 for 100 %.

    wape: sum of absolute errors over sum of absolute values. mape: mean share of the value, without hours of zero.
    rmse: in the series' unit; cv_rmse: over the mean value. coverage: share between the bounds, nominally 0.8. width:
    mean of upper minus lower. winkler: width plus 10 times the excess outside (Winkler 1972). None: unavailable.
    """

    hours: int
    wape: float | None
    mape: float | None
    rmse: float | None
    cv_rmse: float | None
    coverage: float | None
    width: float | None
    winkler: float | None


def scored(actual: Floats, value: Floats, lower: Floats, upper: Floats) -> Scores:
    """Return the scores of forecasts; arrays of one shape, NaN where missing."""
    known = ~np.isnan(actual) & ~np.isnan(value)
    y, errors = actual[known], (value - actual)[known]
    size, level = float(np.abs(y).mean()) if len(y) else 0.0, float(np.abs(y.mean())) if len(y) else 0.0
    rmse = float(np.sqrt((errors**2).mean())) if len(y) else None
    shares = np.abs(errors[y != 0] / y[y != 0])
    bounded = known & ~np.isnan(lower) & ~np.isnan(upper)
    inside, low, high = actual[bounded], lower[bounded], upper[bounded]
    outside = np.maximum(low - inside, 0) + np.maximum(inside - high, 0)
    any_inside = bool(len(inside))
    return Scores(
        hours=len(y),
        wape=float(np.abs(errors).mean()) / size if size else None,
        mape=float(shares.mean()) if len(shares) else None,
        rmse=rmse,
        cv_rmse=rmse / level if rmse is not None and level else None,
        coverage=float((outside == 0).mean()) if any_inside else None,
        width=float((high - low).mean()) if any_inside else None,
        winkler=float((high - low + 2 / (1 - LEVEL) * outside).mean()) if any_inside else None,
    )
