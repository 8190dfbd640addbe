"""Forecast of the plant: the sum of its machines' forecasts, computed by the owner of partition 0.

A worker has only its own machines, so a reader follows the hours and forecasts of all machines from the topics. The
plant's series is kept in the series table of partition 0, and saved before it is published like any other forecast.
"""

import asyncio
import logging
import struct
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
import numpy as np

from core.alerting.forecast_breach import breach_alert
from core.forecasting.accuracy import COLUMNS
from core.forecasting.hourly_history import energy_of
from core.forecasting.messages import forecast_message, track_record
from core.forecasting.names import PLANT_SUM
from core.forecasting.plant_total import FIRST_TOGETHER, Total, learned, summed
from core.forecasting.series_state import SeriesState
from core.issued_forecast import IssuedForecast
from core.plant import Plant
from processor.forecasting.accuracy_metrics import count_matured
from processor.partitions import PLANT_PARTITION, Partition, PartitionTable
from runtime.clock import Clock
from runtime.errors import NexovaError
from runtime.metrics import ProcessorMetrics
from runtime.settings import Settings
from runtime.topic_reader import Start, TopicReader
from schemas.alerts import Alert, AlertModel
from schemas.energy import EnergyWindow
from schemas.forecasts import is_plant_series, plant_series
from schemas.topics import ALERTS, ENERGY, FORECASTS

LOGGER: Final = logging.getLogger("nexova.processor.plant")
_POLL_SECONDS: Final = 0.5
_AT_ONCE: Final = 500
_REST_SECONDS: Final = 0.5
_AGAIN_SECONDS: Final = 5.0
_BACK_HOURS: Final = 26
_STRAGGLER_SECONDS: Final = 120.0
_CATCH_UP_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 2.0
_TOGETHER: Final = struct.Struct("<d")


class _Point(msgspec.Struct):
    value: float
    lower: float
    upper: float


class _Forecast(msgspec.Struct):
    """The fields of a forecast message that a sum needs."""

    series_id: str
    issued_at: datetime
    model: str
    points: list[_Point]


