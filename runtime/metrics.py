"""The catalogue of Nexova's Prometheus metrics: every name, unit, label and bucket in one place.

A set of metrics is a class whose attributes are specifications; an instance of it holds the prometheus_client
objects, registered with the registry it was given. Nothing is registered when this module is imported.

    metrics = ProcessorMetrics(process_registry())
    metrics.readings_accepted.inc(4096)
    metrics.readings_rejected.labels(reason="not_json").inc()

Names are in base units (`_seconds`, `_bytes`, `_total`). Labels are bounded, and no label carries a machine
id: what concerns one machine is a message on a topic, not a time series. Closed labels are exposed at zero
from the start, so that a rate sees the first increment.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar, get_args, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from core.models import Refusal
from schemas.alerts import AlertKind, AlertState, Severity
from schemas.dead_letters import DeadLetterReason
from schemas.machines import Condition
from schemas.recommendations import Band
from schemas.topics import ALERTS, DEAD_LETTERS, ENERGY, FORECASTS, MACHINES, RECOMMENDATIONS, SCORES

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["counter", "gauge", "histogram"]
Workers = Literal["livemax", "livemin", "livesum"]
ModelRole = Literal["champion", "challenger", "previous"]
"""Role of a version in use: it runs, it is tried in its shadow, or it ran before and its successor is in its canary
window."""
Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label: its whole set of values or, where they are not known beforehand, what bounds their number."""

    name: str
    values: tuple[str, ...] = ()
    bound: str = ""


@dataclass(frozen=True, kw_only=True)
class Metric(Generic[Instrument]):
    """One metric of the catalogue; on an instance of its set the attribute is the prometheus_client object.

    `buckets` are upper bounds in the metric's own unit, ascending, and only a histogram has them.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...]
    buckets: tuple[float, ...]
    build: Callable[[Metric[Instrument], CollectorRegistry], Instrument]

    @overload
    def __get__(self, owner: None, of: type) -> Metric[Instrument]: ...

    @overload
    def __get__(self, owner: object, of: type) -> Instrument: ...

    def __get__(self, owner: object | None, of: type) -> Metric[Instrument] | Instrument:
        # An instance holds the built object in its own __dict__, which goes before this method.
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels' names, in the order of the catalogue."""
        return tuple(label.name for label in self.labels)


def _counter(name: str, text: str, *labels: Label) -> Metric[Counter]:
    def build(metric: Metric[Counter], registry: CollectorRegistry) -> Counter:
        return Counter(metric.name, metric.help, metric.label_names, registry=registry)

    return Metric(name=name, kind="counter", help=text, labels=labels, buckets=(), build=build)


def _gauge(name: str, text: str, *labels: Label, workers: Workers = "livemax") -> Metric[Gauge]:
    """A gauge. workers: what counts of several processes that share a page, see `runtime.metrics_page`."""

    def build(metric: Metric[Gauge], registry: CollectorRegistry) -> Gauge:
        return Gauge(metric.name, metric.help, metric.label_names, registry=registry, multiprocess_mode=workers)

    return Metric(name=name, kind="gauge", help=text, labels=labels, buckets=(), build=build)


def _histogram(name: str, text: str, *, buckets: tuple[float, ...]) -> Metric[Histogram]:
    def build(metric: Metric[Histogram], registry: CollectorRegistry) -> Histogram:
        return Histogram(metric.name, metric.help, metric.label_names, registry=registry, buckets=metric.buckets)

    return Metric(name=name, kind="histogram", help=text, labels=(), buckets=buckets, build=build)


