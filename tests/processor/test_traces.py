"""An alert bears the trace context of the reading that changed it, and of no other."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from prometheus_client import CollectorRegistry

from core.assess import Assessment, Scores
from core.batch import ReadingBatch
from core.state.fleet import FleetState
from processor.outputs import Outputs
from processor.publisher import Publisher
from processor.writers import Writers
from runtime.metrics import ProcessorMetrics
from schemas.topics import ALERTS
from tests.builders import a_plant
from tests.forwarder.alerts import an_alert

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True, kw_only=True)
class Source:
    offset: int
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0
    value: bytes | None = b"{}"


@dataclass
class Sent:
    """In the place of the writers: the headers of each alert."""

    alerts: dict[str, tuple[tuple[str, bytes], ...]] = field(default_factory=dict)

    def send(
        self, partition: int, topic: str, *, key: str, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        assert (partition, topic) == (3, ALERTS)
        assert value
        self.alerts[key] = headers


def test_an_alert_bears_the_trace_of_its_reading() -> None:
    sent, rows = Sent(), 3
    publisher = Publisher(
        cast("Outputs", None),
        cast("Writers", sent),
        ProcessorMetrics(CollectorRegistry()),
        publish_scores=False,
        clock=lambda: 1.0,
    )
    batch = ReadingBatch.from_columns(
        ["m"] * rows, np.zeros(rows), np.zeros((rows, 1)), offsets=np.array([10, 12, 12], np.int64)
    )
    scores = Scores(
        batch=batch,
        anomaly=np.zeros(rows),
        flagged=np.zeros(rows, np.bool_),
        risk=np.zeros(rows),
        condition=np.zeros(rows, np.int64),
        warm=np.ones(rows, np.bool_),
        progress=np.ones(rows, np.float32),
        level=np.zeros(rows, np.int8),
        confidence=np.ones(rows),
    )
    traced, plain = an_alert("m-01"), an_alert("m-02")
    assessment = Assessment(
        state=FleetState(a_plant()),
        scores=scores,
        alerts=((0, plain), (2, traced)),
        recommendations=(),
        energy_windows=(),
        replayed=0,
        late=0,
    )
    sources = [Source(offset=10), Source(offset=11), Source(offset=12, headers=(("traceparent", TRACE),))]

    publisher.assessment(3, assessment, sources)

    assert sent.alerts == {plain.alert_id: (), traced.alert_id: (("traceparent", TRACE),)}
