"""Spans by OpenTelemetry's own SDK, kept in memory; nothing of it without an endpoint."""

import subprocess
import sys

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.settings import TracingSettings
from runtime.tracing import NoTraces, OpenTelemetryTraces, traces_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
READING = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter: InMemorySpanExporter) -> OpenTelemetryTraces:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OpenTelemetryTraces(provider)


def sampled(context: str) -> bool:
    return bool(int(context[-2:], 16) & 1)


def test_a_trace_leads_from_the_reading_by_way_of_the_alert_to_the_receiver(
    traces: OpenTelemetryTraces, exporter: InMemorySpanExporter
) -> None:
    context = traces.span("alert opened", parent=READING, seconds=2.0, attributes={"nexova.machine_id": "press-01"})
    traces.span("deliver opened", parent=context, seconds=0.5, attributes={})

    alert, delivery = exporter.get_finished_spans()
    assert alert.context is not None
    assert alert.parent is not None
    assert delivery.parent is not None
    assert f"{alert.context.trace_id:032x}" == TRACE
    assert f"{alert.parent.span_id:016x}" == "b7ad6b7169203331"
    assert delivery.parent.span_id == alert.context.span_id
    assert dict(alert.attributes or {}) == {"nexova.machine_id": "press-01"}
    assert (alert.end_time or 0) - (alert.start_time or 0) == 2_000_000_000


def test_a_reading_without_a_trace_begins_one_and_one_that_is_not_sampled_has_no_spans(
    traces: OpenTelemetryTraces, exporter: InMemorySpanExporter
) -> None:
    begun = traces.span("alert opened", parent=None, seconds=0.0, attributes={})
    silent = traces.span("alert opened", parent=f"00-{TRACE}-b7ad6b7169203331-00", seconds=0.0, attributes={})

    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert begun is not None
    assert sampled(begun)
    assert silent is not None
    assert silent.startswith(f"00-{TRACE}-")
    assert not sampled(silent)


def test_without_an_endpoint_the_context_is_passed_on_and_the_sdk_is_not_imported() -> None:
    traces = traces_of(TracingSettings(), service="nexova-processor")

    assert isinstance(traces, NoTraces)
    assert traces.span("alert opened", parent=READING, seconds=1.0, attributes={}) == READING
    code = "import sys, runtime.tracing, processor.publisher; sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_with_an_endpoint_spans_have_somewhere_to_go() -> None:
    traces = traces_of(TracingSettings(endpoint="http://127.0.0.1:9/v1/traces"), service="nexova-processor")

    assert isinstance(traces, OpenTelemetryTraces)
