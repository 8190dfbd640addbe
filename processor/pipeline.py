"""From a fetch to messages: decodes, assesses, sends. Knows Kafka's records, but neither Faust nor threads."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, get_args

import msgspec
import numpy as np
from aiokafka.structs import ConsumerRecord

from core.assess import Assessment, Scores, assess
from core.batch import Decoded, decode_records
from core.elapse import elapse, statuses
from core.features import CONDITIONS
from core.models import Models
from core.plant import Plant
from core.state import FleetState
from processor.outputs import Outputs
from runtime.metrics import ProcessorMetrics
from runtime.settings import ProcessorSettings
from schemas.alerts import Alert, AlertKind
from schemas.codec import ReadingDecoder, derive_struct
from schemas.dead_letters import DeadLetter, Source
from schemas.energy import EnergyWindow
from schemas.message import SCHEMA_VERSION, Message
from schemas.scores import Score
from schemas.topics import ALERTS, DEAD_LETTERS, ENERGY, MACHINES, READINGS, RECOMMENDATIONS, SCORES

_Score: Final = derive_struct(Score)
assert _Score.__struct_fields__ == (  # noqa: S101  scores are made by place
    *("machine_id", "timestamp", "schema_version", "anomaly_score", "is_anomaly", "risk", "condition", "warm_up"),
)


@dataclass(slots=True)
class Partition:
    """What the worker holds of one partition of readings.

    next_offset: of the first record not yet processed. heard_at: wall clock, epoch s, of the last record.
    gap: next_offset and the first offset of a fetch that did not follow, and how often the partition had been set back
    before that fetch; it is being read again.
    """

    state: FleetState
    heard_at: float
    next_offset: int
    gap: tuple[int, int, int] | None = None
    statuses_due: set[int] = field(default_factory=set)
    statuses_sent_at: float = float("-inf")

    def missing_before(self, first: int, *, reread: int) -> int | None:
        """The offset to read again from when records from `first` on do not follow the last ones; None when they do.

        A fetch of before a rebalance may arrive after it, ahead of records that were not saved; were it processed,
        these would be taken for replayed ones. An offset that is missing for good (a transaction's marker) leads to
        the same gap when it has been read again, and is then believed.
        """
        gap, self.gap = self.gap, None
        if first <= self.next_offset:
            return None
        if gap is not None and gap[:2] == (self.next_offset, first) and reread > gap[2]:
            return None
        self.gap = (self.next_offset, first, reread)
        return self.next_offset


class Pipeline:
    """Processes fetches of readings. `clock` gives epoch seconds; `models` may be replaced between two batches."""

    def __init__(
        self,
        *,
        plant: Plant,
        models: Models,
        settings: ProcessorSettings,
        outputs: Outputs,
        metrics: ProcessorMetrics,
        clock: Callable[[], float],
    ) -> None:
        self.plant = plant
        self.models = models
        self.partitions: dict[int, Partition] = {}
        self.dead_letters = 0
        self._settings = settings
        self._outputs = outputs
        self._metrics = metrics
        self._clock = clock
        self._decoder = ReadingDecoder(plant.sensor_names)
        self._encode = msgspec.json.Encoder().encode

    def adopt(self, partition: int, records: list[bytes], *, next_offset: int) -> Partition:
        """Takes over a partition with the state that its changelog records hold, to go on at `next_offset`."""
        state = FleetState(self.plant)
        for record in records:
            state.restore(record)
        self.partitions[partition] = Partition(state=state, heard_at=self._clock(), next_offset=next_offset)
        return self.partitions[partition]

    def drop(self) -> None:
        """Forgets all partitions; what was not saved will be read again."""
        self.partitions.clear()

    def process(self, partition: int, records: list[ConsumerRecord]) -> None:
        """Processes consecutive records of a partition that was adopted; messages are queued, not yet flushed."""
        started = time.perf_counter()
        held = self.partitions[partition]
        now = self._clock()
        held.heard_at = now
        decoded = decode_records(
            [record.offset for record in records],
            [record.value for record in records],
            decoder=self._decoder,
            plant=self.plant,
            now=datetime.fromtimestamp(now, UTC),
            max_message_bytes=self._settings.max_message_bytes,
        )
        self._send_dead_letters(partition, decoded, now)
        assessment = assess(decoded.batch, state=held.state, models=self.models, plant=self.plant)
        held.state = assessment.state
        held.statuses_due.update(held.state.slots_of(decoded.batch.machine_ids).tolist())
        held.next_offset = max(held.next_offset, records[-1].offset + 1)
        self._send(partition, assessment, records)
        self._count(decoded, assessment)
        self._metrics.batch_duration.observe(time.perf_counter() - started)
        self._outputs.poll()

    def tick(self) -> None:
        """Lets time pass: silence, windows of idle partitions, machine statuses."""
        now = self._clock()
        for partition, held in self.partitions.items():
            elapsed = elapse(held.state, plant=self.plant, now=now, idle_seconds=now - held.heard_at)
            for alert in elapsed.alerts:
                self._send_alert(partition, alert)
            self._send_windows(partition, elapsed.energy_windows)
            if held.statuses_due and now - held.statuses_sent_at >= self._settings.status_seconds:
                for status in statuses(held.state, sorted(held.statuses_due), plant=self.plant):
                    self._send_one(MACHINES, status.machine_id, status, partition)
                held.statuses_due.clear()
                held.statuses_sent_at = now
            if np.isfinite(held.state.watermark):
                delay = max(0.0, now - held.state.watermark)
                self._metrics.watermark_delay.labels(partition=str(partition)).set(delay)
        self._count_machines()

    def _send(self, partition: int, assessment: Assessment, records: list[ConsumerRecord]) -> None:
        if self._settings.publish_scores:
            self._send_scores(partition, assessment.scores)
        offsets = [record.offset for record in records] if assessment.alerts else []
        for row, alert in assessment.alerts:
            source = records[bisect_left(offsets, assessment.scores.batch.offsets[row])]
            self._send_alert(partition, alert, since=source.timestamp / 1000)
        for recommendation in assessment.recommendations:
            self._metrics.recommendations.labels(band=recommendation.band).inc()
            self._send_one(RECOMMENDATIONS, recommendation.machine_id, recommendation, partition)
        self._send_windows(partition, assessment.energy_windows)

    def _send_scores(self, partition: int, scores: Scores) -> None:
        machine_ids = scores.batch.machine_ids
        columns = (
            scores.batch.machine.tolist(),
            scores.batch.timestamps.tolist(),
            scores.anomaly.tolist(),
            scores.flagged.tolist(),
            scores.risk.tolist(),
            scores.condition.tolist(),
            scores.warm.tolist(),
        )
        encode, moment = self._encode, datetime.fromtimestamp

        def messages() -> Iterator[tuple[str, bytes]]:
            for machine, timestamp, anomaly, flagged, risk, condition, warm in zip(*columns, strict=True):
                machine_id = machine_ids[machine]
                # NaN is what differs from itself; on the wire it is null
                known_anomaly = anomaly if anomaly == anomaly else None  # noqa: PLR0124
                known_risk = risk if risk == risk else None  # noqa: PLR0124
                score = _Score(
                    machine_id,
                    moment(timestamp, UTC),
                    SCHEMA_VERSION,
                    known_anomaly,
                    flagged,
                    known_risk,
                    CONDITIONS[condition],
                    not warm,
                )
                yield machine_id, encode(score)

        self._outputs.send_all(SCORES, messages(), partition=partition)

    def _send_alert(self, partition: int, alert: Alert, *, since: float | None = None) -> None:
        self._metrics.alerts.labels(kind=alert.kind, state=alert.state, severity=alert.severity).inc()
        self._send_one(ALERTS, alert.alert_id, alert, partition)
        if since is not None:
            self._metrics.reading_to_alert.observe(max(0.0, self._clock() - since))

    def _send_one(self, topic: str, key: str, message: Message, partition: int) -> None:
        self._outputs.send(topic, key=key, value=message.encode(), partition=partition)
        self._outputs.count(topic)

    def _send_windows(self, partition: int, windows: tuple[EnergyWindow, ...]) -> None:
        for window in windows:
            self._metrics.energy_windows.labels(state="revised" if window.revision else "final").inc()
            self._send_one(ENERGY, window.key, window, partition)

    def _send_dead_letters(self, partition: int, decoded: Decoded, now: float) -> None:
        for offset, refusal in decoded.refused:
            letter = DeadLetter.of(
                Source(topic=READINGS, partition=partition, offset=offset),
                reason=refusal.reason,
                detail=refusal.detail,
                payload=refusal.payload,
                failed_at=datetime.fromtimestamp(now, UTC),
            )
            self._metrics.readings_rejected.labels(reason=refusal.reason).inc()
            self._metrics.dead_letters.labels(reason=refusal.reason).inc()
            self.dead_letters += 1
            self._send_one(DEAD_LETTERS, letter.key, letter, partition)

    def _count(self, decoded: Decoded, assessment: Assessment) -> None:
        metrics, scores = self._metrics, assessment.scores
        metrics.batch_readings.observe(len(decoded.batch))
        metrics.readings_accepted.inc(len(scores.batch))
        metrics.readings_replayed.inc(assessment.replayed)
        metrics.readings_scored.inc(int(np.isfinite(scores.anomaly).sum()))
        metrics.scores_flagged.inc(int(scores.flagged.sum()))
        metrics.unknown_sensors.inc(decoded.unknown_fields)
        metrics.readings_late.inc(assessment.late)

    def _count_machines(self) -> None:
        conditions = dict.fromkeys(CONDITIONS, 0)
        kinds = dict.fromkeys(get_args(AlertKind), 0)
        for held in self.partitions.values():
            for code in held.state.tracks.condition[: len(held.state.ids)].tolist():
                conditions[CONDITIONS[code]] += 1
            for (_, kind), alert in held.state.alerts.items():
                kinds[kind] += alert.state != "resolved"
        for condition, number in conditions.items():
            self._metrics.machines.labels(condition=condition).set(number)
        for kind, number in kinds.items():
            self._metrics.alerts_open.labels(kind=kind).set(number)
