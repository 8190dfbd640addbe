"""Pipeline of a batch: records are decoded and assessed, and the results published.

It knows Kafka's records, but neither Faust nor threads: `processor.executor` decides where each step runs.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, get_args

import numpy as np
from pydantic import ValidationError

from core.admission import admitted
from core.advance import advance_time, statuses
from core.alerting.clock_watch import clock_findings
from core.arrays import HOUR
from core.assess import Assessment, assess
from core.batch import Decoded, decode_records
from core.plant import Plant
from core.poison import Poison, assess_carefully
from core.rollout import AlertCounts
from core.state.fleet import CLOCK
from core.state.tracks import CONDITIONS
from processor.forecasting.accuracy_metrics import count_matured
from processor.partitions import Partition, PartitionTable, SourceRecord
from processor.publisher import Publisher
from processor.score_watch import ScoreWatch
from processor.stage_cpu import stage_cpu
from processor.versions.running import RunningModels
from runtime.metrics import ProcessorMetrics
from runtime.processor_settings import ProcessorSettings
from schemas.alerts import Alert, AlertKind
from schemas.bounds import LATEST_AHEAD_SECONDS
from schemas.codec import ReadingDecoder, Refusal
from schemas.energy import EnergyWindow
from schemas.history import EnergyHistory
from schemas.topics import HISTORY, READINGS

LOGGER: Final = logging.getLogger("nexova.processor")


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A decoded batch and the records it came from.

    turned_away: offset and machine of readings of machines for which the partition has no room; clock_alerts: on the
    clocks of devices; poison: what could not be assessed; all known once assessed.

    bytes_read: of the records' values. at: wall clock, epoch s; seconds: duration of the decoding.
    """

    records: Sequence[SourceRecord]
    decoded: Decoded
    bytes_read: int
    at: float
    seconds: float
    turned_away: list[tuple[int, str]] = field(default_factory=list)
    clock_alerts: list[Alert] = field(default_factory=list)
    poison: tuple[Poison, ...] = ()


