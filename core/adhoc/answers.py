"""Answers on rows outside the stream: scores and maintenance advice, with reasons."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from core.adhoc.rows import History, ScoredRows, score_rows, wear_features
from core.arrays import Bools, Features, Floats
from core.detection.features import physical
from core.maintenance import BAND_STARTS, BANDS, advice_text
from core.models import Models, Reference
from core.plant import Plant
from core.plant.limits import CRITICAL
from core.rounding import cut_scores, round_quantities
from core.state.tracks import watched_sensors
from schemas.alerts import Signal
from schemas.answers import Advice, AnomalyResult
from schemas.codec import derive_answer
from schemas.recommendations import Band, Reason
from schemas.rounding import cut_score, in_words
from schemas.scores import FLAG_AT

FALLBACK: Final = "fallback"
_LEAST_SHARE: Final = 0.01
_LIMIT_RISK: Final = (0.0, 2.0, 3.0)  # risk by severity of the exceeded limit: none, warning, critical
_NOTABLE: Final = 0.5  # minimum deviation of a reason, in scales
_Signal: Final = derive_answer(Signal)
_AnomalyResult: Final = derive_answer(AnomalyResult)
_Reason: Final = derive_answer(Reason)
_Advice: Final = derive_answer(Advice)


def anomaly_answers(
    histories: Sequence[History],
    *,
    models: Models,
    references: Mapping[str, Reference],
    plant: Plant,
    forest: str,
) -> list[list[AnomalyResult]]:
    """Return an answer for each row of each history. forest: name of the trained model in answers."""
    scored = score_rows(histories, models=models, references=references, plant=plant)
    values = _with_derived(np.concatenate([history.values for history in histories]), plant)
    watched = watched_sensors(plant)
    place = {index: position for position, index in enumerate(watched)}
    names = plant.sensor_names
    score = cut_scores(scored.score).tolist()
    shares = cut_scores(scored.contribution).tolist()
    actual, expected = _plain(round_quantities(values)), _plain(round_quantities(scored.expected))
    deviation = _plain(round_quantities(scored.deviation))
    order = np.argsort(-scored.contribution, axis=1, kind="stable").tolist()
    by_forest = scored.by_forest.tolist()
    answers = []
    row = 0
    for history, level in zip(histories, scored.levels, strict=True):
        own = []
        for _ in range(len(history.values)):
            parts = []
            for index in order[row]:
                share = shares[row][index]
                if share < _LEAST_SHARE:
                    break
                column = place.get(index)
                parts.append(
                    _Signal(
                        sensor=names[index],
                        actual=actual[row][index],
                        expected=None if column is None else expected[row][column],
                        deviation=None if column is None else deviation[row][column],
                        contribution=share,
                    )
                )
            own.append(
                _AnomalyResult(
                    is_anomaly=score[row] >= FLAG_AT,
                    anomaly_score=score[row],
                    model=forest if by_forest[row] else FALLBACK,
                    baseline=level,
                    contributions=parts,
                )
            )
            row += 1
        answers.append(own)
    return answers


def _with_derived(values: Floats, plant: Plant) -> Floats:
    """Return the given rows, (n, S), with the derived sensors."""
    if not plant.derived:
        return values
    columns = [index for index, _ in plant.derived]
    found = values.copy()
    found[:, columns] = physical(values, plant)[:, columns]
    return found


def _plain(values: Floats) -> list[list[float | None]]:
    """Return rows of Python numbers, None where NaN."""
    return [[None if one != one else one for one in row] for row in values.tolist()]  # noqa: PLR0124  NaN


def risk_answers(
    histories: Sequence[History],
    *,
    models: Models,
    references: Mapping[str, Reference],
    plant: Plant,
    forest: str,
) -> list[list[Advice]]:
    """Return advice after each row of each history, by the forest's estimate or an exceeded limit if that is higher."""
    scored = score_rows(histories, models=Models(), references=references, plant=plant)
    features, complete = wear_features(histories, plant=plant)
    values = _with_derived(np.concatenate([history.values for history in histories]), plant)
    by_limits = np.array(_LIMIT_RISK)[scored.limits.max(axis=1)]
    answers = []
    begin = 0
    for history, level in zip(histories, scored.levels, strict=True):
        part = slice(begin, begin + len(history.values))
        begin = part.stop
        kinds = _possible_types(history, references, plant)
        risk = _risk(models, features[part], complete[part], kinds)
        own = []
        for row, (estimate, by_limit) in enumerate(zip(risk.tolist(), by_limits[part].tolist(), strict=True)):
            value = float(np.fmax(estimate, by_limit))
            band = BANDS[bisect_right(BAND_STARTS, value)]
            own.append(
                _Advice(
                    risk_level=cut_score(value),
                    band=band,
                    urgent=band == "urgent",
                    recommendation=_advice(history.machine_id, band),
                    reasons=_reasons(values[part.start + row], scored, part.start + row, plant),
                    model=FALLBACK if np.isnan(estimate) else forest,
                    baseline=level,
                )
            )
        answers.append(own)
    return answers


