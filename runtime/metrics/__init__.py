"""Prometheus metrics: the catalogue, one file for each process, and the page that Prometheus reads."""

from runtime.metrics.api import ApiMetrics
from runtime.metrics.catalogue import Label, Metric, MetricSet, process_registry
from runtime.metrics.forwarder import ForwarderMetrics
from runtime.metrics.processor import ModelRole, ProcessorMetrics
from runtime.metrics.producer import ProducerMetrics

__all__ = [
    "ApiMetrics",
    "ForwarderMetrics",
    "Label",
    "Metric",
    "MetricSet",
    "ModelRole",
    "ProcessorMetrics",
    "ProducerMetrics",
    "process_registry",
]