class MetricSet:
    """The metrics of one process, registered with one registry; a registry takes each set once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        for attribute, metric in vars(type(self)).items():
            if isinstance(metric, Metric):
                vars(self)[attribute] = _with_closed_labels(metric.build(metric, registry), metric)

    @classmethod
    def catalogue(cls) -> tuple[Metric[Counter] | Metric[Gauge] | Metric[Histogram], ...]:
        """Every metric of the set, in the order of its declaration."""
        return tuple(value for value in vars(cls).values() if isinstance(value, Metric))


def _with_closed_labels(instrument: Instrument, metric: Metric[Instrument]) -> Instrument:
    if metric.labels and all(label.values for label in metric.labels):
        for values in itertools.product(*(label.values for label in metric.labels)):
            instrument.labels(*values)
    return instrument


def process_registry() -> CollectorRegistry:
    """A new registry with this process's own memory, processor time and open files (`process_…`).

    Also turns off prometheus_client's `_created` series, which double the exposition and which no query here
    uses; that switch is the library's and holds for the whole process, so a composition root calls this.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


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

    readings_accepted = _counter(
        "nexova_readings_accepted_total", "Readings that were decoded, valid and seen for the first time."
    )
    readings_rejected = _counter(
        "nexova_readings_rejected_total", "Readings refused before they were assessed, by reason.", _REASON
    )
    readings_replayed = _counter(
        "nexova_readings_replayed_total", "Readings skipped because the machine's state had seen their offset."
    )
    readings_late = _counter(
        "nexova_readings_late_total", "Readings that arrived after their energy window had closed."
    )
    unknown_sensors = _counter(
        "nexova_unknown_sensors_total", "Values ignored because the plant file defines no sensor of that name."
    )
    readings_scored = _counter("nexova_readings_scored_total", "Readings with an anomaly score.")
    scores_flagged = _counter("nexova_scores_flagged_total", "Scores at or above the flag's threshold of 0.5.")
    alerts = _counter(
        "nexova_alerts_total",
        "Alert messages published, by kind, state and severity.",
        _KIND,
        Label(name="state", values=get_args(AlertState)),
        Label(name="severity", values=get_args(Severity)),
    )
    alerts_open = _gauge("nexova_alerts_open", "Open alerts on this worker's partitions, by kind.", _KIND)
    recommendations = _counter(
        "nexova_recommendations_total",
        "Maintenance recommendations published, by band.",
        Label(name="band", values=get_args(Band)),
    )
    energy_windows = _counter(
        "nexova_energy_windows_total",
        "Hourly energy windows published: final when closed, revised when late data changed a closed one.",
        Label(name="state", values=("final", "revised")),
    )
    meter_steps = _counter(
        "nexova_meter_steps_total",
        "Changes of energy counters other than an increase; unknown: implausible, so no energy is counted.",
        Label(name="kind", values=("reset", "rollover", "unknown")),
    )
    history_hours = _counter(
        "nexova_history_imported_total",
        "Hours of past energy imported with `nexova history import` that changed the state.",
    )
    forecasts = _counter(
        "nexova_forecasts_total",
        "Forecasts by result: from the champion, from the seasonal median instead, or none (too slow, failed).",
        Label(name="result", values=("champion", "median", "too_slow", "failed")),
    )
    forecast_duration = _histogram(
        "nexova_forecast_duration_seconds",
        "Seconds to compute one forecast, without waiting time.",
        buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    )
    forecasts_waiting = _gauge("nexova_forecasts_waiting", "Series of this worker whose forecast is due.")
    forecasts_fallen_back = _gauge(
        "nexova_forecasts_fallen_back",
        "Series of this worker currently forecast by the seasonal median instead of the champion.",
    )
    forecast_points = _counter(
        "nexova_forecast_matured_points_total",
        "Forecast hours whose actual energy is known by now, by day of the horizon.",
        _HORIZON,
    )
    forecast_actual = _counter(
        "nexova_forecast_actual_kwh_total",
        "Actual energy of matured hours; the absolute errors divided by it are the WAPE.",
        _HORIZON,
    )
    forecast_error = _counter(
        "nexova_forecast_absolute_error_kwh_total", "Sum of absolute errors of matured hours.", _HORIZON
    )
    forecast_covered = _counter(
        "nexova_forecast_covered_points_total",
        "Matured hours within their 80 % interval; divided by all matured points this is the coverage.",
        _HORIZON,
    )
    forecast_interval_score = _counter(
        "nexova_forecast_interval_score_kwh_total",
        "Sum of Winkler scores of matured hours: interval width plus ten times any excess outside it.",
        _HORIZON,
    )
    dead_letters = _counter("nexova_dead_letters_total", "Dead letters published, by reason.", _REASON)
    machines = _gauge(
        "nexova_machines",
        "Machines on this worker's partitions, by condition.",
        Label(name="condition", values=get_args(Condition)),
    )
    consumer_lag = _gauge(
        "nexova_consumer_lag_records",
        "Kafka records between the last record read and the end of the partition.",
        _PARTITION,
    )
    watermark_delay = _gauge(
        "nexova_watermark_delay_seconds",
        "Seconds by which a partition's watermark is behind the wall clock.",
        _PARTITION,
    )
    batch_duration = _histogram(
        "nexova_batch_duration_seconds",
        "Seconds to decode, assess and publish one micro-batch.",
        buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    )
    batch_readings = _histogram(
        "nexova_batch_readings", "Readings in one micro-batch.", buckets=(1, 4, 16, 64, 256, 1024, 4096, 16384)
    )
    checkpoint_duration = _histogram(
        "nexova_checkpoint_duration_seconds",
        "Seconds of one checkpoint: flush outputs, write state to the changelog, commit offsets.",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    )
    checkpoints = _counter(
        "nexova_checkpoints_total",
        "Checkpoints by result; a failed one commits no offset.",
        Label(name="result", values=("succeeded", "failed")),
    )
    state_size = _gauge("nexova_state_bytes", "Bytes of state written by the last checkpoint (changed machines only).")
    reading_to_alert = _histogram(
        "nexova_reading_to_alert_seconds",
        "Seconds from the Kafka timestamp of a reading that changed an alert to the alert's delivery.",
        buckets=(
            *(0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
            *(1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0),
        ),
    )
    rebalances = _counter("nexova_rebalances_total", "Completed assignments of partitions to this worker.")
    output_messages = _counter(
        "nexova_output_messages_total", "Messages that the broker acknowledged, by topic.", _TOPIC
    )
    output_failures = _counter(
        "nexova_output_failures_total", "Messages that could not be delivered, by topic.", _TOPIC
    )
    model_info = _gauge(
        "nexova_model_info",
        "1 for each model in use, labelled with its name, version and feature fingerprint.",
        _MODEL,
        Label(name="version", bound="one for each name at a time: the series of the last one is removed"),
        Label(name="feature_fingerprint", bound="one for each version"),
    )
    model_fallbacks = _counter(
        "nexova_model_fallbacks_total",
        "Promoted versions that were refused; the last usable version stays, or the rules alone where there is none.",
        _MODEL,
        Label(name="reason", values=get_args(Refusal)),
    )
    model_scored = _counter(
        "nexova_model_scored_total",
        "Readings scored by each model version in its current role.",
        *(_MODEL, _IN_USE, _ROLE),
    )
    model_alerting = _counter(
        "nexova_model_alerting_total",
        "Readings that each model version flags, or rates in a risk band above none, in its current role.",
        *(_MODEL, _IN_USE, _ROLE),
    )
    model_rollbacks = _counter(
        "nexova_model_rollbacks_total",
        "Promotions that this worker rolled back because the alert rate left its bounds.",
        _MODEL,
    )
    event_loop_lag = _gauge("nexova_event_loop_lag_seconds", "Seconds by which the event loop's last timer fired late.")
    healthy = _gauge("nexova_healthy", "1 while every health check passes, else 0; same result as /healthz.")
    health_checks_failed = _gauge(
        "nexova_health_checks_failed",
        "1 for each failing health check, else 0.",
        Label(name="check", bound="the five checks of processor/health.py"),
    )


class ProducerMetrics(MetricSet):
    """Metrics of the simulator and of replays."""

    delivered = _counter("nexova_producer_delivered_total", "Messages with readings that the broker acknowledged.")
    failed = _counter("nexova_producer_failed_total", "Messages with readings that could not be delivered.")


_ENDPOINT: Final = Label(name="endpoint", bound="routes of the API as they are declared, without ids")


class ApiMetrics(MetricSet):
    """Metrics of `nexova serve`."""

    requests = _counter(
        "nexova_api_requests_total",
        "Requests answered, by route and status class.",
        _ENDPOINT,
        Label(name="status", bound="1xx to 5xx"),
    )
    request_duration = _histogram(
        "nexova_api_request_duration_seconds",
        "Seconds from a request's head to the head of its response, event streams excluded.",
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    )
    refused = _counter(
        "nexova_api_refused_total",
        "Requests refused before they were handled, by reason.",
        Label(name="reason", values=("token", "scope", "rate", "size", "host", "origin", "busy", "time")),
    )
    rows = _counter(
        "nexova_api_rows_total", "Rows scored for callers, by kind.", Label(name="kind", values=("anomaly", "risk"))
    )
    batch_rows = _histogram(
        "nexova_api_batch_rows",
        "Rows scored together in one batch, over all waiting requests.",
        buckets=(1, 4, 16, 64, 256, 1024, 4096),
    )
    fallbacks = _counter(
        "nexova_api_fallbacks_total",
        "Answers given by a fallback because the model was unavailable.",
        Label(name="kind", values=("anomaly", "risk", "forecast")),
    )
    forecasts = _counter(
        "nexova_api_forecasts_total",
        "Forecasts answered, by source.",
        Label(name="source", values=("computed", "cache")),
    )
    workers = _gauge("nexova_api_workers", "Worker processes that serve this port.", workers="livesum")
    streams = _gauge("nexova_api_streams", "Open event streams.", workers="livesum")
    events = _counter("nexova_api_events_total", "Events sent to event streams.")
    streams_lost = _counter("nexova_api_streams_lost_total", "Event streams ended because their client was too slow.")
    view_records = _counter(
        "nexova_api_view_records_total",
        "Kafka records applied to the live view, by topic.",
        Label(name="topic", bound="topics that the view reads"),
    )
    view_unreadable = _counter(
        "nexova_api_view_unreadable_total", "Kafka records that the live view could not decode and skipped."
    )
    view_items = _gauge(
        "nexova_api_view_items",
        "Items in the live view, by kind.",
        Label(name="kind", bound="kinds that the view keeps"),
    )
    view_ready = _gauge(
        "nexova_api_view_ready", "1 once the live view is complete, else 0; same result as /ready.", workers="livemin"
    )
    kafka_up = _gauge(
        "nexova_api_kafka_up", "1 while the brokers are reachable from the live view, else 0.", workers="livemin"
    )
    feedback = _counter(
        "nexova_api_feedback_total",
        "Feedback on alerts, by result.",
        Label(name="result", values=("recorded", "failed")),
    )