def _possible_types(history: History, references: Mapping[str, Reference], plant: Plant) -> list[int]:
    """Return the codes of the rows' possible machine types: the stated one, the best-fitting one, or else all."""
    kind = plant.type_of(history.machine_id) if history.machine_id else None
    if kind is not None:
        return [plant.machine_types.index(kind)]
    rows = physical(history.values, plant)[:, list(watched_sensors(plant))]
    fit = {}
    for code, one in enumerate(plant.machine_types):
        reference = references.get(one.name)
        if reference is not None:
            fit[code] = float(np.nansum(((rows - reference.mean) / reference.scale) ** 2) / reference.limit)
    if fit:
        return [min(fit, key=lambda code: fit[code])]
    return list(range(len(plant.machine_types))) or [-1]


def _risk(models: Models, features: Features, complete: Bools, kinds: list[int]) -> Floats:
    """Return the risk after each row, (n,), the mean over the possible types; NaN without an estimate."""
    risk = np.full(len(features), np.nan)
    if models.maintenance is None or not complete.any():
        return risk
    estimates = []
    for code in kinds:
        rows = features[complete].copy()
        rows[:, -1] = code
        estimates.append(models.maintenance.risk(rows))
    risk[complete] = np.mean(estimates, axis=0)
    return risk


def _reasons(values: Floats, scored: ScoredRows, row: int, plant: Plant) -> list[Reason]:
    """Return the reasons, exceeded limits first, then sensors by falling deviation; their contributions sum to 1."""
    impossible = scored.impossible[row]
    broken = np.flatnonzero(scored.limits[row] | impossible)
    reasons: list[tuple[str, float, str]] = []
    for index in broken.tolist():
        sensor = plant.sensors[index]
        if scored.limits[row, index]:
            beyond = "a critical limit" if scored.limits[row, index] == CRITICAL else "a warning limit"
        else:
            beyond = (
                f"the possible {in_words(sensor.minimum)} to {in_words(sensor.maximum)} {sensor.unit}: check the sensor"
            )
        sentence = f"{sensor.name} is {in_words(values[index])} {sensor.unit}, beyond {beyond}"
        reasons.append((sensor.name, 5.0 * float(max(scored.limits[row, index], 1)), sentence))
    watched = watched_sensors(plant)
    deviation = np.nan_to_num(scored.deviation[row])
    for column in np.argsort(-np.abs(deviation)).tolist():
        sensor = plant.sensors[watched[column]]
        if abs(deviation[column]) <= _NOTABLE or watched[column] in broken:
            continue
        side = "above" if deviation[column] > 0 else "below"
        sentence = (
            f"{sensor.name} is {in_words(values[watched[column]])} {sensor.unit}, {abs(deviation[column]):.1f} "
            f"standard deviations {side} the expected {in_words(scored.expected[row, column])} {sensor.unit}"
        )
        reasons.append((sensor.name, float(abs(deviation[column])), sentence))
    total = sum(weight for _, weight, _ in reasons) or 1.0
    return [
        _Reason(sensor=name, contribution=cut_score(weight / total), sentence=sentence)
        for name, weight, sentence in reasons
    ]


def _advice(machine_id: str | None, band: Band) -> str:
    if machine_id is not None:
        return advice_text(machine_id, band)
    text = advice_text("this machine", band)
    return text[:1].upper() + text[1:]
