"""Traces from a reading by way of its alert to the receiver, as OpenTelemetry spans; off unless an endpoint is set.

The packages (`nexova[otel]`) are imported only where traces are on.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from runtime.errors import UsageError
from runtime.settings import TracingSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_EXPORT_SECONDS: Final = 3.0
"""Longest attempt to deliver spans, also at the end of a process."""
_NANOSECONDS: Final = 1_000_000_000


class Traces(Protocol):
    """Recorder of spans."""

    def span(self, name: str, *, parent: str | None, seconds: float, attributes: Mapping[str, str | int]) -> str | None:
        """Record a span that ends now and took `seconds`; return the trace context (W3C) for what follows it.

        parent: trace context of the message that caused it; None begins a trace.
        """


class NoTraces:
    """Traces that are off: the context of a message is passed on as it is."""

    def span(self, name: str, *, parent: str | None, seconds: float, attributes: Mapping[str, str | int]) -> str | None:
        """Return `parent`."""
        del name, seconds, attributes
        return parent


class OpenTelemetryTraces:
    """Spans of OpenTelemetry's SDK. A parent that is not sampled has children that are not, either."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415  an optional package
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._tracer = provider.get_tracer("nexova")
        self._context = TraceContextTextMapPropagator()
        self._with_span = set_span_in_context

    def span(self, name: str, *, parent: str | None, seconds: float, attributes: Mapping[str, str | int]) -> str | None:
        """Record a span, as `Traces` says."""
        end = time.time_ns()
        context = self._context.extract({} if parent is None else {"traceparent": parent})
        start = end - round(max(0.0, seconds) * _NANOSECONDS)
        span = self._tracer.start_span(name, context=context, start_time=start, attributes=dict(attributes))
        span.end(end)
        carrier: dict[str, str] = {}
        self._context.inject(carrier, self._with_span(span))
        return carrier.get("traceparent")


def traces_of(settings: TracingSettings, *, service: str) -> Traces:
    """Return where the spans of a process go; service: its name in traces.

    Spans are sent in batches by a thread of the SDK. A collector that is away costs spans, never messages.

    Raises:
        UsageError: an endpoint is set and the packages are not installed.
    """
    if settings.endpoint is None:
        return NoTraces()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  optional
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"NEXOVA_TRACING__ENDPOINT={settings.endpoint}: the packages of traces are not installed ({error.name}); "
            "install nexova[otel], or unset it"
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetryTraces(provider)
