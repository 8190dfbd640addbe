"""Follower of promotions: a worker replaces its models between two batches, without a restart.

The registry of the model repository is authoritative, and a message on `nexova.models` announces a change: a worker
that receives one loads what the registry names now. Late, repeated or reordered messages thus lead to the same version
everywhere. A new version has a canary window: see `processor.versions.canary`.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from core.detection.features import feature_fingerprint
from core.plant import Plant
from processor.versions.running import RunningModels
from processor.versions.shadow import ShadowReader, ShadowSet
from runtime.errors import NexovaError
from runtime.metrics import ProcessorMetrics
from runtime.models.inference import SERVED, ForestModel, open_model
from runtime.models.manifest import Promotion, identity
from runtime.models.repository import ModelRefused, ModelRepository, RepositoryUnavailable, UnknownVersion
from runtime.settings import KafkaSettings
from runtime.topic_reader import BEGINNING, Record, follow
from schemas.models import ModelPromoted
from schemas.topics import MODELS

LOGGER: Final = logging.getLogger("nexova.processor.models")
_TRIES: Final = 5
_RETRY_SECONDS: Final = 1.0


class ModelFollower:
    """Reader of `nexova.models` outside the consumer group, which replaces models on the event loop.

    promotions: by name, the entry of the registry that the models running now come from. retry_seconds: between
    two tries to reach a repository that does not answer.
    """

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        repository: ModelRepository,
        plant: Plant,
        running: RunningModels,
        shadows: ShadowReader,
        metrics: ProcessorMetrics,
        promotions: Mapping[str, Promotion],
        retry_seconds: float = _RETRY_SECONDS,
    ) -> None:
        self._kafka = kafka
        self._repository = repository
        self._plant = plant
        self._running = running
        self._shadows = shadows
        self._metrics = metrics
        self._features = feature_fingerprint(plant)
        self._settled = {name: entry.identity for name, entry in promotions.items()}
        self._retry_seconds = retry_seconds
        self._stopped = threading.Event()
        self._problem: str | None = None

    async def follow(self) -> None:
        """Follow until cancelled; raise the error that makes following impossible."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        # a daemon: a worker that crashes must not wait for it
        threading.Thread(target=self._run, args=(loop, ended), name="models", daemon=True).start()
        try:
            await ended
        finally:
            self._stopped.set()

    def _run(self, loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[None]") -> None:
        try:
            for name in SERVED:
                self._update(name, None, loop)
            topics = {MODELS: BEGINNING}
            for _, records in follow(
                self._kafka, topics, stopped=self._stopped.is_set, on_state=self._note, wait=self._stopped.wait
            ):
                for record in records:
                    self._take(record, loop)
        except Exception as error:  # noqa: BLE001  the worker must end with it, whatever it is
            if not self._stopped.is_set():
                loop.call_soon_threadsafe(ended.set_exception, error)

    def _note(self, problem: NexovaError | None) -> None:
        """Log once when promotions cannot be received, and once when they can again."""
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
            # after any error, scoring continues with the running versions
            LOGGER.exception("model %s: %s could not be loaded", promoted.name, promoted.version)
            self._metrics.model_fallbacks.labels(name=promoted.name, reason="damaged").inc()
            return
        self._update(promoted.name, model, loop)

    def _update(self, name: str, model: ForestModel | None, loop: asyncio.AbstractEventLoop) -> None:
        """Use the promoted model, if it changed, and its shadow versions."""
        try:
            shadows = self._shadows.read(name, loaded=self._running.loaded(name))
        except Exception:
            # after any error, scoring continues with the running versions
            LOGGER.exception("model %s: its shadows stay as they are", name)
            shadows = None
        if not self._stopped.is_set():
            loop.call_soon_threadsafe(self._replace, name, model, shadows)

    def _replace(self, name: str, model: ForestModel | None, shadows: ShadowSet | None) -> None:
        """Replace a model between two batches: it runs on the event loop, and a batch takes its models once."""
        if model is not None:
            self._running.use(model)
        if shadows is not None:
            self._running.use_shadows(name, shadows)

    def prepare(self, promoted: ModelPromoted) -> ForestModel | None:
        """Return the promoted model, verified and warmed up; None if nothing changes."""
        name = promoted.name
        for number in range(1, _TRIES + 1):
            version = promoted.version
            try:
                version, wanted = self._wanted(promoted)
                if self._settled.get(name) == wanted:
                    return None
                model = open_model(self._repository, name, version, plant=self._plant, features=self._features)
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
        """Return the version to run and the identity of its promotion, the registry's newest if it has this one."""
        heard = identity(promoted.version, promoted.promoted_at)
        history = self._repository.history(promoted.name)
        if heard in {entry.identity for entry in history}:
            return history[-1].version, history[-1].identity
        return promoted.version, heard

    def _refuse(self, name: str, version: str, error: ModelRefused | UnknownVersion | RepositoryUnavailable) -> None:
        self._metrics.model_fallbacks.labels(name=name, reason=error.refusal).inc()
        running = self._running.versions.get(name)
        kept = f"{running} continues to run" if running else "no version runs"
        LOGGER.error("model %s: %s was promoted and is refused, %s: %s", name, version, kept, error.message)


def _read(record: Record) -> ModelPromoted | None:
    if record.value is None:
        return None  # a name that was deleted
    try:
        return ModelPromoted.model_validate_json(record.value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the message"
        LOGGER.warning(
            "%s offset %s is no promotion: %s: %s; it is ignored: announce with nexova models promote",
            MODELS,
            record.offset,
            where,
            first["msg"],
        )
        return None
