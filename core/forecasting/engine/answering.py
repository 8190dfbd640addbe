"""One forecast: from a series and its memory to an answer and the next memory."""

from dataclasses import replace
from math import inf
from typing import Final, Literal

import numpy as np

from core.arrays import DAY, WEEK, Floats
from core.forecasting.engine.cold import cold_answer
from core.forecasting.engine.evidence import blank, issued, matured, simulated
from core.forecasting.engine.inputs import KnownInputs
from core.forecasting.engine.intervals import bounds_of
from core.forecasting.engine.members import MOST_DAYS, Pasts, fitted, predictions
from core.forecasting.engine.memory import Memory
from core.forecasting.engine.profiles import is_free
from core.forecasting.engine.series import IMPOSSIBLE, Answer, Calendar, HourlySeries
from core.forecasting.engine.weights import blended, known_mean, name_of, taken_over, weights_of
from core.forecasting.names import SEASONAL_MEDIAN

REFIT_HOURS: Final = WEEK
_BASELINE_HOURS: Final = 2 * WEEK
_LINEAR_HOURS: Final = 8 * WEEK
_LEAST_KNOWN: Final = 0.5
_STALE_HOURS: Final = 2 * WEEK
_MISSED_HOURS: Final = 3
_CARRIED: Final = 0.8
_FADING: Final = 0.9
_CLEARLY_WORSE: Final = 1.05
"""Ratio of errors from which the seasonal median replaces fitted members; below it, differences are chance."""

Stage = Literal["cold", "baselines", "linear"]


