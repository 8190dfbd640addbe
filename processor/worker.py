"""One worker: its parts, their wiring, and their lifecycle in a Faust app."""

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import faust

from core.arrays import WEEK
from core.plant import Plant
from core.rollout import AlertCounts
from processor.adoption import Adoption
from processor.alerting.feedback import FeedbackFollower
from processor.alerting.fleet_stage import FleetStage
from processor.alerting.policy import PolicyWatch
from processor.changelog import read_changelog
from processor.checkpoint import Checkpoints
from processor.ending import Ending
from processor.executor import BatchExecutor
from processor.faust_app import make_app
from processor.fenced_producer import Fenced, producers_of
from processor.forecasting.known_inputs import InputFollower
from processor.forecasting.plant_stage import PlantStage
from processor.forecasting.scheduler import Forecasts
from processor.health import Health
from processor.health_watch import HealthWatch
from processor.ingest import FetchHandler
from processor.outputs import Outputs
from processor.pages import add_pages
from processor.partitions import Partition, PartitionTable
from processor.pipeline import Pipeline
from processor.placement import PlacementWatch
from processor.publisher import Publisher
from processor.topic_watch import TopicWatch
from processor.transport import FetchSchema, consumer_of, install_batches
from processor.versions.canary import Rollbacks
from processor.versions.follower import ModelFollower
from processor.versions.running import RunningModels
from processor.versions.shadow import ShadowReader
from processor.versions.training_watch import watch_training
from processor.writers import Writers
from runtime.clock import Clock
from runtime.kafka import TopicState
from runtime.metrics import ProcessorMetrics
from runtime.models.inference import LoadedModels
from runtime.models.repository import ModelRepository
from runtime.settings import Settings
from runtime.tracing import traces_of
from schemas.topics import HISTORY, READINGS

LOGGER: Final = logging.getLogger("nexova.processor")
_TICK_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 10.0


