"""Candidate forecasters: compared with the blend at the same past origins, and used where their error is smaller.

A candidate is fitted on the hours before the first of these origins and forecasts at each of them; its errors there are
compared with the blend's, and give its bounds.
"""

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from core.arrays import DAY, Floats, Ints
from core.forecasting.engine.answering import usable
from core.forecasting.engine.memory import Memory
from core.forecasting.engine.series import LEVEL, Answer, Calendar, HourlySeries
from core.forecasting.engine.weights import known_mean

JUDGED: Final = 14
"""Newest complete origins, one a day, at which a candidate is compared with the blend."""
_LEAST_JUDGED: Final = 7


class CannotFitError(ValueError):
    """A series that a candidate cannot be fitted to."""


class FittedForecaster(Protocol):
    """A candidate after its fit."""

    def predict(self, series: HourlySeries, steps: int) -> Floats:
        """Return the hours after a series that continues the fitted one, (steps,)."""


class CandidateForecaster(Protocol):
    """A forecaster that can be fitted to a series."""

    @property
    def name(self) -> str:
        """Its name in `model` of an answer."""

    def fit(self, series: HourlySeries, *, calendar: Calendar, steps: int) -> FittedForecaster:
        """Fit to forecast so many steps ahead.

        Raises:
            CannotFitError: the series is too short or has no known hours.
        """


def lately(series: HourlySeries, hours: int) -> HourlySeries:
    """Return the newest hours of a series, or all of it where none of them is known."""
    newest = series.since(series.end - hours)
    return series if np.isnan(newest.values).all() else newest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backtest:
    """residuals: (o, s) actual minus value, at the origins; NaN where nothing was known."""

    residuals: Floats
    error: float


def best_of(
    answer: Answer,
    memory: Memory,
    series: HourlySeries,
    *,
    calendar: Calendar,
    bounds: tuple[float, float],
    candidates: tuple[CandidateForecaster, ...],
) -> Answer:
    """Return the answer of the blend, or of a candidate with a smaller error at the newest complete origins.

    Candidates are compared only after the blend has been fitted and seven origins are complete.
    """
    origins = np.array(memory.matured_at[-JUDGED:], dtype=np.int64)
    if memory.fitted_at is None or len(origins) < _LEAST_JUDGED:
        return answer
    series = usable(series)
    level = float(known_mean(memory.levels[-JUDGED:].astype(np.float64), axis=None))
    least = float(known_mean(memory.errors[-JUDGED:, -1].astype(np.float64), axis=None))
    compared, best = dict(answer.compared), None
    for candidate in candidates:
        try:
            backtest = _backtested(
                candidate, series, calendar=calendar, bounds=bounds, origins=origins, steps=memory.steps
            )
        except CannotFitError:
            continue
        if level > 0:
            compared[candidate.name] = backtest.error / level
        if backtest.error < least:
            least, best = backtest.error, (candidate, backtest)
    answer = replace(answer, compared=compared)
    if best is None:
        return answer
    own = _answered(*best, series, horizon=len(answer.value), calendar=calendar, bounds=bounds)
    return replace(own, wape=compared.get(own.model), compared=compared, members=answer.members)


def forecast_by(
    candidate: CandidateForecaster,
    series: HourlySeries,
    *,
    horizon: int,
    calendar: Calendar,
    bounds: tuple[float, float],
) -> Answer:
    """Return a candidate's own answer, without a comparison.

    Raises:
        CannotFitError: the series is too short or has no known hours.
    """
    series = usable(series)
    steps = -(-horizon // DAY) * DAY
    origins = series.end - steps - DAY * np.arange(JUDGED)[::-1]
    backtest = _backtested(candidate, series, calendar=calendar, bounds=bounds, origins=origins, steps=steps)
    return _answered(candidate, backtest, series, horizon=horizon, calendar=calendar, bounds=bounds)


def _backtested(
    candidate: CandidateForecaster,
    series: HourlySeries,
    *,
    calendar: Calendar,
    bounds: tuple[float, float],
    origins: Ints,
    steps: int,
) -> _Backtest:
    actual = series.at(origins[:, None] + np.arange(steps))
    if np.isnan(actual).all():
        raise CannotFitError("the newest two weeks have no values")
    fitted = candidate.fit(series.until(int(origins[0])), calendar=calendar, steps=steps)
    said = np.stack([fitted.predict(series.until(origin), steps) for origin in origins.tolist()])
    residuals = actual - np.clip(said, *bounds)
    return _Backtest(residuals=residuals, error=float(np.nanmean(np.abs(residuals))))


def _answered(
    candidate: CandidateForecaster,
    backtest: _Backtest,
    series: HourlySeries,
    *,
    horizon: int,
    calendar: Calendar,
    bounds: tuple[float, float],
) -> Answer:
    steps = backtest.residuals.shape[1]
    value = candidate.fit(series, calendar=calendar, steps=steps).predict(series, steps)[:horizon]
    below, above = _bounds(backtest.residuals)
    value, lower, upper = (np.clip(one, *bounds) for one in (value, value + below[:horizon], value + above[:horizon]))
    return Answer(value=value, lower=lower, upper=upper, model=candidate.name)


def _bounds(residuals: Floats) -> tuple[Floats, Floats]:
    """Return the distances of both bounds from the value, (s,) each: at most 0 below, at least 0 above.

    For each day of the horizon quantiles of its residuals, or of all where it has none. Of few errors the next one lies
    beyond the outermost more often than their quantiles say, and where the hours of a day err together there are hardly
    more errors than days.
    """
    below, above = [], []
    for day in np.split(residuals, residuals.shape[1] // DAY, axis=1):
        known = day if not np.isnan(day).all() else residuals
        share = _share_beyond(known)
        low, high = np.nanquantile(known, (share, 1 - share))
        below.append(min(low, 0.0))
        above.append(max(high, 0.0))
    return np.repeat(below, DAY), np.repeat(above, DAY)


def _share_beyond(residuals: Floats) -> float:
    """Return the quantile level of a bound for small samples; residuals: (o, h)."""
    means = residuals[~np.isnan(residuals).all(axis=1)]
    whole, of_days = float(np.nanvar(residuals)), float(np.nanvar(np.nanmean(means, axis=1)))
    count = len(means) * (whole / of_days if of_days else float(DAY))
    wanted = (1 - LEVEL) / 2 * (count + 1)
    return max(0.0, (wanted - 1) / max(count - 1, 1.0))
