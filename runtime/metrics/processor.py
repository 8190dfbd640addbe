"""Metrics of the processor."""

from typing import Final, Literal, get_args

from core.models import Refusal
from core.state.episodes import SUPPRESSIONS
from runtime.metrics.catalogue import Label, MetricSet, counter, gauge, histogram
from schemas.alerts import AlertKind, AlertState, Severity
from schemas.dead_letters import DeadLetterReason
from schemas.feedback import FeedbackKind
from schemas.machines import Condition
from schemas.recommendations import Band
from schemas.topics import (
    ALERTS,
    DEAD_LETTERS,
    ENERGY,
    FORECASTS,
    HISTORY,
    MACHINES,
    READINGS,
    RECOMMENDATIONS,
    SCORES,
)

ModelRole = Literal["champion", "challenger", "previous"]
"""Role of a version in use: it runs, it is tried in its shadow, or it ran before and its successor is in its canary
window."""

Stage = Literal["decode", "assess", "publish", "save"]
"""Stage of a batch on the worker's own threads. Fetching and the clients of Kafka have threads of their own."""

_REASON: Final = Label(name="reason", values=get_args(DeadLetterReason))
_KIND: Final = Label(name="kind", values=get_args(AlertKind))
_PARTITION: Final = Label(name="partition", bound="partitions of nexova.readings assigned to this worker")
_TOPIC: Final = Label(name="topic", values=(SCORES, ALERTS, RECOMMENDATIONS, ENERGY, FORECASTS, MACHINES, DEAD_LETTERS))
_HORIZON: Final = Label(name="horizon", values=("day_1", "day_2", "day_3"))
_MODEL: Final = Label(name="name", bound="models of the processor")
_IN_USE: Final = Label(name="version", bound="at most three for each name at a time: the series of others are removed")
_ROLE: Final = Label(name="role", values=get_args(ModelRole))


