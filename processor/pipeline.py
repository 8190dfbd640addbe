"""The way of a batch: fetched records are decoded, assessed, and what follows is published.

Knows Kafka's records, but neither Faust nor threads: `processor.executor` decides what runs where.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

import numpy as np
from pydantic import ValidationError

from core.advance import advance_time, statuses
from core.assess import Assessment, assess
from core.batch import Decoded, decode_records
from core.energy.windows import HOUR
from core.plant import Plant
from core.rollout import AlertCounts
from core.state.tracks import CONDITIONS
from processor.forecasting.accuracy_metrics import count_matured
from processor.partitions import Partition, PartitionTable, SourceRecord
from processor.publisher import Publisher
from processor.versions.running import RunningModels
from runtime.metrics import ProcessorMetrics
from runtime.settings import ProcessorSettings
from schemas.alerts import AlertKind
from schemas.codec import ReadingDecoder, Refusal
from schemas.energy import EnergyWindow
from schemas.history import EnergyHistory
from schemas.topics import HISTORY, READINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A decoded batch and the records it came from; at: wall clock, epoch s; seconds: duration of the decoding."""

    records: Sequence[SourceRecord]
    decoded: Decoded
    at: float
    seconds: float


class Pipeline:
    """Processes batches of readings: `prepare`, `assess`, `publish`, in this order.

    clock: epoch seconds. on_alert_counts: called after each batch with how many readings each model scored and would
    have raised an alert on. open_breaches: number of open alerts on the plant's contracted peak.
    """

    def __init__(
        self,
        *,
        plant: Plant,
        running: RunningModels,
        partitions: PartitionTable,
        publisher: Publisher,
        settings: ProcessorSettings,
        metrics: ProcessorMetrics,
        clock: Callable[[], float],
        on_alert_counts: Callable[[tuple[AlertCounts, ...]], None],
        open_breaches: Callable[[], int],
    ) -> None:
        self._plant = plant
        self._running = running
        self._partitions = partitions
        self._publisher = publisher
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._on_alert_counts = on_alert_counts
        self._open_breaches = open_breaches
        self._decoder = ReadingDecoder(plant.sensor_names)

    def prepare(self, records: Sequence[SourceRecord]) -> Prepared:
        """Decode consecutive records of a partition; changes nothing."""
        started = time.perf_counter()
        now = self._clock()
        decoded = decode_records(
            [record.offset for record in records],
            [record.value for record in records],
            decoder=self._decoder,
            plant=self._plant,
            now=datetime.fromtimestamp(now, UTC),
            max_message_bytes=self._settings.max_message_bytes,
        )
        return Prepared(records=records, decoded=decoded, at=now, seconds=time.perf_counter() - started)

    def assess(self, held: Partition, prepared: Prepared) -> Assessment:
        """Assess a batch with the models that run now; changes the partition and nothing else, in any thread."""
        batch = prepared.decoded.batch
        assessment = assess(batch, state=held.state, models=self._running.models, plant=self._plant)
        held.state = assessment.state
        held.statuses_due.update(held.state.slots_of(batch.machine_ids).tolist())
        return assessment

    def publish(self, held: Partition, prepared: Prepared, assessment: Assessment) -> None:
        """Queue all messages that follow from a batch; they are not yet flushed."""
        started = time.perf_counter()
        for offset, refusal in prepared.decoded.refused:
            self._publisher.refusal(READINGS, held.number, offset, refusal, at=prepared.at)
        self._publisher.assessment(held.number, assessment, prepared.records)
        self._publish_windows(held, assessment.energy_windows)
        self._count(prepared.decoded, assessment)
        self._metrics.batch_duration.observe(prepared.seconds + time.perf_counter() - started)
        self._publisher.poll()
        self._on_alert_counts(assessment.alert_counts)

    def tick(self) -> None:
        """Let time pass: silence, windows of idle partitions, machine statuses."""
        now = self._clock()
        for number, held in self._partitions.items():
            elapsed = advance_time(held.state, plant=self._plant, now=now, idle_seconds=now - held.heard_at)
            for alert in elapsed.alerts:
                self._publisher.alert(number, alert)
            self._publish_windows(held, elapsed.energy_windows)
            if held.statuses_due and now - held.statuses_sent_at >= self._settings.status_seconds:
                for status in statuses(held.state, sorted(held.statuses_due), plant=self._plant):
                    self._publisher.status(number, status)
                held.statuses_due.clear()
                held.statuses_sent_at = now
            if np.isfinite(held.state.watermark):
                delay = max(0.0, now - held.state.watermark)
                self._metrics.watermark_delay.labels(partition=str(number)).set(delay)
        self._count_machines()

    async def import_history(self, held: Partition, records: Sequence[SourceRecord], *, next_offset: int) -> None:
        """Add imported hours to their series; what cannot be used becomes a dead letter. Yields between records."""
        now = self._clock()
        for record in records:
            await asyncio.sleep(0)
            try:
                history = EnergyHistory.model_validate_json(record.value or b"")
            except ValidationError as error:
                refusal = _refusal_of(record.value, error)
                self._publisher.refusal(HISTORY, held.number, record.offset, refusal, at=now)
                continue
            first = int(history.start.timestamp()) // HOUR
            for hour, energy_kwh in enumerate(history.energy_kwh, start=first):
                if energy_kwh is not None and held.series.record_imported(history.machine_id, hour, energy_kwh, at=now):
                    self._metrics.history_hours.inc()
        held.imports.advance(next_offset)

    def _publish_windows(self, held: Partition, windows: tuple[EnergyWindow, ...]) -> None:
        now = self._clock()
        for window in windows:
            self._publisher.energy_window(held.number, window)
            count_matured(self._metrics, held.series.record_window(window, at=now))

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
        for held in self._partitions.values():
            for code in held.state.tracks.condition[: len(held.state.ids)].tolist():
                conditions[CONDITIONS[code]] += 1
            for (_, kind), alert in held.state.alerts.items():
                kinds[kind] += alert.state != "resolved"
        kinds["forecast_breach"] += self._open_breaches()
        states = [state for held in self._partitions.values() for state in held.series.states.values()]
        self._metrics.forecasts_fallen_back.set(sum(state.accuracy.fallen_back for state in states))
        for condition, number in conditions.items():
            self._metrics.machines.labels(condition=condition).set(number)
        for kind, number in kinds.items():
            self._metrics.alerts_open.labels(kind=kind).set(number)


def _refusal_of(value: bytes | None, error: ValidationError) -> Refusal:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "value"
    detail = f"{place}: {first['msg']}; send what `nexova history import` sends"
    return Refusal(reason="not_a_history", detail=detail, payload=value or b"")
