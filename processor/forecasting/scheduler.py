"""Scheduler of the forecasts of the machines in this worker's partitions.

A forecast is stored in the state of its series, written to the changelog with the next checkpoint, and only then
published, so that there is no second forecast of the same hour.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol
from zlib import crc32
from zoneinfo import ZoneInfo

import numpy as np

from core.arrays import DAY, WEEK, Floats
from core.energy.meter import counter_rules
from core.forecasting.engine import KnownInputs
from core.forecasting.fit import FitRequest, Fitted, fallback, on_the_wall_clock, usual_week
from core.forecasting.messages import backtest_of, forecast_message, issued_forecast, track_record
from core.forecasting.names import SEASONAL_MEDIAN
from core.forecasting.series_state import SeriesState
from core.plant import Plant
from core.plant.local_days import wall_hours
from processor.forecasting.fit_wire import CANDIDATES_SETTING, FitFailed, region_holidays
from processor.forecasting.fits import FitProcess, FitTooSlow
from processor.partitions import Partition, PartitionTable
from runtime.forecasting.candidates import candidates_of
from runtime.forecasting.settings import ForecastSettings
from runtime.metrics import ProcessorMetrics
from schemas.topics import FORECASTS

LOGGER: Final = logging.getLogger("nexova.processor.forecasts")
_LOOK_SECONDS: Final = 0.25
_MOST_SIMILAR: Final = 16  # machines from which the usual week of a new one is computed
_YOUNG_HOURS: Final = 2 * WEEK


class Inputs(Protocol):
    """Interface of the known-future inputs of machines."""

    @property
    def caught_up(self) -> bool:
        """Whether all inputs sent so far have been read; forecasts wait for it."""

    def of(self, machine_id: str, first_hour: int, end: int) -> KnownInputs | None:
        """Return the inputs of a machine over [first_hour, end), hours of UTC; None without any."""


class Forecasts:
    """Scheduler of due series over the fit processes. clock: epoch s. inputs: known-future inputs.

    Raises:
        UsageError: a candidate that the settings name is not installed.
    """

    def __init__(
        self,
        *,
        plant: Plant,
        settings: ForecastSettings,
        partitions: PartitionTable,
        metrics: ProcessorMetrics,
        clock: Callable[[], float],
        inputs: Inputs,
    ) -> None:
        self._plant = plant
        self._zone = ZoneInfo(plant.timezone)
        self._settings = settings
        self._partitions = partitions
        self._metrics = metrics
        self._clock = clock
        self._inputs = inputs
        self._in_progress: set[tuple[int, str]] = set()
        self._processes: list[FitProcess] = []
        candidates_of(settings.candidate_names, asked_by=CANDIDATES_SETTING)
        power, counter = plant.index_of_role("power"), counter_rules(plant)
        # an hour at the highest possible power; without negative power there is no negative forecast
        if power is not None:
            self.bounds = (min(0.0, plant.sensors[power].minimum), plant.sensors[power].maximum)
        else:
            self.bounds = (0.0, float("inf") if counter is None else counter.maximum_power)

    async def run(self, *, stopped: Callable[[], bool], ready: Callable[[], bool]) -> None:
        """Forecast due series until `stopped`; pause while not `ready`."""
        if not self._settings.enabled:
            return
        await asyncio.gather(*(self._worker(stopped, ready) for _ in range(self._settings.processes)))

    def close(self) -> None:
        """End the processes, even during a fit."""
        for process in self._processes:
            process.close()

    async def _worker(self, stopped: Callable[[], bool], ready: Callable[[], bool]) -> None:
        process = FitProcess(niceness=self._settings.niceness)
        self._processes.append(process)
        while not stopped():
            due = self._next() if ready() and self._inputs.caught_up else None
            if due is None:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            held, series_id = due
            self._in_progress.add((held.number, series_id))
            try:
                await self._forecast(held, series_id, process)
            finally:
                self._in_progress.discard((held.number, series_id))

    def _next(self) -> tuple[Partition, str] | None:
        """Return the due series that has waited longest."""
        now = self._clock()
        found: tuple[float, Partition, str] | None = None
        waiting = 0
        for held in self._partitions.values():
            waiting += len(held.series.waiting)
            for series_id, since in held.series.waiting.items():
                due = since + self.stagger(series_id)
                if (
                    due <= now
                    and (found is None or due < found[0])
                    and (held.number, series_id) not in self._in_progress
                ):
                    found = (due, held, series_id)
        self._metrics.forecasts_waiting.set(waiting)
        if found is None:
            return None
        _, held, series_id = found
        del held.series.waiting[series_id]
        state = held.series.states[series_id]
        if state.history.end - state.issued < self._settings.every_hours or np.isnan(state.history.values).all():
            return self._next()
        return held, series_id

    def stagger(self, series_id: str) -> float:
        """Return the delay of a series after the end of an hour in seconds, from a hash of its id."""
        return crc32(series_id.encode()) / 2**32 * self._settings.spread_seconds

    async def _forecast(self, held: Partition, series_id: str, process: FitProcess) -> None:
        state = held.series.states[series_id]
        request = self.request(held, series_id, state)
        origin = state.history.end
        result = "failed"
        fitted: Fitted | None = None
        try:
            fitted, seconds = await process.fit(request, seconds=self._settings.fit_seconds)
            self._metrics.forecast_duration.observe(seconds)
        except FitTooSlow as error:
            result = "too_slow"
            LOGGER.warning("%s: %s", series_id, error.message)
        except FitFailed as error:
            LOGGER.warning("%s: %s", series_id, error.message)
        if not self._partitions.owns(held):
            return  # given up meanwhile: its owner forecasts it
        if state.history.end != origin:
            # an hour closed during the fit; a forecast from an earlier origin is useless
            held.series.waiting.setdefault(series_id, self._clock())
            return
        if fitted is None:
            self._metrics.forecasts.labels(result=result).inc()
        self.issue(held, series_id, state, fitted)

    def request(self, held: Partition, series_id: str, state: SeriesState) -> FitRequest:
        """Return the input of a fit of a series in its current state."""
        history = state.history
        known = int((~np.isnan(history.values)).sum())
        return FitRequest(
            first_hour=history.first_hour,
            values=history.values.astype(np.float64),
            horizon=self._settings.horizon_hours,
            zone=self._plant.timezone,
            region=self._plant.energy.holidays,
            bounds=self.bounds,
            memory=state.memory,
            cold_start=self._usual_week_of_the_type(held, series_id) if known < _YOUNG_HOURS else None,
            candidates=self._settings.candidate_names,
            inputs=self._inputs.of(series_id, history.first_hour, history.end + self._settings.horizon_hours + DAY),
        )

    def _usual_week_of_the_type(self, held: Partition, series_id: str) -> Floats | None:
        """Return the usual week, (168,), of older machines of the same type and partition; None without any."""
        kind = self._plant.type_of(series_id)
        if kind is None:
            return None
        weeks = []
        for other, state in held.series.states.items():
            history = state.history
            if other != series_id and len(history.values) >= _YOUNG_HOURS and self._plant.type_of(other) == kind:
                newest = history.values[-4 * WEEK :].astype(np.float64)
                wall = wall_hours(history.end - len(newest), len(newest), self._zone)
                weeks.append(on_the_wall_clock(newest, wall))
            if len(weeks) == _MOST_SIMILAR:
                break
        return usual_week(weeks)

    def issue(self, held: Partition, series_id: str, state: SeriesState, fitted: Fitted | None) -> None:
        """Issue a forecast: the fitted one or, without a fit or if that was less accurate, the seasonal median's."""
        days = self._settings.fallback_days
        history, accuracy = state.history, state.accuracy
        fallen_back = fitted is not None and fitted.model != SEASONAL_MEDIAN and accuracy.decide(days=days)
        instead = self._fallback(held, series_id, state) if fallen_back else None
        champion = fitted or self._fallback(held, series_id, state)
        issued = issued_forecast(champion, fallback=instead, origin=history.end)
        if fitted is not None:
            self._metrics.forecasts.labels(result="median" if fallen_back else "champion").inc()
        if fallen_back:
            LOGGER.info(
                "%s: %s was less accurate than the seasonal median, which replaces it", series_id, issued.replaces
            )
        message = forecast_message(
            series_id,
            issued,
            plant=self._plant,
            track=track_record(accuracy, days=days),
            trained=(history.first_hour, history.end),
            backtest=None if fitted is None else backtest_of(fitted),
        )
        accuracy.issue(
            issued.origin,
            value=issued.value,
            lower=issued.lower,
            upper=issued.upper,
            champion=champion.value,
            median=champion.median,
        )
        outbox = ((FORECASTS, series_id, message.encode()),)
        held.series.issue(series_id, issued.origin, outbox, memory=champion.memory)

    def _fallback(self, held: Partition, series_id: str, state: SeriesState) -> Fitted:
        """Return the seasonal median's forecast, which takes a millisecond and needs no process."""
        request = self.request(held, series_id, state)
        return fallback(request, holidays=region_holidays(request))
