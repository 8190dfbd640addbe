"""Assessment of a micro-batch: from readings to scores, alerts, advice and energy windows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from core.adhoc.first_readings import score_against_type
from core.alerting.deviations import deviates_by_policy
from core.alerting.episodes import SEVERITIES, follow
from core.alerting.messages import RULE, AlertWriter
from core.alerting.silence import SilenceWatch
from core.alerting.suppression import raised_thresholds, suppression_of
from core.arrays import Bools, Codes, Features, Floats, Ints
from core.batch import ReadingBatch
from core.counterfactual import counterfactual_of
from core.detection.features import observe, physical
from core.detection.scoring import anomaly_scores, confidence_of
from core.energy.closing import closing_of
from core.energy.meter import counter_rules
from core.energy.windows import accumulate
from core.maintenance import BANDS, advice_text, advisable, advise, reasons_of, risks, time_left
from core.models import Models
from core.plant import Plant, Role
from core.plant.limits import LEVELS, limit_severity
from core.rollout import AlertCounts, count_alerts
from core.row_results import FAULT_IMPOSSIBLE, FAULT_NONE, LEVEL_PLANT, LEVEL_TYPE, RowResults
from core.state.episodes import FOLLOWED_KINDS, SUPPRESSIONS
from core.state.fleet import FleetState
from core.state.tracks import CONDITIONS, watched_sensors
from schemas.alerts import Alert, AlertModel
from schemas.energy import EnergyWindow
from schemas.recommendations import Recommendation
from schemas.scores import FLAG_AT

_BORROWED_MARGIN: Final = 0.1  # added to the flag's threshold for an alert on a score against a borrowed baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores of the n new readings of a batch; NaN where a model did not score.

    anomaly (n,) in [0, 1]; flagged (n,); risk (n,) in [0, 3]; condition (n,) code; warm (n,): baseline learned, or
    the share `progress` (n,) of it; level (n,): code of the baseline's level; confidence (n,) in it, in [0, 1].
    """

    batch: ReadingBatch
    anomaly: Floats
    flagged: Bools
    risk: Floats
    condition: Ints
    warm: Bools
    progress: Features
    level: Codes
    confidence: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Result of a batch. replayed: readings seen before; late: readings that arrived after their window's time.

    alert_counts: of each running model and of each shadow. suppressed: openings that did not become an alert,
    by reason.
    """

    state: FleetState
    scores: Scores
    alerts: tuple[tuple[int, Alert], ...]
    recommendations: tuple[Recommendation, ...]
    energy_windows: tuple[EnergyWindow, ...]
    replayed: int
    late: int
    alert_counts: tuple[AlertCounts, ...] = ()
    suppressed: Mapping[str, int] = field(default_factory=dict)


def assess(batch: ReadingBatch, *, state: FleetState, models: Models, plant: Plant) -> Assessment:
    """Assess the readings of one partition. `state` is consumed: use the returned one instead.

    The result depends on the readings and their order only, not on how they were split into batches.
    """
    every_slot = state.slots_of(batch.machine_ids)
    new = batch.offsets > state.tracks.last_offset[every_slot][batch.machine]
    replayed = len(batch) - int(new.sum())
    if replayed:
        batch = batch.take(new)
    slots = every_slot[batch.machine]
    state.dirty.update(np.unique(slots).tolist())
    values = physical(batch.values, plant)
    impossible = np.isnan(values) & ~np.isnan(batch.values)
    rows = observe(
        batch,
        slots=slots,
        values=values,
        tracks=state.tracks,
        traits=state.traits,
        warm_ups=state.warm_ups,
        looks=state.looks,
        plant=plant,
        habits=state.habits,
    )
    rows.fault[impossible] = FAULT_IMPOSSIBLE
    # a fault of a derived sensor is that of its inputs
    rows.fault[:, [index for index, _ in plant.derived]] = FAULT_NONE
    score_against_type(batch, values, rows, models=models, plant=plant)
    scores = _score(batch, rows, models)
    _remember_last(state, slots, scores)
    alerts, suppressed = _alerts(scores, values=values, slots=slots, rows=rows, state=state, models=models, plant=plant)
    recommendations = _recommendations(scores, slots=slots, rows=rows, state=state, models=models, plant=plant)
    windows, late = _energy(batch, values, rows, every_slot=every_slot, state=state, plant=plant)
    np.maximum.at(state.tracks.last_offset, slots, batch.offsets)
    return Assessment(
        state=state,
        scores=scores,
        alerts=alerts,
        recommendations=recommendations,
        energy_windows=windows,
        replayed=replayed,
        late=late,
        suppressed=suppressed,
        alert_counts=count_alerts(models, rows, anomaly=scores.anomaly, risk=scores.risk),
    )


def _score(batch: ReadingBatch, rows: RowResults, models: Models) -> Scores:
    anomaly = anomaly_scores(rows, models)
    return Scores(
        batch=batch,
        anomaly=anomaly,
        flagged=np.nan_to_num(anomaly) >= FLAG_AT,
        risk=risks(rows, models),
        condition=rows.condition,
        warm=rows.warm,
        progress=rows.progress,
        level=rows.level,
        confidence=confidence_of(rows),
    )


def _remember_last(state: FleetState, slots: Ints, scores: Scores) -> None:
    # rows are in order, so the last reading of each machine wins
    state.scores[slots] = scores.anomaly


def _alerts(
    scores: Scores,
    *,
    values: Floats,
    slots: Ints,
    rows: RowResults,
    state: FleetState,
    models: Models,
    plant: Plant,
) -> tuple[tuple[tuple[int, Alert], ...], dict[str, int]]:
    """Return the changed alerts in row order, each with its row, and the number of suppressed openings by reason."""
    batch, rules = scores.batch, state.rules
    writer = AlertWriter(batch=batch, values=values, rows=rows, confidence=scores.confidence, state=state, plant=plant)
    silence = SilenceWatch(state=state, plant=plant)
    written = silence.resolved_by(batch, rows.newest)
    silence.advance(slots, batch.timestamps)
    anomaly = np.nan_to_num(scores.anomaly)
    limit = limit_severity(values, plant).max(axis=1, initial=0)
    fault = (rows.fault != FAULT_NONE).any(axis=1)
    running = rows.condition == CONDITIONS.index("running")
    warning, critical = SEVERITIES.index("warning"), SEVERITIES.index("critical")
    column = FOLLOWED_KINDS.index("anomaly")
    sensors = tuple(plant.sensors[index].name for index in watched_sensors(plant))
    by_policy = deviates_by_policy(rows, values, watched_sensors(plant), rules)
    kinds = (
        (
            "anomaly",
            anomaly,
            scores.flagged & rows.substantial & by_policy & (anomaly >= FLAG_AT + _raised(rows, sensors, state)),
            # a running machine without a score is not calm
            ((anomaly < rules.resolve_below[slots, column]) | ~by_policy) & (rows.scored | ~running),
            np.where(anomaly >= rules.critical_score[slots, column], critical, warning),
            _anomaly_model(models),
        ),
        ("limit", np.array(LEVELS)[limit], limit > 0, limit == 0, limit, RULE),
        ("sensor_fault", fault.astype(np.float64), fault, ~fault & running, np.zeros(len(batch), np.int64), RULE),
    )
    suppressed: dict[str, int] = {}
    for kind, level, over, calm, severity, model in kinds:
        changes = follow(
            kind,
            slots=slots,
            timestamps=rows.newest,
            level=level,
            over=over,
            calm=calm,
            severity=severity.astype(np.int64),
            suppressed=suppression_of(kind, slots=slots, timestamps=rows.newest, state=state),
            episodes=state.episodes,
            rules=rules,
        )
        for reason, openings in zip(SUPPRESSIONS, changes.suppressed.tolist(), strict=True):
            if openings:
                suppressed[reason] = suppressed.get(reason, 0) + openings
        for position in range(len(changes.row)):
            written += writer.write(kind, changes, position, model=model)
    written.sort(key=lambda item: item[0])
    return tuple(written), suppressed


def _raised(rows: RowResults, sensors: tuple[str, ...], state: FleetState) -> Floats:
    """Return the amount by which the threshold of an alert exceeds that of a flag, (n,)."""
    if not sensors:
        return np.zeros(len(rows.slot))
    raised = raised_thresholds(rows.slot, rows.contribution.argmax(axis=1), sensors, state)
    # a new machine may differ from those it was trained on
    return raised + np.where(np.isin(rows.level, (LEVEL_PLANT, LEVEL_TYPE)), _BORROWED_MARGIN, 0.0)


def _anomaly_model(models: Models) -> AlertModel:
    if models.anomaly is None or models.flag_by == "distance":
        return AlertModel(name="distance", version="1", level="machine")
    return AlertModel(name=models.anomaly.name, version=models.anomaly.version, level="machine")


def _recommendations(
    scores: Scores,
    *,
    slots: Ints,
    rows: RowResults,
    state: FleetState,
    models: Models,
    plant: Plant,
) -> tuple[Recommendation, ...]:
    if models.maintenance is None:
        return ()
    batch = scores.batch
    risk = np.where(advisable(rows, models), scores.risk, np.nan)
    due = advise(slots=slots, timestamps=batch.timestamps, risk=risk, wear=state.wear)
    model = AlertModel(name=models.maintenance.name, version=models.maintenance.version, level="type")
    sensors = tuple(plant.sensors[index] for index in watched_sensors(plant))
    messages = []
    for row, band_code, level in zip(*due, strict=True):
        slot, band = slots[row], BANDS[band_code]
        machine_id = batch.machine_ids[batch.machine[row]]
        # without a baseline there is no normal to compare with
        mean = state.tracks.mean[slot] if state.tracks.fitted[slot] else np.full(len(sensors), np.nan)
        slowest = slice(-2 - len(sensors), -2)
        messages.append(
            Recommendation(
                machine_id=machine_id,
                issued_at=datetime.fromtimestamp(batch.timestamps[row], UTC),
                risk_level=float(np.clip(level, 0, 3)),
                band=band,
                urgent=band == "urgent",
                text=advice_text(machine_id, band),
                hours_to_failure=time_left(rows.maintenance[row], models),
                reasons=reasons_of(
                    rows.maintenance[row, slowest].astype(np.float64),
                    mean,
                    state.tracks.scale[slot],
                    sensors,
                ),
                counterfactual=counterfactual_of(
                    rows.maintenance[row],
                    band_code,
                    mean=mean,
                    scale=state.tracks.scale[slot],
                    sensors=sensors,
                    model=models.maintenance,
                ),
                model=model,
            )
        )
    return tuple(messages)


def _energy(
    batch: ReadingBatch,
    values: Floats,
    rows: RowResults,
    *,
    every_slot: Ints,
    state: FleetState,
    plant: Plant,
) -> tuple[tuple[EnergyWindow, ...], int]:
    power, register = _column(values, plant, "power"), _column(values, plant, "energy_counter")
    if (power is None and register is None) or not len(batch):
        return (), 0
    rules = counter_rules(plant)
    late = accumulate(
        state.windows,
        machine_ids=batch.machine_ids,
        machine=batch.machine,
        slots=every_slot[batch.machine],
        timestamps=batch.timestamps,
        power=power,
        production=_column(values, plant, "production"),
        newest=rows.newest,
        grace_seconds=plant.energy.grace_seconds,
        register=register,
        counter_rules=rules,
    )
    closed = closing_of(plant).by_own_time(state.windows, batch.machine_ids, every_slot, state.tracks.last_seen)
    # what was published must not be published anew as if it had not been
    state.dirty.update(state.slots[window.machine_id] for window in closed)
    return tuple(closed), late


def _column(values: Floats, plant: Plant, role: Role) -> Floats | None:
    index = plant.index_of_role(role)
    return None if index is None else values[:, index]
