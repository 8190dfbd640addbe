"""Metrics of the producer."""

from runtime.metrics.catalogue import MetricSet, counter


class ProducerMetrics(MetricSet):
    """Metrics of the simulator and of replays."""

    delivered = counter("nexova_producer_delivered_total", "Messages with readings that the broker acknowledged.")
    failed = counter("nexova_producer_failed_total", "Messages with readings that could not be delivered.")
