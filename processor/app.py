"""The processor's composition root: `create_worker` reads like a table of contents."""

import asyncio
import gc
import logging
import sys
import tempfile
import time
from typing import Any, Final

import faust
from prometheus_client import generate_latest

from core.detection.features import feature_fingerprint
from core.detection.scoring import Calls
from core.plant import Plant
from core.precompile import rehearse
from processor.checkpoint import Checkpoints
from processor.executor import Lane
from processor.faust_app import make_app
from processor.forecasting.plant_stage import PlantStage
from processor.forecasting.scheduler import Forecasts
from processor.health import CHECKS, Health
from processor.ingest import Intake
from processor.outputs import Outputs
from processor.pipeline import Pipeline
from processor.state_topics import MACHINES, SERIES, create_state_topics
from processor.transport import FetchSchema, consumer_of, install_batches
from processor.versions.canary import Rollbacks
from processor.versions.follower import ModelFollower
from runtime.errors import FailureError
from runtime.kafka import list_topics, wait_for_broker
from runtime.logging import configure_logging
from runtime.metrics import ProcessorMetrics, process_registry
from runtime.models.inference import LoadedModels, load_models
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from runtime.settings import Settings
from schemas.topics import HISTORY, READINGS

LOGGER: Final = logging.getLogger("nexova.processor")
_TICK_SECONDS: Final = 1.0
_COLLECT_AFTER_OBJECTS: Final = 100_000
_SWITCH_SECONDS: Final = 0.0005


