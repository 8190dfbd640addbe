"""Metrics of the forwarder."""

from runtime.metrics.catalogue import Label, MetricSet, counter, gauge


class ForwarderMetrics(MetricSet):
    """Metrics of one `nexova forward` process."""

    changes = counter(
        "nexova_forwarder_changes_total",
        "Changes of alerts that the receiver accepted.",
        Label(name="what", values=("opened", "raised", "resolved")),
    )
    deliveries = counter(
        "nexova_forwarder_deliveries_total",
        "Attempts to deliver; failed ones are repeated, refused ones become dead letters.",
        Label(name="result", values=("delivered", "failed", "refused")),
    )
    failing = gauge("nexova_forwarder_failing", "1 while deliveries to the receiver fail, else 0.")
    open_alerts = gauge("nexova_forwarder_open_alerts", "Open alerts that the receiver has.")
    lag = gauge("nexova_forwarder_lag_records", "Messages of nexova.alerts that wait to be forwarded.")