class PlantStage:
    """Follower of all machines while this worker owns partition 0."""

    def __init__(
        self,
        *,
        plant: Plant,
        settings: Settings,
        partitions: PartitionTable,
        metrics: ProcessorMetrics,
        clock: Clock,
    ) -> None:
        self._plant = plant
        self._settings = settings
        self._partitions = partitions
        self._metrics = metrics
        self._clock = clock
        self._series = plant_series(plant.name)
        self._total = Total()
        self._since: tuple[int, float] = (-1, 0.0)
        self._grown: tuple[int, float] = (0, 0.0)
        self._held: Partition | None = None
        self._reader: TopicReader | None = None
        self._reading = threading.Lock()
        self._hours: list[tuple[int, float]] = []
        self._fresh = False
        self._begun = 0.0

    async def run(self, *, stopped: Callable[[], bool], ready: Callable[[], bool]) -> None:
        """Follow and forecast until `stopped`; pause while not `ready` or while another worker owns partition 0."""
        if not self._settings.forecasts.enabled:
            return
        while not stopped():
            held = self._partitions.get(PLANT_PARTITION) if ready() else None
            if held is None:
                await asyncio.sleep(_REST_SECONDS)
                continue
            try:
                if held is not self._held or self._reader is None:
                    await self._begin(held)
                quiet = await asyncio.to_thread(self._read)
            except NexovaError as error:
                LOGGER.warning("the machines of the plant cannot be followed now: %s", error.message)
                self.close()
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if quiet and self._partitions.owns(held):
                self.look(held)

    def close(self) -> None:
        """Close the reader."""
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def open_breaches(self) -> int:
        """Return the number of open alerts on the plant's contracted peak; 0 unless this worker owns partition 0."""
        held = self._partitions.get(PLANT_PARTITION)
        state = None if held is None else held.series.states.get(self._series)
        alert = None if state is None else _newest_alert(state)
        return int(alert is not None and alert.state != "resolved")

    async def _begin(self, held: Partition) -> None:
        self.close()
        self._held, self._total, self._hours = held, Total(), []
        self._begun = self._clock.monotonic()
        self._reader = await asyncio.to_thread(self._opened)

    def _opened(self) -> TopicReader:
        """Return a reader of both topics that starts about a day ago."""
        start = Start(since=self._clock.wall() - _BACK_HOURS * 3600)
        return TopicReader(self._settings.kafka, {ENERGY: start, FORECASTS: start})

    def _read(self) -> bool:
        """Read the available records; return whether the end is reached. Runs in a thread, with the total to itself."""
        with self._reading:
            if self._reader is None:
                return False
            records = self._reader.read(_POLL_SECONDS, most=_AT_ONCE)
            caught_up = self._reader.caught_up
        if not records and self._fresh:
            self._hours, self._fresh = self._total.complete_hours(), False
        for record in records:
            self._fresh = True
            try:
                self._take(record.topic, record.value or b"")
            except (ValueError, msgspec.MsgspecError) as error:
                place = (record.topic, record.partition, record.offset)
                LOGGER.warning("%s/%d at %d breaks its contract; skipped: %s", *place, error)
        # a partly read plant must not be treated as the whole one
        return not records and (caught_up or self._clock.monotonic() - self._begun > _CATCH_UP_SECONDS)

    def _take(self, topic: str, value: bytes) -> None:
        if topic == ENERGY:
            window = EnergyWindow.model_validate_json(value)
            self._total.take_hour(window.machine_id, int(window.start.timestamp()) // 3600, energy_of(window))
            return
        document = msgspec.json.decode(value, type=_Forecast)
        if is_plant_series(document.series_id):
            return
        points = np.array([(point.value, point.lower, point.upper) for point in document.points]).reshape(-1, 3)
        course = IssuedForecast(
            origin=int(document.issued_at.timestamp()) // 3600,
            value=points[:, 0],
            lower=points[:, 1],
            upper=points[:, 2],
            model=document.model,
        )
        self._total.take_forecast(document.series_id, course)

    def look(self, held: Partition) -> None:
        """Update the plant's series, and make its forecast if one is due."""
        state = held.series.of(self._series)
        # a memory of another shape is learned anew: every next owner of the plant would stumble over it
        known = len(state.memory) == _TOGETHER.size
        together = _TOGETHER.unpack(state.memory)[0] if known else FIRST_TOGETHER
        hours, self._hours = self._hours, []
        for hour, energy_kwh in hours:
            matured = held.series.record_measured(self._series, hour, energy_kwh, at=0.0)
            if matured is None:
                continue
            row = matured.sum(axis=0)
            if row[COLUMNS.points]:
                together = learned(together, points=row[COLUMNS.points], covered=row[COLUMNS.covered])
                held.series.remember(self._series, _TOGETHER.pack(together))
            count_matured(self._metrics, matured)
        origin = self._total.origin()
        if origin is not None and origin > state.issued and self._due(origin):
            self._issue(held, state, together)

    def _due(self, origin: int) -> bool:
        """Return whether all machines have a forecast for the origin, or the wait for them is over."""
        now, measured = self._clock.monotonic(), len(self._total.measured(origin))
        if self._since[0] != origin:
            self._since = (origin, now)
        if self._grown[0] != measured:
            self._grown = (measured, now)
        patience = self._settings.forecasts.spread_seconds + _STRAGGLER_SECONDS
        # in a plant's first hour one machine after the other is heard of, and the first alone is not the plant
        settled = now - self._grown[1] >= _SETTLE_SECONDS
        return (settled and self._total.is_complete()) or now - self._since[1] > patience

    def _issue(self, held: Partition, state: SeriesState, together: float) -> None:
        members = self._total.members()
        course = summed(members, together=together)
        state.accuracy.issue(
            course.origin,
            value=course.value,
            lower=course.lower,
            upper=course.upper,
            champion=course.value,
            median=course.value,
        )
        message = forecast_message(
            self._series,
            course,
            plant=self._plant,
            track=track_record(state.accuracy, days=self._settings.forecasts.fallback_days),
            trained=None,
            members=len(members),
        )
        outbox = [(FORECASTS, self._series, message.encode())]
        alert = self._breach(state, course)
        if alert is not None:
            outbox.append((ALERTS, alert.alert_id, alert.encode()))
            self._metrics.alerts.labels(kind=alert.kind, state=alert.state, severity=alert.severity).inc()
        held.series.issue(self._series, course.origin, tuple(outbox), memory=_TOGETHER.pack(together))

    def _breach(self, state: SeriesState, course: IssuedForecast) -> Alert | None:
        """Return the alert on the plant's contracted peak, if it changed; the newest one is in the last outbox."""
        limit = self._plant.energy.peak_limit
        if limit is None:
            return None
        return breach_alert(
            course,
            limit=limit,
            plant_name=self._plant.name,
            timezone=self._plant.timezone,
            model=AlertModel(name=PLANT_SUM, version="1", level="rule"),
            known=_newest_alert(state),
        )


def _newest_alert(state: SeriesState) -> Alert | None:
    """Return the newest alert on the contracted peak, from the last outbox."""
    alerts = [value for topic, _, value in state.outbox if topic == ALERTS]
    return Alert.model_validate_json(alerts[-1]) if alerts else None