class Worker:
    """One processor: a Faust app and what it is made of."""

    def __init__(
        self,
        settings: Settings,
        *,
        plant: Plant,
        repository: ModelRepository,
        loaded: LoadedModels,
        metrics: ProcessorMetrics,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        # Faust wants a folder, although all our state is in the changelog; it goes when the worker does
        self._folder = tempfile.TemporaryDirectory(prefix="nexova-")
        self.app = make_app(settings, datadir=self._folder.name)
        self.outputs = Outputs(settings.kafka, metrics)
        self.pipeline = Pipeline(
            plant=plant,
            models=loaded.models,
            settings=settings.processor,
            history_weeks=settings.forecasts.history_weeks,
            outputs=self.outputs,
            metrics=metrics,
            clock=time.time,
        )
        self.lane = Lane(self.pipeline, on_failure=self._failed)
        self.checkpoints = Checkpoints(
            app=self.app,
            machines=self._table(MACHINES),
            series=self._table(SERIES),
            pipeline=self.pipeline,
            lane=self.lane,
            outputs=self.outputs,
            metrics=metrics,
            epoch=lambda: consumer_of(self.app).epoch,
        )
        self.intake = Intake(
            app=self.app,
            pipeline=self.pipeline,
            lane=self.lane,
            checkpoints=self.checkpoints,
            ready=lambda: self._ready,
            on_failure=self._failed,
        )
        self.health = Health(
            stall_seconds=settings.processor.stall_seconds,
            exit_after_seconds=settings.processor.exit_after_stall_seconds,
            dead_letters_per_second=settings.processor.dead_letter_limit_per_second,
        )
        # no check has failed before the first look at them
        metrics.healthy.set(1)
        for check in CHECKS:
            metrics.health_checks_failed.labels(check=check).set(0)
        self.forecasts = Forecasts(plant=plant, settings=settings.forecasts, pipeline=self.pipeline, metrics=metrics)
        self.plant_stage = PlantStage(plant=plant, settings=settings, pipeline=self.pipeline, metrics=metrics)
        self._ready = False
        self.follower = ModelFollower(
            kafka=settings.kafka,
            repository=repository,
            pipeline=self.pipeline,
            metrics=metrics,
            promotions=loaded.promotions,
            watch_seconds=settings.processor.rollback_seconds,
        )
        self.rollbacks = Rollbacks(
            follower=self.follower, repository=repository, settings=settings, metrics=metrics, clock=time.time
        )
        self.pipeline.on_calls = self._called
        install_batches(
            self.app,
            topics=[READINGS, HISTORY],
            batch_records=settings.processor.batch_records,
            before_revoke=self._last_checkpoint,
        )
        self._agents()
        self._tasks()
        self._signals()
        self._pages()

    def _called(self, calls: tuple[Calls, ...]) -> None:
        self.follower.tally.take(calls)
        self.rollbacks.take(calls)

    def _table(self, name: str) -> Any:
        return self.app.Table(name, partitions=self.settings.kafka.partitions, key_type=bytes, value_type=bytes)

    def _agents(self) -> None:
        @self.app.agent(self.app.topic(READINGS, schema=FetchSchema()))
        async def readings(stream: Any) -> None:
            await self.intake.follow(stream, READINGS)

        @self.app.agent(self.app.topic(HISTORY, schema=FetchSchema()))
        async def history(stream: Any) -> None:
            await self.intake.follow(stream, HISTORY)

    def _tasks(self) -> None:
        @self.app.task  # type: ignore[untyped-decorator]
        async def checkpoint() -> None:
            while not self.app.should_stop:
                await asyncio.sleep(self.settings.processor.checkpoint_seconds)
                if self._ready and not self.app.rebalancing:
                    await self._or_crash(self.checkpoints.make())

        @self.app.task  # type: ignore[untyped-decorator]
        async def tick() -> None:
            while not self.app.should_stop:
                before = time.monotonic()
                await asyncio.sleep(_TICK_SECONDS)
                lag = time.monotonic() - before - _TICK_SECONDS
                await self._or_crash(self._tick(max(0.0, lag)))

        @self.app.task  # type: ignore[untyped-decorator]
        async def forecast() -> None:
            try:
                await self._or_crash(self.forecasts.run(stopped=lambda: self.app.should_stop, ready=self._settled))
            finally:
                self.forecasts.close()

        @self.app.task  # type: ignore[untyped-decorator]
        async def forecast_plant() -> None:
            try:
                await self._or_crash(self.plant_stage.run(stopped=lambda: self.app.should_stop, ready=self._settled))
            finally:
                self.plant_stage.close()

        @self.app.task  # type: ignore[untyped-decorator]
        async def follow_models() -> None:
            await self._or_crash(self.follower.follow())

    def _settled(self) -> bool:
        return self._ready and not self.app.rebalancing

    def _failed(self, error: BaseException) -> None:
        LOGGER.error("a batch could not be processed", exc_info=error)
        self._crash = asyncio.ensure_future(self.app.crash(error))

    async def _or_crash(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            LOGGER.exception("the worker cannot go on: %s", error)  # noqa: TRY401  the reason in the first line
            await self.app.crash(error)

    async def _tick(self, loop_lag_seconds: float) -> None:
        if self._ready:
            await self.intake.adopt_the_quiet()
            await self.intake.fetch_the_lost()
            async with self.lane.at_rest():
                if self.lane.failure is None:
                    self.pipeline.tick()
            self.outputs.poll()
        self.rollbacks.tick()
        self._watch(loop_lag_seconds)

    def _watch(self, loop_lag_seconds: float) -> None:
        positions = {partition: held.next_offset for partition, held in self.pipeline.partitions.items()}
        lag = consumer_of(self.app).lag(positions, topic=READINGS) if self._ready else {}
        for partition, records in lag.items():
            self.metrics.consumer_lag.labels(partition=str(partition)).set(records)
        self.metrics.event_loop_lag.set(loop_lag_seconds)
        self.health.observe(
            records_done=self.lane.records_done,
            lag=lag,
            recovering=not self._ready,
            loop_lag_seconds=loop_lag_seconds,
            checkpointed_at=self.checkpoints.last_success,
            dead_letters=self.pipeline.dead_letters,
        )
        failed = self.health.failures()
        for check in CHECKS:
            self.metrics.health_checks_failed.labels(check=check).set(check in failed)
        self.metrics.healthy.set(not failed)
        fatal = self.health.fatal()
        if fatal is not None:
            raise StalledError(fatal)

    def _signals(self) -> None:
        @self.app.on_partitions_revoked.connect(weak=False)
        async def revoked(_: faust.App, partitions: Any, **__: Any) -> None:
            self._ready = False
            for tp in partitions:
                if tp.topic == READINGS:
                    self._forget_gauges(tp.partition)
            async with self.lane.at_rest():
                self.pipeline.drop()
            self.checkpoints.forget()

        @self.app.on_rebalance_complete.connect(weak=False)
        async def assigned(_: faust.App, **__: Any) -> None:
            self.metrics.rebalances.inc()
            self._ready = True

        @self.app.on_before_shutdown.connect(weak=False)
        async def stopping(_: faust.App, **__: Any) -> None:
            await self._last_checkpoint()
            await self.checkpoints.close()

    def _forget_gauges(self, partition: int) -> None:
        # a gauge of a partition that another worker has now would stand still for ever
        for gauge in (self.metrics.consumer_lag, self.metrics.watermark_delay):
            gauge.remove_by_labels({"partition": str(partition)})

    async def _last_checkpoint(self) -> None:
        """A last checkpoint, so that the next owner repeats little; without it everything stays right as well."""
        if not self._ready:
            return
        try:
            await asyncio.wait_for(self.checkpoints.make(), timeout=self.app.conf.broker_session_timeout / 2)
        except Exception:  # noqa: BLE001  partitions are given up whatever happens
            LOGGER.warning("no checkpoint before partitions were given up; their new owner reads a little again")

    def _pages(self) -> None:
        @self.app.page("/metrics")
        async def metrics(view: Any, _: Any) -> Any:
            return view.bytes(generate_latest(self.metrics.registry), content_type="text/plain; version=0.0.4")

        @self.app.page("/healthz")
        async def healthz(view: Any, _: Any) -> Any:
            failed = self.health.failures()
            body = {
                "status": "failing" if failed else "ok",
                "ready": self._ready,
                "failed_checks": failed,
                "lag_records": self.health.lag_records,
                "partitions": sorted(self.pipeline.partitions),
                "models": self.follower.tally.summary(),
            }
            return view.json(body, status=503 if failed else 200)


class StalledError(RuntimeError):
    """The worker stood still for longer than it may."""


def run(settings: Settings) -> int:
    """Runs a worker until SIGTERM or SIGINT; returns 0 after a clean stop and 1 after a failure.

    Raises:
        BrokerUnavailable: no broker answered.
    """
    configure_logging(settings)
    wait_for_broker(settings.kafka, max_retries=settings.max_retries, on_retry=_say_retry)
    for topic in list_topics(settings.kafka):
        if topic.name in {READINGS, HISTORY} and topic.problem:
            raise FailureError(topic.problem)
    create_state_topics(settings.kafka)
    plant = load_plant(settings.plant_file)
    repository = ModelRepository(settings.model_path)
    loaded = load_models(repository, plant=plant, features=feature_fingerprint(plant))
    for problem in loaded.problems:
        LOGGER.warning("%s", problem)
    rehearse(plant, loaded.models)
    metrics = ProcessorMetrics(process_registry())
    for name, reason in loaded.refused:
        metrics.model_fallbacks.labels(name=name, reason=reason).inc()
    worker = Worker(settings, plant=plant, repository=repository, loaded=loaded, metrics=metrics)
    _collect_seldom()
    # the thread that assesses asks for the interpreter often and briefly: with 5 ms it waits more than it works
    sys.setswitchinterval(_SWITCH_SECONDS)
    runner = faust.Worker(
        worker.app, override_logging=False, redirect_stdouts=False, loglevel=settings.log_level, quiet=True
    )
    try:
        runner.execute_from_commandline()
    except SystemExit as stopped:
        return int(bool(stopped.code))
    finally:
        worker.lane.close()
    return 0


def _collect_seldom() -> None:
    """Spares the garbage collector what lasts: every fetch makes thousands of objects, and none of them in a cycle.

    With Python's own thresholds it looked through the whole heap so often that it took a sixth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)


def _say_retry(number: int, reason: str) -> None:
    LOGGER.warning("no broker yet (%s); try %d", reason, number)