class Pipeline:
    """Processing of batches of readings in three steps: `prepare`, `assess`, `publish`.

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
        self.score_watch = ScoreWatch(metrics)

    def prepare(self, records: Sequence[SourceRecord]) -> Prepared:
        """Decode consecutive records of a partition; changes nothing."""
        started = time.perf_counter()
        now = self._clock()
        values = [record.value for record in records]
        with stage_cpu(self._metrics, "decode"):
            decoded = decode_records(
                [record.offset for record in records],
                values,
                decoder=self._decoder,
                plant=self._plant,
                now=datetime.fromtimestamp(now, UTC),
                max_message_bytes=self._settings.max_message_bytes,
            )
        if decoded.unknown_fields:
            for name in self._decoder.new_unknown_names():
                LOGGER.warning("readings have %s: no sensor of plant %s, ignored; add it there", name, self._plant.name)
        return Prepared(
            records=records,
            decoded=decoded,
            bytes_read=sum(map(len, filter(None, values))),
            at=now,
            seconds=time.perf_counter() - started,
        )

    def assess(self, held: Partition, prepared: Prepared) -> tuple[Assessment, ...]:
        """Assess a batch with the models that run now; changes the partition and nothing else, in any thread.

        Raises:
            Exception: a reading made the rules fail; the partition's state is of no use any more.
        """
        with stage_cpu(self._metrics, "assess"):
            return self._assess(held, prepared)

    def _assess(self, held: Partition, prepared: Prepared) -> tuple[Assessment, ...]:
        batch, prepared.turned_away = admitted(
            prepared.decoded.batch, held.state, most_machines=self._settings.most_machines
        )
        models, plant = self._running.models, held.state.plant
        if is_suspect(held, prepared):
            careful = assess_carefully(batch, state=held.state, models=models, plant=plant)
            assessments, held.state, prepared.poison = careful.assessments, careful.state, careful.poison
        else:
            assessments = (assess(batch, state=held.state, models=models, plant=plant),)
            held.state = assessments[0].state
        for place, assessment in enumerate(assessments):
            strays = prepared.decoded.strays if not place else ()
            new = assessment.scores.batch
            prepared.clock_alerts += clock_findings(new, strays, arrived_at=prepared.at, state=held.state, plant=plant)
        held.statuses_due.update(held.state.slots_of(batch.machine_ids).tolist())
        return assessments

    def publish(self, held: Partition, prepared: Prepared, assessments: Sequence[Assessment]) -> None:
        """Queue all messages that follow from a batch; they are not yet flushed."""
        with stage_cpu(self._metrics, "publish"):
            self._publish(held, prepared, assessments)

    def _publish(self, held: Partition, prepared: Prepared, assessments: Sequence[Assessment]) -> None:
        started = time.perf_counter()
        for offset, refusal in prepared.decoded.refused:
            self._publisher.refusal(READINGS, held.number, offset, refusal, at=prepared.at)
        self._turn_away(held, prepared)
        self._set_aside(held, prepared)
        for assessment in assessments:
            self._publisher.assessment(held.number, assessment, prepared.records)
            spoken = [alert.machine_id for _, alert in assessment.alerts]
            spoken += [recommendation.machine_id for recommendation in assessment.recommendations]
            held.spoken.update(held.state.slots[machine_id] for machine_id in spoken)
            self._publish_windows(held, assessment.energy_windows)
            self._count(assessment)
        for alert in prepared.clock_alerts:
            self._publisher.alert(held.number, alert)
            held.spoken.add(held.state.slots[alert.machine_id])
        held.bytes_read += prepared.bytes_read
        self._metrics.batch_readings.observe(len(prepared.decoded.batch))
        self._metrics.unknown_sensors.inc(prepared.decoded.unknown_fields)
        self._metrics.batch_duration.observe(prepared.seconds + time.perf_counter() - started)
        self._publisher.poll()
        for assessment in assessments:
            self._on_alert_counts(assessment.alert_counts)

    def _set_aside(self, held: Partition, prepared: Prepared) -> None:
        values = {record.offset: record.value or b"" for record in prepared.records} if prepared.poison else {}
        for poison in prepared.poison:
            detail = (
                f"machine_id = {poison.machine_id!r:.80}: the rules failed on it ({poison.failure:.200}); report this "
                "with the payload, and send it again to a version that corrects it"
            )
            LOGGER.error("partition %d offset %d is set aside: %s", held.number, poison.offset, detail)
            refusal = Refusal(
                reason="not_assessed", detail=detail, payload=values[poison.offset], count=poison.readings
            )
            self._publisher.refusal(READINGS, held.number, poison.offset, refusal, at=prepared.at)

    def _turn_away(self, held: Partition, prepared: Prepared) -> None:
        most = self._settings.most_machines
        for offset, machine_id in prepared.turned_away:
            detail = (
                f"machine_id = {machine_id!r:.80}: partition {held.number} has its {most} machines; set "
                "NEXOVA_PROCESSOR__MOST_MACHINES higher, use more partitions, or stop the sender of invented names"
            )
            refusal = Refusal(reason="too_many_machines", detail=detail, payload=machine_id.encode())
            self._publisher.refusal(READINGS, held.number, offset, refusal, at=prepared.at)

    def tick(self) -> None:
        """Publish what is due by time: silence alerts, windows of idle partitions, machine statuses."""
        now = self._clock()
        for number, held in self._partitions.items():
            elapsed = advance_time(held.state, plant=held.state.plant, now=now, idle_seconds=now - held.heard_at)
            for alert in elapsed.alerts:
                self._publisher.alert(number, alert)
                held.spoken.add(held.state.slots[alert.machine_id])
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
        self._measure_skew()
        self.score_watch.measure(self._running.versions)

    async def import_history(self, held: Partition, records: Sequence[SourceRecord], *, next_offset: int) -> None:
        """Add imported hours to their series; unusable messages become dead letters. Yields control between records."""
        now = self._clock()
        for record in records:
            await asyncio.sleep(0)
            value = record.value or b""
            try:
                refusal = self._import(held, value, now)
            except Exception as error:
                LOGGER.exception("partition %d: imported hours at offset %d are set aside", held.number, record.offset)
                detail = (
                    f"the rules failed on it ({type(error).__name__}: {error!s:.200}); report this with the payload"
                )
                refusal = Refusal(reason="not_assessed", detail=detail, payload=value)
            if refusal is not None:
                self._publisher.refusal(HISTORY, held.number, record.offset, refusal, at=now)
        held.imports.advance(next_offset)

    def _import(self, held: Partition, value: bytes, now: float) -> Refusal | None:
        """Add the hours of one message; return the reason if it was refused."""
        most, most_bytes = self._settings.most_machines, self._settings.max_message_bytes
        if len(value) > most_bytes:
            return _refusal_of(value, f"{len(value)} bytes is above the limit of {most_bytes}")
        try:
            history = EnergyHistory.model_validate_json(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return _refusal_of(value, f"{'.'.join(str(part) for part in first['loc']) or 'value'}: {first['msg']}")
        begin, hours = int(history.start.timestamp()) // HOUR, len(history.energy_kwh)
        fault = None
        if (begin + hours) * HOUR > now + LATEST_AHEAD_SECONDS:
            fault = f"start: {hours} hours from it on reach into the future"
        elif history.machine_id not in held.series.states and len(held.series.states) >= most:
            fault = f"machine_id: the partition has its {most} series"
        if fault is not None:
            return _refusal_of(value, fault)
        for hour, energy_kwh in enumerate(history.energy_kwh, start=begin):
            if energy_kwh is not None and held.series.record_imported(history.machine_id, hour, energy_kwh, at=now):
                self._metrics.history_hours.inc()
        return None

    def _publish_windows(self, held: Partition, windows: tuple[EnergyWindow, ...]) -> None:
        now = self._clock()
        for window in windows:
            held.spoken.add(held.state.slots[window.machine_id])
            self._publisher.energy_window(held.number, window)
            if window.final and not window.revision:
                self._metrics.energy_completeness.observe(window.completeness)
            count_matured(self._metrics, held.series.record_window(window, at=now))

    def _count(self, assessment: Assessment) -> None:
        metrics, scores = self._metrics, assessment.scores
        metrics.readings_accepted.inc(len(scores.batch))
        metrics.readings_replayed.inc(assessment.replayed)
        metrics.readings_scored.inc(int(np.isfinite(scores.anomaly).sum()))
        metrics.scores_flagged.inc(int(scores.flagged.sum()))
        self.score_watch.add(scores)
        metrics.readings_late.inc(assessment.late)
        for reason, openings in assessment.suppressed.items():
            metrics.alerts_suppressed.labels(reason=reason).inc(openings)

    def _measure_skew(self) -> None:
        watermarks = {number: held.state.watermark for number, held in self._partitions.items()}
        known = {number: watermark for number, watermark in watermarks.items() if np.isfinite(watermark)}
        for number, watermark in known.items():
            self._metrics.watermark_skew.labels(partition=str(number)).set(max(known.values()) - watermark)

    def _count_machines(self) -> None:
        conditions = dict.fromkeys(CONDITIONS, 0)
        kinds = dict.fromkeys(get_args(AlertKind), 0)
        clocks = 0
        for held in self._partitions.values():
            for code in held.state.tracks.condition[: len(held.state.ids)].tolist():
                conditions[CONDITIONS[code]] += 1
            for (_, key), alert in held.state.alerts.items():
                kinds[alert.kind] += alert.state != "resolved"
                clocks += key == CLOCK and alert.state != "resolved"
        self._metrics.clocks_wrong.set(clocks)
        kinds["forecast_breach"] += self._open_breaches()
        states = [state for held in self._partitions.values() for state in held.series.states.values()]
        fallen_back = sum(state.accuracy.fallen_back for state in states)
        self._metrics.forecasts_fallen_back.set(fallen_back)
        self._metrics.forecast_fallback_share.set(fallen_back / max(1, len(states)))
        for condition, number in conditions.items():
            self._metrics.machines.labels(condition=condition).set(number)
        for kind, number in kinds.items():
            self._metrics.alerts_open.labels(kind=kind).set(number)


def is_suspect(held: Partition, prepared: Prepared) -> bool:
    """Return whether a batch may hold the reading that made the rules fail, and is assessed with care."""
    return bool(prepared.records) and prepared.records[0].offset < held.suspect_until


def _refusal_of(value: bytes, fault: str) -> Refusal:
    return Refusal(reason="not_a_history", detail=f"{fault}; send what `nexova history import` sends", payload=value)