class ProcessorMetrics(MetricSet):
    """Metrics of one `nexova process` worker."""

    readings_accepted = counter(
        "nexova_readings_accepted_total", "Readings that were decoded, valid and seen for the first time."
    )
    readings_rejected = counter(
        "nexova_readings_rejected_total", "Readings refused before they were assessed, by reason.", _REASON
    )
    readings_replayed = counter(
        "nexova_readings_replayed_total", "Readings skipped because the machine's state had seen their offset."
    )
    machines_misplaced = gauge(
        "nexova_machines_misplaced",
        "Machines on this worker's partitions whose readings come in another one than murmur2 of their id gives.",
    )
    poisoned_batches = counter(
        "nexova_poisoned_batches_total",
        "Batches in which a reading made the rules fail; it was found and set aside as a dead letter (not_assessed).",
    )
    readings_late = counter("nexova_readings_late_total", "Readings that arrived after their energy window had closed.")
    unknown_sensors = counter(
        "nexova_unknown_sensors_total", "Values ignored because the plant file defines no sensor of that name."
    )
    readings_scored = counter("nexova_readings_scored_total", "Readings with an anomaly score.")
    scores_flagged = counter("nexova_scores_flagged_total", "Scores at or above the flag's threshold of 0.5.")
    scores = histogram(
        "nexova_anomaly_score",
        "Anomaly scores of readings; calibrated, so that about one in a hundred normal ones is at or above 0.5.",
        buckets=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    )
    anomaly_rate = gauge(
        "nexova_anomaly_rate", "Share of flagged readings among about the newest 10,000 that this worker scored."
    )
    model_drift = gauge(
        "nexova_model_drift_psi",
        "Population stability index of a model's output for about the newest 10,000 readings against the first 10,000 "
        "of its version, kept in the model repository; above 0.25 the distribution has changed.",
        _MODEL,
    )
    alerts = counter(
        "nexova_alerts_total",
        "Alert messages published, by kind, state and severity.",
        _KIND,
        Label(name="state", values=get_args(AlertState)),
        Label(name="severity", values=get_args(Severity)),
    )
    alerts_suppressed = counter(
        "nexova_alerts_suppressed_total",
        "Episodes that met the conditions of an alert but did not open one, by reason.",
        Label(name="reason", values=SUPPRESSIONS[1:]),
    )
    policy_changes = counter(
        "nexova_alert_policy_changes_total",
        "Changed alert policies of the plant file, by result.",
        Label(name="result", values=("taken", "refused")),
    )
    feedback = counter(
        "nexova_feedback_applied_total",
        "Feedback applied to the state of its machine, by kind.",
        Label(name="kind", values=get_args(FeedbackKind)),
    )
    clocks_wrong = gauge(
        "nexova_device_clocks_wrong", "Machines on this worker's partitions with an open alert on their device's clock."
    )
    alerts_open = gauge("nexova_alerts_open", "Open alerts on this worker's partitions, by kind.", _KIND)
    recommendations = counter(
        "nexova_recommendations_total",
        "Maintenance recommendations published, by band.",
        Label(name="band", values=get_args(Band)),
    )
    energy_windows = counter(
        "nexova_energy_windows_total",
        "Hourly energy windows published: final when closed, revised when late data changed a closed one.",
        Label(name="state", values=("final", "revised")),
    )
    energy_completeness = histogram(
        "nexova_energy_window_completeness",
        "Share of an hour that the readings of its final energy window cover.",
        buckets=(0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0),
    )
    meter_steps = counter(
        "nexova_meter_steps_total",
        "Changes of energy counters other than an increase; unknown: implausible, so no energy is counted.",
        Label(name="kind", values=("reset", "rollover", "unknown")),
    )
    history_hours = counter(
        "nexova_history_imported_total",
        "Hours of past energy imported with `nexova history import` that changed the state.",
    )
    forecasts = counter(
        "nexova_forecasts_total",
        "Forecasts by result: from the champion, from the seasonal median instead, or none (too slow, failed).",
        Label(name="result", values=("champion", "median", "too_slow", "failed")),
    )
    forecast_duration = histogram(
        "nexova_forecast_duration_seconds",
        "Seconds to compute one forecast, without waiting time.",
        buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    )
    forecasts_waiting = gauge("nexova_forecasts_waiting", "Series of this worker whose forecast is due.")
    forecasts_fallen_back = gauge(
        "nexova_forecasts_fallen_back",
        "Series of this worker currently forecast by the seasonal median instead of the champion.",
    )
    forecast_fallback_share = gauge(
        "nexova_forecast_fallback_share",
        "Share of this worker's series currently forecast by the seasonal median instead of the champion.",
    )
    forecast_points = counter(
        "nexova_forecast_matured_points_total",
        "Forecast hours whose actual energy is known by now, by day of the horizon.",
        _HORIZON,
    )
    forecast_actual = counter(
        "nexova_forecast_actual_kwh_total",
        "Actual energy of matured hours; the absolute errors divided by it are the WAPE.",
        _HORIZON,
    )
    forecast_error = counter(
        "nexova_forecast_absolute_error_kwh_total", "Sum of absolute errors of matured hours.", _HORIZON
    )
    forecast_covered = counter(
        "nexova_forecast_covered_points_total",
        "Matured hours within their 80 % interval; divided by all matured points this is the coverage.",
        _HORIZON,
    )
    forecast_interval_score = counter(
        "nexova_forecast_interval_score_kwh_total",
        "Sum of Winkler scores of matured hours: interval width plus ten times any excess outside it.",
        _HORIZON,
    )
    dead_letters = counter("nexova_dead_letters_total", "Dead letters published, by reason.", _REASON)
    machines = gauge(
        "nexova_machines",
        "Machines on this worker's partitions, by condition.",
        Label(name="condition", values=get_args(Condition)),
    )
    consumer_lag = gauge(
        "nexova_consumer_lag_records",
        "Kafka records between the last record read and the end of the partition.",
        _PARTITION,
    )
    watermark_delay = gauge(
        "nexova_watermark_delay_seconds",
        "Seconds by which a partition's watermark is behind the wall clock.",
        _PARTITION,
    )
    watermark_skew = gauge(
        "nexova_watermark_skew_seconds",
        "Seconds by which a partition's watermark is behind the furthest one of this worker.",
        _PARTITION,
    )
    restore_progress = gauge(
        "nexova_restore_progress",
        "Share of a partition's saved state that was read back since it was assigned; 1 once it is complete.",
        _PARTITION,
        Label(name="table", bound="the two tables of the state"),
    )
    batch_duration = histogram(
        "nexova_batch_duration_seconds",
        "Seconds to decode, assess and publish one micro-batch.",
        buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    )
    batch_readings = histogram(
        "nexova_batch_readings", "Readings in one micro-batch.", buckets=(1, 4, 16, 64, 256, 1024, 4096, 16384)
    )
    checkpoint_duration = histogram(
        "nexova_checkpoint_duration_seconds",
        "Seconds of one checkpoint: flush outputs, write state to the changelog, commit offsets.",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    )
    checkpoints = counter(
        "nexova_checkpoints_total",
        "Checkpoints by result; a failed one commits no offset.",
        Label(name="result", values=("succeeded", "failed")),
    )
    state_size = gauge("nexova_state_bytes", "Bytes of state written by the last checkpoint (changed machines only).")
    reading_to_alert = histogram(
        "nexova_reading_to_alert_seconds",
        "Seconds from the Kafka timestamp of a reading that changed an alert to the alert's delivery.",
        buckets=(
            *(0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
            *(1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0),
        ),
    )
    records_lost = counter(
        "nexova_records_lost_total",
        "Records deleted from their topic before they were processed.",
        Label(name="topic", values=(READINGS, HISTORY)),
    )
    rebalances = counter("nexova_rebalances_total", "Completed assignments of partitions to this worker.")
    dead_letters_left_out = counter(
        "nexova_dead_letters_left_out_total", "Refusals beyond the rate of dead letters: counted, not published."
    )
    machines_forgotten = counter("nexova_machines_forgotten_total", "Machines removed after a long silence.")
    partitions_lost = counter(
        "nexova_partitions_lost_total", "Partitions lost because another worker had taken them over."
    )
    changelog_bytes = counter("nexova_changelog_bytes_total", "Bytes of state written, before compression.")
    output_messages = counter(
        "nexova_output_messages_total", "Messages that the broker acknowledged, by topic.", _TOPIC
    )
    output_failures = counter("nexova_output_failures_total", "Messages that could not be delivered, by topic.", _TOPIC)
    model_info = gauge(
        "nexova_model_info",
        "1 for each model in use, labelled with its name, version and feature fingerprint.",
        _MODEL,
        Label(name="version", bound="one for each name at a time: the series of the last one is removed"),
        Label(name="feature_fingerprint", bound="one for each version"),
    )
    model_trained = gauge(
        "nexova_model_trained_timestamp_seconds",
        "When the promoted version of a model was trained, in epoch seconds.",
        _MODEL,
    )
    training_newest = gauge(
        "nexova_training_newest_timestamp_seconds",
        "The trainer's last success: when the newest version of a model was made, promoted or not, in epoch seconds.",
        _MODEL,
    )
    training_rejected = gauge(
        "nexova_training_newest_rejected",
        "1 where the promotion gate rejected the newest version of a model, else 0.",
        _MODEL,
    )
    training_excluded = gauge(
        "nexova_training_excluded_rows",
        "Readings that the newest version of a model was not trained on, by reason.",
        _MODEL,
        Label(name="reason", bound="reasons of docs/operations.md"),
    )
    model_fallbacks = counter(
        "nexova_model_fallbacks_total",
        "Promoted versions that were refused; the last usable version stays, or the rules alone where there is none.",
        _MODEL,
        Label(name="reason", values=get_args(Refusal)),
    )
    model_scored = counter(
        "nexova_model_scored_total",
        "Readings scored by each model version in its current role.",
        *(_MODEL, _IN_USE, _ROLE),
    )
    model_alerting = counter(
        "nexova_model_alerting_total",
        "Readings that each model version flags, or rates in a risk band above none, in its current role.",
        *(_MODEL, _IN_USE, _ROLE),
    )
    model_rollbacks = counter(
        "nexova_model_rollbacks_total",
        "Promotions that this worker rolled back because the alert rate left its bounds.",
        _MODEL,
    )
    stage_cpu = counter(
        "nexova_stage_cpu_seconds_total",
        "CPU seconds of the stages of batches: decode and validate, assess by the rules and models, encode and queue "
        "outputs, pack changed state. Fetches, Faust and the Kafka clients are the rest of the process's CPU time.",
        Label(name="stage", values=get_args(Stage)),
    )
    event_loop_lag = gauge("nexova_event_loop_lag_seconds", "Seconds by which the event loop's last timer fired late.")
    build = gauge(
        "nexova_build_info",
        "1, labelled with the release of this worker and its Python.",
        Label(name="version", bound="one"),
        Label(name="python", bound="one"),
    )
    ready = gauge(
        "nexova_ready", "1 while the worker has its partitions and their state, else 0; same result as /ready."
    )
    healthy = gauge("nexova_healthy", "1 while every health check passes, else 0; same result as /healthz.")
    health_checks_failed = gauge(
        "nexova_health_checks_failed",
        "1 for each failing health check, else 0.",
        Label(name="check", bound="the five checks of processor/health.py"),
    )
