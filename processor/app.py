"""The processor's composition root: a worker built from settings."""

import logging
import platform
from typing import Final

from core.detection.features import feature_fingerprint
from core.precompile import precompile
from processor.changelog import MACHINES, SERIES, changelog_of, create_changelogs
from processor.topic_watch import check_topics
from processor.worker import Worker
from runtime.clock import SYSTEM_CLOCK
from runtime.granted import demand_rights
from runtime.kafka import list_topics, wait_for_broker
from runtime.metrics import ProcessorMetrics, process_registry
from runtime.models.inference import load_models
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from runtime.release import release
from runtime.settings import Settings

LOGGER: Final = logging.getLogger("nexova.processor")


def create_worker(settings: Settings) -> Worker:
    """Return a worker that is ready to run: topics checked, models loaded, rules compiled.

    Raises:
        BrokerUnavailable: no broker answered.
        BrokerRefused: our user lacks a right.
        FailureError: a topic is missing or has a wrong number of partitions.
        UsageError: the plant file cannot be used.
    """
    wait_for_broker(settings.kafka, max_retries=settings.max_retries, on_retry=_log_retry)
    topics = list_topics(settings.kafka)
    check_topics(topics)
    create_changelogs(settings.kafka)
    demand_rights(
        settings.kafka, "processor", state=[changelog_of(settings.kafka, table) for table in (MACHINES, SERIES)]
    )
    plant = load_plant(settings.plant_file)
    repository = ModelRepository.of(settings)
    loaded = load_models(repository, plant=plant, features=feature_fingerprint(plant))
    for problem in loaded.problems:
        LOGGER.warning("%s", problem)
    LOGGER.info("preparing the rules; on the first start they are compiled, which takes half a minute of CPU time")
    precompile(plant, loaded.models)
    metrics = ProcessorMetrics(process_registry())
    for name, reason in loaded.refused:
        metrics.model_fallbacks.labels(name=name, reason=reason).inc()
    metrics.build.labels(version=release(), python=platform.python_version()).set(1)
    return Worker(
        settings,
        plant=plant,
        repository=repository,
        loaded=loaded,
        metrics=metrics,
        topics=topics,
        clock=SYSTEM_CLOCK,
    )


def _log_retry(number: int, reason: str) -> None:
    LOGGER.warning("no broker answers (%s); try %d", reason, number)
