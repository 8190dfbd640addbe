"""Messages to topics: one method for each kind of message, with what is counted of it."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from core.assess import Assessment, Scores
from core.forecasting.series_state import Outgoing
from core.state.tracks import CONDITIONS
from processor.forecasting.accuracy_metrics import count_steps
from processor.outputs import Outputs
from processor.partitions import SourceRecord
from processor.score_writer import ScoreWriter
from runtime.metrics import ProcessorMetrics
from schemas.alerts import Alert
from schemas.codec import Refusal
from schemas.dead_letters import DeadLetter, Source
from schemas.energy import EnergyWindow
from schemas.machines import MachineStatus
from schemas.message import Message
from schemas.topics import ALERTS, DEAD_LETTERS, ENERGY, MACHINES, READINGS, RECOMMENDATIONS, SCORES


class Publisher:
    """Queues messages, each to the partition of its machine, and counts them. `clock` gives epoch seconds."""

    def __init__(
        self, outputs: Outputs, metrics: ProcessorMetrics, *, publish_scores: bool, clock: Callable[[], float]
    ) -> None:
        self.dead_letters = 0
        self._outputs = outputs
        self._metrics = metrics
        self._publish_scores = publish_scores
        self._clock = clock
        self._scores = ScoreWriter(CONDITIONS)

    def assessment(self, partition: int, assessment: Assessment, records: Sequence[SourceRecord]) -> None:
        """Queue scores, alerts and recommendations of a batch. records: those that the batch was decoded from."""
        if self._publish_scores:
            self._score_messages(partition, assessment.scores)
        offsets = [record.offset for record in records] if assessment.alerts else []
        for row, alert in assessment.alerts:
            source = records[bisect_left(offsets, assessment.scores.batch.offsets[row])]
            self.alert(partition, alert)
            self._metrics.reading_to_alert.observe(max(0.0, self._clock() - source.timestamp / 1000))
        for recommendation in assessment.recommendations:
            self._metrics.recommendations.labels(band=recommendation.band).inc()
            self._send(RECOMMENDATIONS, recommendation.machine_id, recommendation, partition)

    def alert(self, partition: int, alert: Alert) -> None:
        """Queue an alert."""
        self._metrics.alerts.labels(kind=alert.kind, state=alert.state, severity=alert.severity).inc()
        self._send(ALERTS, alert.alert_id, alert, partition)

    def energy_window(self, partition: int, window: EnergyWindow) -> None:
        """Queue an energy window."""
        self._metrics.energy_windows.labels(state="revised" if window.revision else "final").inc()
        if window.counter is not None and not window.revision:
            count_steps(self._metrics, window.counter)
        self._send(ENERGY, window.key, window, partition)

    def status(self, partition: int, status: MachineStatus) -> None:
        """Queue a machine's status."""
        self._send(MACHINES, status.machine_id, status, partition)

    def saved(self, partition: int, messages: list[Outgoing]) -> None:
        """Queue messages of forecasts that are saved, byte for byte."""
        for topic, key, value in messages:
            self._outputs.send(topic, key=key, value=value, partition=partition)
            self._outputs.count(topic)

    def refusal(self, topic: str, partition: int, offset: int, refusal: Refusal, *, at: float) -> None:
        """Queue a dead letter for what stood at an offset of a topic. at: wall clock, epoch s."""
        letter = DeadLetter.of(
            Source(topic=topic, partition=partition, offset=offset),
            reason=refusal.reason,
            detail=refusal.detail,
            payload=refusal.payload,
            failed_at=datetime.fromtimestamp(at, UTC),
        )
        if topic == READINGS:
            self._metrics.readings_rejected.labels(reason=refusal.reason).inc()
        self._metrics.dead_letters.labels(reason=refusal.reason).inc()
        self.dead_letters += 1
        self._send(DEAD_LETTERS, letter.key, letter, partition)

    def poll(self) -> None:
        """Serve delivery reports; to be called now and then."""
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
        }
        self._outputs.send_all(SCORES, self._scores.write(batch.machine_ids, columns), partition=partition)

    def _send(self, topic: str, key: str, message: Message, partition: int) -> None:
        self._outputs.send(topic, key=key, value=message.encode(), partition=partition)
        self._outputs.count(topic)