def forecast_next(
    series: HourlySeries,
    *,
    horizon: int,
    calendar: Calendar,
    memory: Memory | None,
    bounds: tuple[float, float] = (0.0, inf),
    cold_start: Floats | None = None,
    refit: bool | None = None,
    inputs: KnownInputs | None = None,
) -> tuple[Answer, Memory]:
    """Return the `horizon` hours after a series, and the memory to pass to the next call.

    bounds: what is physically possible. cold_start: (168,) usual course of a week from Monday 0 h, such as the machine
    type's; it answers while the series is too short. refit: None fits anew when the fit is a week old, True and False
    say so; a series that cannot be fitted yet is not. inputs: known-future inputs; the blend uses them as far as they
    help. With other inputs than before the series is refitted.

    Raises:
        ValueError: a horizon below 1, bounds in the wrong order, or a cold_start of another length.
    """
    if horizon < 1 or not bounds[0] <= bounds[1] or (cold_start is not None and cold_start.shape != (WEEK,)):
        raise ValueError(f"horizon {horizon}, bounds {bounds}, cold start {cold_start}")
    series = usable(series)
    steps = -(-max(horizon, memory.steps if memory else DAY) // DAY) * DAY
    if memory is None or memory.steps != steps:
        memory = blank(steps)
    stage = stage_of(series)
    if stage == "cold":
        return _clipped(cold_answer(series, horizon, cold_start), bounds), memory
    pasts = Pasts.of(series, calendar, inputs)
    if not _fits(memory, pasts):
        memory = blank(steps)
    memory = _learned(matured(memory, series), pasts, stage=stage, refit=refit)
    answer, memory = _answered(memory, pasts, bounds)
    return _cut(answer, horizon), memory


def _fits(memory: Memory, pasts: Pasts) -> bool:
    """Return whether a memory is of the same members and inputs."""
    members, width = len(pasts.members), pasts.plain.width
    evidence = [one for one in (memory.errors, memory.issued) if one.size]
    return all(one.shape[1] == members + 1 for one in evidence) and memory.coefficients.shape[2] in {0, width + 1}


def stage_of(series: HourlySeries) -> Stage:
    """Return which members can answer: none (under two weeks), the baselines (under eight, or with gaps), or all."""
    present = ~np.isnan(series.values)
    span = len(present) - int(present.argmax()) if present.any() else 0
    if span < _BASELINE_HOURS or present.sum() < _BASELINE_HOURS * _LEAST_KNOWN:
        return "cold"
    if span < _LINEAR_HOURS or present[-_LINEAR_HOURS:].mean() < _LEAST_KNOWN or not present[-_STALE_HOURS:].any():
        return "baselines"
    return "linear"


def _learned(memory: Memory, pasts: Pasts, *, stage: Stage, refit: bool | None) -> Memory:
    end = pasts.series.end
    first = memory.fitted_at is None
    due = first or end - (memory.fitted_at or 0) >= REFIT_HOURS if refit is None else refit
    if stage == "linear" and due:
        if first or not memory.matured_at:
            memory = simulated(memory, pasts, known_until=_known_until(pasts.series), linear=True)
        return replace(memory, fitted_at=end, coefficients=fitted(pasts, memory.steps, origin=end))
    if not memory.matured_at:
        memory = simulated(memory, pasts, known_until=_known_until(pasts.series), linear=False)
    return memory


def _answered(memory: Memory, pasts: Pasts, bounds: tuple[float, float]) -> tuple[Answer, Memory]:
    series, steps = pasts.series, memory.steps
    targets = series.end + np.arange(steps)
    usable = stage_of(series) == "linear" and memory.fitted_at is not None
    members = _members(memory, pasts, linear=usable)
    errors = memory.errors.astype(np.float64)
    if len(errors):
        weights = weights_of(errors[:, :-1])
        instead = np.repeat(taken_over(errors, margin=_CLEARLY_WORSE if usable else 1.0), DAY)
    else:
        weights = np.zeros((len(pasts.members), steps // DAY))
        weights[0], instead = 1.0, np.zeros(steps, dtype=bool)
    blend = blended(members, weights, pasts.medians)
    value = np.clip(np.where(instead, members[0], blend), *bounds)
    past = np.array(memory.matured_at, dtype=np.int64)[:, None] + np.arange(steps)
    lower, upper = bounds_of(
        value,
        memory.residuals.astype(np.float64).reshape(-1, steps),
        targets=targets,
        free=is_free(targets, pasts.calendar),
        past=past,
        past_free=is_free(past, pasts.calendar),
        alpha=memory.alpha.astype(np.float64),
    )
    given = np.clip(np.stack([value, lower, upper]), *bounds)
    wape, coverage, compared = _record(memory, pasts.members)
    answer = Answer(
        value=given[0],
        lower=given[1],
        upper=given[2],
        model=SEASONAL_MEDIAN if instead.all() else name_of(weights, pasts.members),
        wape=wape,
        coverage=coverage,
        compared=compared,
        members=dict(zip(pasts.members, np.clip(members, *bounds), strict=True)),
    )
    return answer, issued(memory, series.end, members=members, blend=blend, answer=given)


def _members(memory: Memory, pasts: Pasts, *, linear: bool) -> Floats:
    """Return the forecast of each member for the next steps, (m, s).

    The fit covers origins at one hour of the day. At others, the linear members reuse their forecast of the last such
    hour, and carry its errors since then into the next hours.
    """
    end, steps = pasts.series.end, memory.steps
    later = (end - (memory.fitted_at or end)) % DAY
    if not linear or not later:
        coefficients = memory.coefficients if linear else memory.coefficients[:0]
        return np.asarray(predictions(pasts, coefficients, np.array([end]), steps)[0])
    longer = np.concatenate([memory.coefficients, memory.coefficients[:, -DAY:]], axis=1)
    anchored = predictions(pasts, longer, np.array([end - later]), steps + DAY, analogues=False)[0]
    since = np.arange(max(0, later - _MISSED_HOURS), later)
    missed = known_mean(pasts.series.at(end - later + since) - anchored[:, since], axis=1)
    fading = _CARRIED * np.power(_FADING, np.arange(1, steps + 1, dtype=np.float64))
    found = anchored[:, later : later + steps] + np.nan_to_num(missed)[:, None] * fading
    others = predictions(pasts, memory.coefficients[:0], np.array([end]), steps, analogues=True)[0]
    return np.asarray(np.where(np.isnan(others), found, others))


def _record(memory: Memory, names: tuple[str, ...]) -> tuple[float | None, float | None, dict[str, float]]:
    """Return WAPE and coverage of the answers, and WAPE of each member, over the origins that are complete."""
    if not memory.matured_at:
        return None, None, {}
    level = float(known_mean(memory.levels.astype(np.float64), axis=None))
    if not level > 0:
        return None, None, {}
    errors = known_mean(memory.errors[-len(memory.matured_at) :].astype(np.float64), axis=0).mean(axis=1) / level
    own = float(known_mean(np.abs(memory.residuals.astype(np.float64)), axis=None)) / level
    hits = float(known_mean(memory.hits.astype(np.float64), axis=None))
    compared = {name: float(error) for name, error in zip(names, errors, strict=False) if np.isfinite(error)}
    return own, None if np.isnan(hits) else hits, compared


def usable(series: HourlySeries) -> HourlySeries:
    """Return the newest 1,100 days, with impossible values as missing."""
    series = series.since(series.end - MOST_DAYS * DAY)
    values = np.where(np.abs(series.values) < IMPOSSIBLE, series.values, np.nan)
    return HourlySeries(first_hour=series.first_hour, values=values)


def _known_until(series: HourlySeries) -> int:
    present = np.flatnonzero(~np.isnan(series.values))
    return series.first_hour + int(present[-1]) + 1 if len(present) else series.first_hour


def _clipped(answer: Answer, bounds: tuple[float, float]) -> Answer:
    value, lower, upper = (np.clip(one, *bounds) for one in (answer.value, answer.lower, answer.upper))
    return replace(answer, value=value, lower=lower, upper=upper)


def _cut(answer: Answer, horizon: int) -> Answer:
    value, lower, upper = (one[:horizon] for one in (answer.value, answer.lower, answer.upper))
    members = {name: one[:horizon] for name, one in answer.members.items()}
    return replace(answer, value=value, lower=lower, upper=upper, members=members)