class Worker:
    """A Faust app and the parts of one processor."""

    def __init__(
        self,
        settings: Settings,
        *,
        plant: Plant,
        repository: ModelRepository,
        loaded: LoadedModels,
        metrics: ProcessorMetrics,
        topics: Sequence[TopicState],
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.ending = Ending()
        self._repository = repository
        self._ready = False
        # Faust wants a folder, although all our state is in the changelog; it is deleted with the worker
        self._folder = tempfile.TemporaryDirectory(prefix="nexova-")
        self.app = make_app(settings, datadir=self._folder.name)
        self.topic_watch = TopicWatch(
            settings.kafka,
            topics,
            look_seconds=min(_LOOK_SECONDS, settings.processor.stall_seconds / 5),
            clock=clock.monotonic,
        )
        self.outputs = Outputs(settings.kafka, metrics, patience=settings.processor.exit_after_stall_seconds)
        self.partitions = PartitionTable(plant, history_hours=settings.forecasts.history_weeks * WEEK)
        self._stopping = False
        self.writers = Writers(
            producers_of(settings, stopped=lambda: self._stopping), metrics, on_lost=self._lost, on_failure=self._failed
        )
        self.publisher = Publisher(
            self.outputs,
            self.writers,
            metrics,
            publish_scores=settings.processor.publish_scores,
            dead_letters_per_second=settings.processor.dead_letters_per_second,
            clock=clock.wall,
            traces=traces_of(settings.tracing, service="nexova-processor"),
        )
        self.running = RunningModels(loaded.models, plant=plant, metrics=metrics)
        self.rollbacks = Rollbacks(
            running=self.running, repository=repository, settings=settings, metrics=metrics, clock=clock.wall
        )
        self.follower = ModelFollower(
            kafka=settings.kafka,
            repository=repository,
            plant=plant,
            running=self.running,
            shadows=ShadowReader(
                repository=repository, plant=plant, canary_seconds=settings.processor.rollback_seconds, clock=clock.wall
            ),
            metrics=metrics,
            promotions=loaded.promotions,
        )
        self.inputs = InputFollower(settings, self.partitions, self.publisher, clock=clock.wall)
        self.forecasts = Forecasts(
            plant=plant,
            settings=settings.forecasts,
            partitions=self.partitions,
            metrics=metrics,
            clock=clock.wall,
            inputs=self.inputs,
        )
        self.plant_stage = PlantStage(
            plant=plant, settings=settings, partitions=self.partitions, metrics=metrics, clock=clock
        )
        self.pipeline = Pipeline(
            plant=plant,
            running=self.running,
            partitions=self.partitions,
            publisher=self.publisher,
            settings=settings.processor,
            metrics=metrics,
            clock=clock.wall,
            on_alert_counts=self._count_alerts,
            open_breaches=self.plant_stage.open_breaches,
        )
        self.placement = PlacementWatch(next(t.partitions for t in topics if t.name == READINGS), metrics)
        self.executor = BatchExecutor(self.pipeline, self.partitions, on_failure=self._failed, on_poison=self._poisoned)
        self.checkpoints = Checkpoints(
            kafka=settings.kafka,
            settings=settings.processor,
            partitions=self.partitions,
            writers=self.writers,
            publisher=self.publisher,
            executor=self.executor,
            outputs=self.outputs,
            metrics=metrics,
            identity=self.topic_watch.identity,
            commit=lambda offsets, topic: consumer_of(self.app).checkpoint(offsets, topic=topic),
            clock=clock.monotonic,
        )
        self.adoption = Adoption(
            read=partial(
                read_changelog,
                settings.kafka,
                patience=settings.processor.exit_after_stall_seconds,
                on_progress=self._restored,
            ),
            partitions=self.partitions,
            writers=self.writers,
            publisher=self.publisher,
            clock=clock,
            epoch=lambda: consumer_of(self.app).epoch,
            identity=self.topic_watch.identity,
        )
        self.fetches = FetchHandler(
            app=self.app,
            pipeline=self.pipeline,
            partitions=self.partitions,
            adoption=self.adoption,
            executor=self.executor,
            checkpoints=self.checkpoints,
            metrics=metrics,
            clock=clock,
            ready=lambda: self._ready,
            on_failure=self._failed,
        )
        self.feedback = FeedbackFollower(
            kafka=settings.kafka,
            partitions=self.partitions,
            publisher=self.publisher,
            executor=self.executor,
            metrics=metrics,
            clock=clock.wall,
        )
        self.fleet_stage = FleetStage(
            plant=plant, kafka=settings.kafka, partitions=self.partitions, publisher=self.publisher, clock=clock.wall
        )
        self.policy = PolicyWatch(
            path=settings.plant_file,
            plant=plant,
            partitions=self.partitions,
            executor=self.executor,
            metrics=metrics,
            clock=clock.wall,
            on_change=self.fleet_stage.use_policy,
        )
        self.health = Health(
            stall_seconds=settings.processor.stall_seconds,
            exit_after_seconds=settings.processor.exit_after_stall_seconds,
            dead_letters_per_second=settings.processor.dead_letter_limit_per_second,
            clock=clock.monotonic,
        )
        self.health_watch = HealthWatch(
            self.health,
            metrics,
            consumer=lambda: consumer_of(self.app),
            partitions=self.partitions,
            executor=self.executor,
            fetches=self.fetches,
            checkpoints=self.checkpoints,
            publisher=self.publisher,
            topic_watch=self.topic_watch,
            ready=lambda: self._ready,
            settled=self._settled,
            clock=clock,
        )
        install_batches(
            self.app,
            topics=[READINGS, HISTORY],
            batch_records=settings.processor.batch_records,
            before_revoke=self._last_checkpoint,
            on_failure=self._failed,
        )
        self._agents()
        self._tasks()
        self._signals()
        self._pages()

    def _count_alerts(self, counts: tuple[AlertCounts, ...]) -> None:
        self.running.counters.add(counts)
        self.rollbacks.add(counts)

    def _agents(self) -> None:
        @self.app.agent(self.app.topic(READINGS, schema=FetchSchema()))
        async def readings(stream: Any) -> None:
            await self.fetches.consume(stream, READINGS)

        @self.app.agent(self.app.topic(HISTORY, schema=FetchSchema()))
        async def history(stream: Any) -> None:
            await self.fetches.consume(stream, HISTORY)

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
                await asyncio.sleep(_TICK_SECONDS)
                await self._or_crash(self._tick())

        self._beside("watch", partial(self.health_watch.run, stopped=lambda: self.app.should_stop), None)
        self._beside("watch_topics", self.topic_watch.run, None)
        for name, run, close in (
            ("forecast", self.forecasts.run, self.forecasts.close),
            ("forecast_plant", self.plant_stage.run, self.plant_stage.close),
            ("follow_feedback", self.feedback.run, None),
            ("follow_fleet", self.fleet_stage.run, None),
        ):
            self._beside(name, partial(run, stopped=lambda: self.app.should_stop, ready=self._settled), close)
        for name, follow in (("follow_policy", self.policy.run), ("follow_inputs", self.inputs.run)):
            self._beside(name, partial(follow, stopped=lambda: self.app.should_stop), None)
        self._beside("follow_models", self.follower.follow, None)
        watched = (self._repository, self.metrics, self.pipeline.score_watch)
        self._beside("watch_training", partial(watch_training, *watched, stopped=lambda: self.app.should_stop), None)

    def _beside(self, name: str, run: Callable[[], Awaitable[None]], close: Callable[[], None] | None) -> None:
        """Register a task of the worker's lifetime; its failure ends the worker."""

        async def beside() -> None:
            try:
                await self._or_crash(run())
            finally:
                if close is not None:
                    close()

        beside.__name__ = beside.__qualname__ = name
        self.app.task(beside)

    def _settled(self) -> bool:
        return self._ready and not self.app.rebalancing

    def _restored(self, table: str, partition: int, share: float) -> None:
        self.health_watch.restored(table, partition, share)

    def _lost(self, partition: int, error: Fenced) -> None:
        LOGGER.warning("%s; what it had not saved is read again by its owner", error.message)
        self.metrics.partitions_lost.inc()
        self.fetches.lose(partition)

    def _poisoned(self, held: Partition, until: int, error: Exception) -> None:
        self.fetches.restore_again(held.number, until=until, cause=error)
        self._closing = self.writers.drop_one(held.number)

    def _failed(self, error: BaseException) -> None:
        """End the worker, because continuing would skip unprocessed records."""
        if self.ending.begin(error):
            self._stopping = True
            self._crash = asyncio.ensure_future(self.app.crash(error))

    async def _or_crash(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  whatever it is, the worker ends with it
            self._failed(error)

    async def _tick(self) -> None:
        if self._ready:
            await self.fetches.adopt_idle_partitions()
            await self.fetches.refetch_stalled()
            async with self.executor.quiesced():
                if self.executor.failure is None:
                    self.pipeline.tick()
                    self.placement.check(self.partitions)
            self.outputs.poll()
        self.rollbacks.tick()

    def _signals(self) -> None:
        @self.app.on_partitions_revoked.connect(weak=False)
        async def revoked(_: faust.App, partitions: Any, **__: Any) -> None:
            self._ready = False
            for tp in partitions:
                if tp.topic == READINGS:
                    self._forget_gauges(tp.partition)
            async with self.executor.quiesced():
                self.partitions.drop()
            self.checkpoints.forget()
            self.fetches.forget()
            await self.writers.drop()

        @self.app.on_rebalance_complete.connect(weak=False)
        async def assigned(_: faust.App, **__: Any) -> None:
            self.metrics.rebalances.inc()
            self._ready = True

        @self.app.on_before_shutdown.connect(weak=False)
        async def stopping(_: faust.App, **__: Any) -> None:
            await self._last_checkpoint()
            self._stopping = True
            await self.writers.drop()

    def _forget_gauges(self, partition: int) -> None:
        # a gauge of a partition that another worker has now would stand still for ever
        metrics = self.metrics
        for gauge in (metrics.consumer_lag, metrics.watermark_delay, metrics.watermark_skew, metrics.restore_progress):
            gauge.remove_by_labels({"partition": str(partition)})

    async def _last_checkpoint(self) -> None:
        """Make a last checkpoint, so that the next owner repeats little; correctness does not depend on it."""
        if not self._ready:
            return
        seconds = self.app.conf.broker_session_timeout / 2
        try:
            await asyncio.wait_for(self.checkpoints.make(complete=True), timeout=seconds)
        except Exception:  # noqa: BLE001  partitions are given up whatever happens
            LOGGER.warning("no checkpoint before partitions were revoked; their next owner repeats some readings")

    def _pages(self) -> None:
        add_pages(
            self.app,
            registry=self.metrics.registry,
            settled=self._settled,
            failures=self.health.failures,
            facts=lambda: {
                "ready": self._ready,
                "lag_records": self.health.lag_records,
                "partitions": sorted(self.partitions),
                "misplaced_machines": self.placement.summary(),
                "models": self.running.counters.summary(),
            },
        )
