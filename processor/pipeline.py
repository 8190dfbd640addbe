"""From a fetch to messages: decodes, assesses, sends. Knows Kafka's records, but neither Faust nor threads."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, get_args

import numpy as np
from pydantic import ValidationError

from core.advance import elapse, statuses
from core.assess import Assessment, Scores, assess
from core.batch import Decoded, decode_records
from core.detection.scoring import Calls
from core.energy.windows import HOUR
from core.forecasting.hourly_history import WEEK
from core.forecasting.series_state import Outgoing, SeriesTable
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from core.state.tracks import CONDITIONS
from processor.forecasting.accuracy_metrics import count_matured, count_steps
from processor.outputs import Outputs
from processor.score_writer import ScoreWriter
from runtime.metrics import ProcessorMetrics
from runtime.settings import ProcessorSettings
from schemas.alerts import Alert, AlertKind
from schemas.codec import ReadingDecoder, Refusal
from schemas.dead_letters import DeadLetter, Source
from schemas.energy import EnergyWindow
from schemas.history import EnergyHistory
from schemas.message import Message
from schemas.topics import (
    ALERTS,
    DEAD_LETTERS,
    ENERGY,
    HISTORY,
    MACHINES,
    READINGS,
    RECOMMENDATIONS,
    SCORES,
)

_REREAD_BEFORE_BELIEF: Final = 2


class SourceRecord(Protocol):
    """A record of the log; timestamp: ms since the epoch, by its producer or the broker."""

    offset: int
    timestamp: int
    value: bytes | None


@dataclass(slots=True, kw_only=True)
class Position:
    """How far one partition of a topic was taken on.

    next_offset: of the first record not yet taken on.
    gap: the first offset of a fetch that did not follow, how often the partition had been set back before that fetch,
    and how often this very gap was found; it is being read again.
    """

    next_offset: int
    gap: tuple[int, int, int] | None = None

    def place_of(self, first: int, *, reread: int) -> Literal["follows", "ahead", "outdated"]:
        """Where a fetch that begins at offset `first` stands; what is ahead is to be read again from `next_offset`.

        A fetch of before a rebalance may arrive after it, ahead of records that were not saved; were it processed,
        these would be taken for replayed ones. An offset that is missing for good (a transaction's marker) leads to
        the same gap when it has been read again, twice since Faust may seek in between, and is then believed.
        """
        if first <= self.next_offset:
            self.gap = None
            return "follows"
        if self.gap is not None and reread <= self.gap[1]:
            return "outdated"
        found = 1 if self.gap is None or self.gap[0] != first else self.gap[2] + 1
        if found > _REREAD_BEFORE_BELIEF:
            self.gap = None
            return "follows"
        self.gap = (first, reread, found)
        return "ahead"


@dataclass(slots=True, kw_only=True)
class Partition(Position):
    """What the worker holds of one partition of readings. heard_at: wall clock, epoch s, of the last record.

    series: hours and forecasts of its machines, which belong to the event loop. imports: how far the partition of the
    same number of imported history was taken in.
    """

    number: int
    state: FleetState
    series: SeriesTable
    imports: Position
    heard_at: float
    statuses_due: set[int] = field(default_factory=set)
    statuses_sent_at: float = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A decoded batch and the records it came from; at: wall clock, epoch s; seconds: what the decoding took."""

    records: Sequence[SourceRecord]
    decoded: Decoded
    at: float
    seconds: float


class Pipeline:
    """Processes fetches of readings. `clock` gives epoch seconds; `models` may be replaced between two batches.

    on_calls: hears, after each batch, how often the models raised something.
    """

    def __init__(
        self,
        *,
        plant: Plant,
        models: Models,
        settings: ProcessorSettings,
        history_weeks: int,
        outputs: Outputs,
        metrics: ProcessorMetrics,
        clock: Callable[[], float],
    ) -> None:
        self.plant = plant
        self.models = models
        self.partitions: dict[int, Partition] = {}
        self.dead_letters = 0
        self.on_calls: Callable[[tuple[Calls, ...]], None] = _nobody_asks
        self.breaches_open = 0
        self._settings = settings
        self._history_hours = history_weeks * WEEK
        self._outputs = outputs
        self._metrics = metrics
        self._clock = clock
        self._decoder = ReadingDecoder(plant.sensor_names)
        self._scores = ScoreWriter(CONDITIONS)

    def adopt(
        self, partition: int, records: list[bytes], *, next_offset: int, series: list[bytes], next_import: int
    ) -> Partition:
        """Takes over a partition with the state that its changelog records hold, to go on at these offsets.

        Forecasts that may have been saved and not published go out, word for word as they were saved.
        """
        now = self._clock()
        held = Partition(
            number=partition,
            state=FleetState(self.plant),
            series=SeriesTable(self._history_hours),
            imports=Position(next_offset=next_import),
            heard_at=now,
            next_offset=next_offset,
        )
        for record in records:
            held.state.restore(record)
        self.send_saved(partition, held.series.restore(series, at=now))
        self.partitions[partition] = held
        return held

    def drop(self) -> None:
        """Forgets all partitions; what was not saved will be read again."""
        self.partitions.clear()
        self.breaches_open = 0

    def prepare(self, records: Sequence[SourceRecord]) -> "Prepared":
        """Decodes consecutive records of a partition; touches nothing."""
        started = time.perf_counter()
        now = self._clock()
        decoded = decode_records(
            [record.offset for record in records],
            [record.value for record in records],
            decoder=self._decoder,
            plant=self.plant,
            now=datetime.fromtimestamp(now, UTC),
            max_message_bytes=self._settings.max_message_bytes,
        )
        return Prepared(records=records, decoded=decoded, at=now, seconds=time.perf_counter() - started)

    def assess(self, held: Partition, prepared: "Prepared", models: Models) -> Assessment:
        """Assesses a batch. May run in a thread of its own: it touches the partition and nothing else."""
        batch = prepared.decoded.batch
        assessment = assess(batch, state=held.state, models=models, plant=self.plant)
        held.state = assessment.state
        held.statuses_due.update(held.state.slots_of(batch.machine_ids).tolist())
        return assessment

    def send(self, held: Partition, prepared: "Prepared", assessment: Assessment) -> None:
        """Queues all messages that a batch led to; they are not yet flushed."""
        started = time.perf_counter()
        self._send_dead_letters(held.number, prepared.decoded, prepared.at)
        self._send(held, assessment, prepared.records)
        self._count(prepared.decoded, assessment)
        seconds = prepared.seconds + time.perf_counter() - started
        self._metrics.batch_duration.observe(seconds)
        self._outputs.poll()

    def tick(self) -> None:
        """Lets time pass: silence, windows of idle partitions, machine statuses."""
        now = self._clock()
        for partition, held in self.partitions.items():
            elapsed = elapse(held.state, plant=self.plant, now=now, idle_seconds=now - held.heard_at)
            for alert in elapsed.alerts:
                self._send_alert(partition, alert)
            self._send_windows(held, elapsed.energy_windows)
            if held.statuses_due and now - held.statuses_sent_at >= self._settings.status_seconds:
                for status in statuses(held.state, sorted(held.statuses_due), plant=self.plant):
                    self._send_one(MACHINES, status.machine_id, status, partition)
                held.statuses_due.clear()
                held.statuses_sent_at = now
            if np.isfinite(held.state.watermark):
                delay = max(0.0, now - held.state.watermark)
                self._metrics.watermark_delay.labels(partition=str(partition)).set(delay)
        self._count_machines()

    def _send(self, held: Partition, assessment: Assessment, records: Sequence[SourceRecord]) -> None:
        partition = held.number
        if self._settings.publish_scores:
            self._send_scores(partition, assessment.scores)
        offsets = [record.offset for record in records] if assessment.alerts else []
        for row, alert in assessment.alerts:
            source = records[bisect_left(offsets, assessment.scores.batch.offsets[row])]
            self._send_alert(partition, alert, since=source.timestamp / 1000)
        for recommendation in assessment.recommendations:
            self._metrics.recommendations.labels(band=recommendation.band).inc()
            self._send_one(RECOMMENDATIONS, recommendation.machine_id, recommendation, partition)
        self._send_windows(held, assessment.energy_windows)

    def _send_scores(self, partition: int, scores: Scores) -> None:
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

    def _send_alert(self, partition: int, alert: Alert, *, since: float | None = None) -> None:
        self._metrics.alerts.labels(kind=alert.kind, state=alert.state, severity=alert.severity).inc()
        self._send_one(ALERTS, alert.alert_id, alert, partition)
        if since is not None:
            self._metrics.reading_to_alert.observe(max(0.0, self._clock() - since))

    def _send_one(self, topic: str, key: str, message: Message, partition: int) -> None:
        self._outputs.send(topic, key=key, value=message.encode(), partition=partition)
        self._outputs.count(topic)

    def _send_windows(self, held: Partition, windows: tuple[EnergyWindow, ...]) -> None:
        now = self._clock()
        for window in windows:
            self._metrics.energy_windows.labels(state="revised" if window.revision else "final").inc()
            if window.counter is not None and not window.revision:
                count_steps(self._metrics, window.counter)
            self._send_one(ENERGY, window.key, window, held.number)
            count_matured(self._metrics, held.series.record_window(window, at=now))

    def send_saved(self, partition: int, messages: list[Outgoing]) -> None:
        """Queues messages of forecasts that are saved."""
        for topic, key, value in messages:
            self._outputs.send(topic, key=key, value=value, partition=partition)
            self._outputs.count(topic)

    async def take_history(self, held: Partition, records: Sequence[SourceRecord]) -> None:
        """Takes imported hours in; what cannot be used becomes a dead letter. Others get their turn in between."""
        now = self._clock()
        for record in records:
            await asyncio.sleep(0)
            try:
                history = EnergyHistory.model_validate_json(record.value or b"")
            except ValidationError as error:
                self._refuse(HISTORY, held.number, (record.offset, _refusal_of(record.value, error)), now)
                continue
            first = int(history.start.timestamp()) // HOUR
            for hour, energy_kwh in enumerate(history.energy_kwh, start=first):
                if energy_kwh is not None and held.series.record_imported(history.machine_id, hour, energy_kwh, at=now):
                    self._metrics.history_hours.inc()
        held.imports.next_offset = max(held.imports.next_offset, records[-1].offset + 1)

    def _send_dead_letters(self, partition: int, decoded: Decoded, now: float) -> None:
        for refused in decoded.refused:
            self._metrics.readings_rejected.labels(reason=refused[1].reason).inc()
            self._refuse(READINGS, partition, refused, now)

    def _refuse(self, topic: str, partition: int, refused: tuple[int, Refusal], now: float) -> None:
        offset, refusal = refused
        letter = DeadLetter.of(
            Source(topic=topic, partition=partition, offset=offset),
            reason=refusal.reason,
            detail=refusal.detail,
            payload=refusal.payload,
            failed_at=datetime.fromtimestamp(now, UTC),
        )
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
        self.on_calls(assessment.calls)

    def _count_machines(self) -> None:
        conditions = dict.fromkeys(CONDITIONS, 0)
        kinds = dict.fromkeys(get_args(AlertKind), 0)
        for held in self.partitions.values():
            for code in held.state.tracks.condition[: len(held.state.ids)].tolist():
                conditions[CONDITIONS[code]] += 1
            for (_, kind), alert in held.state.alerts.items():
                kinds[kind] += alert.state != "resolved"
        kinds["forecast_breach"] += self.breaches_open
        states = [state for held in self.partitions.values() for state in held.series.states.values()]
        self._metrics.forecasts_fallen_back.set(sum(state.accuracy.fallen_back for state in states))
        for condition, number in conditions.items():
            self._metrics.machines.labels(condition=condition).set(number)
        for kind, number in kinds.items():
            self._metrics.alerts_open.labels(kind=kind).set(number)


def _nobody_asks(_: tuple[Calls, ...]) -> None:
    """Take no notice."""


def _refusal_of(value: bytes | None, error: ValidationError) -> Refusal:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "value"
    detail = f"{place}: {first['msg']}; send what `nexova history import` sends"
    return Refusal(reason="not_a_history", detail=detail, payload=value or b"")
