"""Follows what is promoted: a worker changes its models between two batches, without a restart.

The registry of the model repository is the truth, and a message on `nexova.models` says that it changed: a worker
that hears of a promotion loads what the registry names now. So messages that come late, twice, or out of order with
a second promotion lead to the same version everywhere. A new version is watched for a while: see
`processor.versions.canary`.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final, get_args

from pydantic import ValidationError

from core.detection.features import feature_fingerprint
from core.models import Models
from processor.pipeline import Pipeline
from processor.versions.counters import Tally
from processor.versions.shadow import BesideRole, Lineup, LineupReader
from runtime.errors import NexovaError
from runtime.metrics import ModelRole, ProcessorMetrics
from runtime.models.inference import SERVED, ForestModel, open_model, with_model
from runtime.models.manifest import Promotion, identity
from runtime.models.repository import ModelRefused, ModelRepository, RepositoryUnavailable, UnknownVersion
from runtime.settings import KafkaSettings
from runtime.topic_reader import BEGINNING, Record, follow
from schemas.models import ModelPromoted
from schemas.topics import MODELS

LOGGER: Final = logging.getLogger("nexova.processor.models")
_TRIES: Final = 5
_RETRY_SECONDS: Final = 1.0


def versions_of(models: Models) -> dict[str, str]:
    """The version that runs of each model, by name."""
    running = (models.anomaly, models.maintenance)
    return {model.name: model.version for model in running if model is not None}


class ModelFollower:
    """Reads `nexova.models` beside the group, and changes `pipeline.models` on the event loop.

    promotions: by name, the entry of the registry that the models running now come from. retry_seconds: between
    two tries to reach a repository that does not answer. on_lineup: hears, on the event loop, what is scored beside
    a model since now.
    """

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        repository: ModelRepository,
        pipeline: Pipeline,
        metrics: ProcessorMetrics,
        promotions: Mapping[str, Promotion],
        watch_seconds: float = 0.0,
        retry_seconds: float = _RETRY_SECONDS,
    ) -> None:
        self.lineups: dict[str, Lineup] = {}
        self.on_lineup: Callable[[str, Lineup], None] = _nobody_asks
        self.tally = Tally(metrics)
        self._kafka = kafka
        self._repository = repository
        self._pipeline = pipeline
        self._metrics = metrics
        self._features = feature_fingerprint(pipeline.plant)
        self._settled = {name: entry.identity for name, entry in promotions.items()}
        self._reader = LineupReader(repository=repository, plant=pipeline.plant, span=timedelta(seconds=watch_seconds))
        self._retry_seconds = retry_seconds
        self._stopped = threading.Event()
        self._problem: str | None = None
        self._show()

    async def follow(self) -> None:
        """Follows until cancelled; raises what made following impossible."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        # a daemon: a worker that ends in a hurry must not wait for it
        threading.Thread(target=self._run, args=(loop, ended), name="models", daemon=True).start()
        try:
            await ended
        finally:
            self._stopped.set()

    def _run(self, loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[None]") -> None:
        try:
            for name in SERVED:
                self._line_up(name, None, loop)
            topics = {MODELS: BEGINNING}
            for _, records in follow(
                self._kafka, topics, stopped=self._stopped.is_set, on_state=self._note, wait=self._stopped.wait
            ):
                for record in records:
                    self._take(record, loop)
        except Exception as error:  # noqa: BLE001  the worker must hear of it, whatever it is
            if not self._stopped.is_set():
                loop.call_soon_threadsafe(ended.set_exception, error)

    def _note(self, problem: NexovaError | None) -> None:
        """Say once when promotions cannot be heard of, and once when they can again."""
        text = None if problem is None else problem.message
        if text != self._problem and text is not None:
            LOGGER.warning("promotions of models are not received: %s", text)
        elif text != self._problem:
            LOGGER.info("promotions of models are received again")
        self._problem = text

    def _take(self, record: Record, loop: asyncio.AbstractEventLoop) -> None:
        promoted = _read(record)
        if promoted is None or promoted.name not in SERVED:
            return
        try:
            model = self.prepare(promoted)
        except Exception:
            # whatever it is, scoring goes on with what runs
            LOGGER.exception("model %s: %s could not be loaded", promoted.name, promoted.version)
            self._metrics.model_fallbacks.labels(name=promoted.name, reason="damaged").inc()
            return
        self._line_up(promoted.name, model, loop)

    def _line_up(self, name: str, model: ForestModel | None, loop: asyncio.AbstractEventLoop) -> None:
        """Hands over the model that is to run, if it is another one, with what is to be scored beside it."""
        try:
            lineup = self._reader.read(name, loaded=self._loaded(name))
        except Exception:
            # whatever it is, what runs goes on running, and what is to run runs
            LOGGER.exception("model %s: what is scored beside it stays as it was", name)
            lineup = None
        if not self._stopped.is_set():
            loop.call_soon_threadsafe(self._take_up, name, model, lineup)

    def _loaded(self, name: str) -> dict[str, ForestModel]:
        models = self._pipeline.models
        running = [model for model in (models.anomaly, models.maintenance) if isinstance(model, ForestModel)]
        beside = self.lineups[name].beside.values() if name in self.lineups else ()
        return {model.version: model for model in (*running, *beside) if model.name == name}

    def _take_up(self, name: str, model: ForestModel | None, lineup: Lineup | None) -> None:
        if model is not None:
            self._use(model)
        if lineup is not None:
            self.use_beside(name, lineup)

    def use_beside(self, name: str, lineup: Lineup) -> None:
        """Scores these versions of a model beside the one that runs; on the event loop, between two batches."""
        running = versions_of(self._pipeline.models).get(name)
        # where the promoted version was refused, the one before runs itself
        beside = {role: model for role, model in lineup.beside.items() if model.version != running}
        promoted = lineup.watched is not None and lineup.watched.version == running
        lineup = Lineup(beside=beside, watched=lineup.watched if promoted and "former" in beside else None)
        before = self.lineups.get(name, Lineup())
        self.lineups[name] = lineup
        every = [model for one in self.lineups.values() for model in one.beside.values()]
        self._pipeline.models = replace(
            self._pipeline.models, beside=tuple(with_model(Models(), model) for model in every)
        )
        self._show()
        for role in get_args(BesideRole):
            then, now = before.beside.get(role), beside.get(role)
            if now is not None and (then is None or then.version != now.version):
                LOGGER.info("model %s: %s is scored beside %s, as its %s", name, now.version, running, role)
            elif then is not None and now is None and then.version != running:
                LOGGER.info("model %s: %s is no longer scored beside %s", name, then.version, running)
        self.on_lineup(name, lineup)

    def prepare(self, promoted: ModelPromoted) -> ForestModel | None:
        """The model that is to run since this promotion, verified and warm; None where nothing is to change."""
        name = promoted.name
        for number in range(1, _TRIES + 1):
            version = promoted.version
            try:
                version, wanted = self._wanted(promoted)
                if self._settled.get(name) == wanted:
                    return None
                model = open_model(self._repository, name, version, plant=self._pipeline.plant, features=self._features)
            except RepositoryUnavailable as error:
                if number == _TRIES or self._stopped.wait(self._retry_seconds):
                    self._refuse(name, version, error)
                    return None
            except (ModelRefused, UnknownVersion) as error:
                self._settled[name] = wanted
                self._refuse(name, version, error)
                return None
            else:
                self._settled[name] = wanted
                return model
        return None

    def _wanted(self, promoted: ModelPromoted) -> tuple[str, str]:
        """Version to run and identity of its promotion: the registry's last word, if it knows of this promotion."""
        heard = identity(promoted.version, promoted.promoted_at)
        history = self._repository.history(promoted.name)
        if heard in {entry.identity for entry in history}:
            return history[-1].version, history[-1].identity
        return promoted.version, heard

    def _refuse(self, name: str, version: str, error: ModelRefused | UnknownVersion | RepositoryUnavailable) -> None:
        self._metrics.model_fallbacks.labels(name=name, reason=error.refusal).inc()
        running = versions_of(self._pipeline.models).get(name)
        kept = f"{running} goes on running" if running else "no version runs"
        LOGGER.error("model %s: %s was promoted and is refused, %s: %s", name, version, kept, error.message)

    def _use(self, model: ForestModel) -> None:
        """Between two batches, because the event loop calls it and a batch never pauses."""
        former = versions_of(self._pipeline.models).get(model.name)
        self._pipeline.models = with_model(self._pipeline.models, model)
        self._show()
        LOGGER.info("model %s: %s runs from now on in the place of %s", model.name, model.version, former or "none")

    def _show(self) -> None:
        info = self._metrics.model_info
        info.clear()
        for name, version in versions_of(self._pipeline.models).items():
            info.labels(name=name, version=version, feature_fingerprint=self._features).set(1)
        roles: dict[tuple[str, str], ModelRole] = {}
        for name, lineup in self.lineups.items():
            roles |= {(name, model.version): role for role, model in lineup.beside.items()}
        roles |= dict.fromkeys(versions_of(self._pipeline.models).items(), "champion")
        self.tally.show(roles)


def _read(record: Record) -> ModelPromoted | None:
    if record.value is None:
        return None  # a name that was deleted
    try:
        return ModelPromoted.model_validate_json(record.value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the message"
        LOGGER.warning(
            "%s offset %s is no promotion: %s: %s; it is passed over: announce with nexova models promote",
            MODELS,
            record.offset,
            where,
            first["msg"],
        )
        return None


def _nobody_asks(_: str, __: Lineup) -> None:
    """Take no notice."""
