"""Catalogue of Nexova's Prometheus metrics: every name, unit, label and bucket in one place.

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
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, overload

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Kind = Literal["counter", "gauge", "histogram"]
Workers = Literal["livemax", "livemin", "livesum"]
Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label: its set of values or, if they are not known beforehand, the bound on their number."""

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


def counter(name: str, text: str, *labels: Label) -> Metric[Counter]:
    """Return the specification of a counter."""

    def build(metric: Metric[Counter], registry: CollectorRegistry) -> Counter:
        return Counter(metric.name, metric.help, metric.label_names, registry=registry)

    return Metric(name=name, kind="counter", help=text, labels=labels, buckets=(), build=build)


def gauge(name: str, text: str, *labels: Label, workers: Workers = "livemax") -> Metric[Gauge]:
    """Return the specification of a gauge; workers: how several processes share a page, see `runtime.metrics.page`."""

    def build(metric: Metric[Gauge], registry: CollectorRegistry) -> Gauge:
        return Gauge(metric.name, metric.help, metric.label_names, registry=registry, multiprocess_mode=workers)

    return Metric(name=name, kind="gauge", help=text, labels=labels, buckets=(), build=build)


def histogram(name: str, text: str, *, buckets: tuple[float, ...]) -> Metric[Histogram]:
    """Return the specification of a histogram; `buckets` are upper bounds in its unit, ascending."""

    def build(metric: Metric[Histogram], registry: CollectorRegistry) -> Histogram:
        return Histogram(metric.name, metric.help, metric.label_names, registry=registry, buckets=metric.buckets)

    return Metric(name=name, kind="histogram", help=text, labels=(), buckets=buckets, build=build)


def observe_all(instrument: Histogram, values: NDArray[np.float64]) -> None:
    """Observe many finite values, (n,), at the cost of a few.

    The library has no such call, and its own costs a microsecond a value; it keeps one count per bucket and their sum.
    """
    buckets = instrument._buckets  # noqa: SLF001
    bounds = np.array(instrument._upper_bounds)  # noqa: SLF001
    counts = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds))
    for bucket, number in zip(buckets, counts.tolist(), strict=True):
        if number:
            bucket.inc(number)
    instrument._sum.inc(float(values.sum()))  # noqa: SLF001


class MetricSet:
    """The metrics of one process, registered with one registry; a registry takes each set once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        for attribute, metric in vars(type(self)).items():
            if isinstance(metric, Metric):
                vars(self)[attribute] = _with_closed_labels(metric.build(metric, registry), metric)

    @classmethod
    def catalogue(cls) -> tuple[Metric[Counter] | Metric[Gauge] | Metric[Histogram], ...]:
        """Return every metric of the set, in the order of its declaration."""
        return tuple(value for value in vars(cls).values() if isinstance(value, Metric))


def _with_closed_labels(instrument: Instrument, metric: Metric[Instrument]) -> Instrument:
    if metric.labels and all(label.values for label in metric.labels):
        for values in itertools.product(*(label.values for label in metric.labels)):
            instrument.labels(*values)
    return instrument


def process_registry() -> CollectorRegistry:
    """Return a new registry with this process's own memory, processor time and open files (`process_…`).

    Also turns off prometheus_client's `_created` series, which double the exposition and which no query here
    uses; that switch is the library's and holds for the whole process, so a composition root calls this.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry
