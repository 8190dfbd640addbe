"""Metrics of the API."""

from typing import Final

from runtime.metrics.catalogue import Label, MetricSet, counter, gauge, histogram

_ENDPOINT: Final = Label(name="endpoint", bound="routes of the API as they are declared, without ids")


class ApiMetrics(MetricSet):
    """Metrics of `nexova serve`."""

    requests = counter(
        "nexova_api_requests_total",
        "Requests answered, by route and status class.",
        _ENDPOINT,
        Label(name="status", bound="1xx to 5xx"),
    )
    request_duration = histogram(
        "nexova_api_request_duration_seconds",
        "Seconds from a request's head to the head of its response, event streams excluded.",
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    )
    refused = counter(
        "nexova_api_refused_total",
        "Requests refused before they were handled, by reason.",
        Label(name="reason", values=("token", "scope", "rate", "size", "host", "origin", "busy", "time")),
    )
    rows = counter(
        "nexova_api_rows_total", "Rows scored for callers, by kind.", Label(name="kind", values=("anomaly", "risk"))
    )
    batch_rows = histogram(
        "nexova_api_batch_rows",
        "Rows scored together in one batch, over all waiting requests.",
        buckets=(1, 4, 16, 64, 256, 1024, 4096),
    )
    fallbacks = counter(
        "nexova_api_fallbacks_total",
        "Answers given by a fallback because the model was unavailable.",
        Label(name="kind", values=("anomaly", "risk", "forecast")),
    )
    forecasts = counter(
        "nexova_api_forecasts_total",
        "Forecasts answered, by source.",
        Label(name="source", values=("computed", "cache")),
    )
    connections = gauge("nexova_api_connections", "Open connections.", workers="livesum")
    connections_ended = counter(
        "nexova_api_connections_ended_total",
        "Connections ended by a bound: head not complete in time, client does not read (stuck), too many (full).",
        Label(name="reason", values=("head", "stuck", "full")),
    )
    workers = gauge("nexova_api_workers", "Worker processes that serve this port.", workers="livesum")
    streams = gauge("nexova_api_streams", "Open event streams.", workers="livesum")
    events = counter("nexova_api_events_total", "Events sent to event streams.")
    streams_lost = counter("nexova_api_streams_lost_total", "Event streams ended because their client was too slow.")
    view_records = counter(
        "nexova_api_view_records_total",
        "Kafka records applied to the live view, by topic.",
        Label(name="topic", bound="topics that the view reads"),
    )
    view_unreadable = counter(
        "nexova_api_view_unreadable_total", "Kafka records that the live view could not decode and skipped."
    )
    view_items = gauge(
        "nexova_api_view_items",
        "Items in the live view, by kind.",
        Label(name="kind", bound="kinds that the view keeps"),
    )
    view_ready = gauge(
        "nexova_api_view_ready", "1 once the live view is complete, else 0; same result as /ready.", workers="livemin"
    )
    kafka_up = gauge(
        "nexova_api_kafka_up", "1 while the brokers are reachable from the live view, else 0.", workers="livemin"
    )
    feedback = counter(
        "nexova_api_feedback_total",
        "Feedback on alerts, by result.",
        Label(name="result", values=("recorded", "failed")),
    )
    alert_precision = gauge(
        "nexova_api_alert_precision",
        "Share of confirmed alerts among those of 30 days with feedback confirmed or false alarm; NaN: none.",
    )
    alerts_judged = gauge("nexova_api_alerts_judged", "Alerts of 30 days with feedback confirmed or false alarm.")
    alert_response = gauge(
        "nexova_api_alert_response_rate", "Share of the alerts of 30 days with feedback; NaN: no alerts."
    )
