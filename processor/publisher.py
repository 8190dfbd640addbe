"""Publishing of messages: one method for each kind of message, with its metrics.

Scores and dead letters are sent at once, because a repetition is identical. All other messages replace earlier ones, so
only the owner of their partition may write them; energy windows carry a revision number and are written together with
the state that contains it.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from core.assess import Assessment, Scores
from core.forecasting.series_state import Outgoing as SavedMessage
from core.row_results import LEVELS
from core.state.tracks import CONDITIONS
from processor.allowance import Allowance
from processor.fenced_producer import Outgoing
from processor.forecasting.accuracy_metrics import count_steps
from processor.outputs import Outputs
from processor.partitions import SourceRecord
from processor.score_writer import ScoreWriter
from processor.writers import Writers
from runtime.metrics import ProcessorMetrics
from runtime.tracing import NoTraces, Traces
from schemas.alerts import Alert
from schemas.codec import Refusal
from schemas.dead_letters import DeadLetter, Source
from schemas.energy import EnergyWindow
from schemas.machines import MachineStatus
from schemas.message import Message
from schemas.topics import ALERTS, DEAD_LETTERS, ENERGY, MACHINES, READINGS, RECOMMENDATIONS, SCORES
from schemas.trace import TRACEPARENT, traceparent_of


class Publisher:
    """Queue of messages, each to the partition of its machine, with counts. clock: epoch s."""

    def __init__(
        self,
        outputs: Outputs,
        writers: Writers,
        metrics: ProcessorMetrics,
        *,
        publish_scores: bool,
        dead_letters_per_second: float = 50.0,
        clock: Callable[[], float],
        traces: Traces | None = None,
    ) -> None:
        self.dead_letters = 0
        self._traces = traces or NoTraces()
        self._outputs = outputs
        self._writers = writers
        self._metrics = metrics
        self._publish_scores = publish_scores
        self._clock = clock
        self._letters = Allowance(rate=dead_letters_per_second, clock=clock)
        self._scores = ScoreWriter({"condition": CONDITIONS, "level": LEVELS})

    def assessment(self, partition: int, assessment: Assessment, records: Sequence[SourceRecord]) -> None:
        """Queue scores, alerts and recommendations of a batch. records: the source records of the batch."""
        if self._publish_scores:
            self._score_messages(partition, assessment.scores)
        offsets = [record.offset for record in records] if assessment.alerts else []
        for row, alert in assessment.alerts:
            source = records[bisect_left(offsets, assessment.scores.batch.offsets[row])]
            seconds = max(0.0, self._clock() - source.timestamp / 1000)
            self.alert(partition, alert, traceparent=traceparent_of(source.headers), seconds=seconds)
            self._metrics.reading_to_alert.observe(seconds)
        for recommendation in assessment.recommendations:
            self._metrics.recommendations.labels(band=recommendation.band).inc()
            self._send(RECOMMENDATIONS, recommendation.machine_id, recommendation, partition)

    def alert(self, partition: int, alert: Alert, *, traceparent: bytes | None = None, seconds: float = 0.0) -> None:
        """Queue an alert; traceparent: of the reading that changed it; seconds: since that was sent."""
        self._metrics.alerts.labels(kind=alert.kind, state=alert.state, severity=alert.severity).inc()
        context = self._traces.span(
            f"alert {alert.state}",
            parent=None if traceparent is None else traceparent.decode(),
            seconds=seconds,
            attributes={
                "nexova.alert_id": alert.alert_id,
                "nexova.machine_id": alert.machine_id,
                "nexova.kind": alert.kind,
                "nexova.severity": alert.severity,
            },
        )
        headers = () if context is None else ((TRACEPARENT, context.encode()),)
        self._writers.send(partition, ALERTS, key=alert.alert_id, value=alert.encode(), headers=headers)

    def energy_window(self, partition: int, window: EnergyWindow) -> None:
        """Queue an energy window for the next checkpoint."""
        self._metrics.energy_windows.labels(state="revised" if window.revision else "final").inc()
        if window.counter is not None and not window.revision:
            count_steps(self._metrics, window.counter)
        self._writers.send_with_state(partition, ENERGY, key=window.key, value=window.encode())

    def status(self, partition: int, status: MachineStatus) -> None:
        """Queue a machine's status."""
        self._send(MACHINES, status.machine_id, status, partition)

    def saved(self, partition: int, messages: list[SavedMessage]) -> None:
        """Queue saved messages that may not have been published, unchanged."""
        for topic, key, value in messages:
            self._writers.send(partition, topic, key=key, value=value)

    def counted(self, messages: list[SavedMessage]) -> list[Outgoing]:
        """Count messages, and return them in the writer's form."""
        for topic, _, _ in messages:
            self._outputs.count(topic)
        return [Outgoing(topic, key.encode(), value) for topic, key, value in messages]

    def refusal(self, topic: str, partition: int, offset: int, refusal: Refusal, *, at: float) -> None:
        """Count a refusal, and queue a dead letter for the message at an offset of a topic. at: wall clock, epoch s.

        Their rate is limited: one sender's mistake must not cost more than it sends.
        """
        if topic == READINGS:
            self._metrics.readings_rejected.labels(reason=refusal.reason).inc(refusal.count)
        self.dead_letters += refusal.count
        if not self._letters.take():
            self._metrics.dead_letters_left_out.inc()
            return
        letter = DeadLetter.of(
            Source(topic=topic, partition=partition, offset=offset),
            reason=refusal.reason,
            detail=refusal.detail,
            payload=refusal.payload,
            failed_at=datetime.fromtimestamp(at, UTC),
        )
        self._metrics.dead_letters.labels(reason=refusal.reason).inc()
        self._outputs.send(DEAD_LETTERS, key=letter.key, value=letter.encode(), partition=partition)
        self._outputs.count(DEAD_LETTERS)

    def poll(self) -> None:
        """Serve delivery reports; to be called regularly."""
        self._outputs.poll()

    def _score_messages(self, partition: int, scores: Scores) -> None:
        batch = scores.batch
        columns = {
            "machine_id": batch.machine,
            "timestamp": batch.timestamps,
            "anomaly_score": scores.anomaly,
            "is_anomaly": scores.flagged,
            "risk": scores.risk,
            "condition": scores.condition,
            "warm_up": ~scores.warm,
            "warm_up_progress": scores.progress,
            "level": scores.level,
            "confidence": scores.confidence,
        }
        self._outputs.send_all(SCORES, self._scores.write(batch.machine_ids, columns), partition=partition)

    def _send(self, topic: str, key: str, message: Message, partition: int) -> None:
        self._writers.send(partition, topic, key=key, value=message.encode())
