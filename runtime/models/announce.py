"""Announcement of promotions to running workers, on `nexova.models`."""

from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from runtime.errors import BrokerUnavailable, FailureError
from runtime.kafka import list_topics, producer_config
from runtime.models.manifest import Promotion, ShadowEntry
from runtime.models.repository import ModelRepository
from runtime.settings import KafkaSettings
from schemas.models import ModelPromoted
from schemas.topics import CATALOGUE, MODELS

ANSWER_SECONDS: Final = 2.0
DELIVERY_SECONDS: Final = 10.0
_TOPIC: Final = tuple(topic for topic in CATALOGUE if topic.name == MODELS)


class NotAnnounced(FailureError):
    """The broker answered but did not accept the announcement."""


def announce(
    entry: Promotion,
    kafka: KafkaSettings,
    *,
    challenger: ShadowEntry | None = None,
    answer_seconds: float = ANSWER_SECONDS,
) -> None:
    """Send an entry of the registry and its shadow to all workers, and wait for the broker's acknowledgement.

    Raises:
        BrokerUnavailable: no broker answered in time.
        NotAnnounced: the broker has no topic for it, or refused it.
    """
    (topic,) = list_topics(kafka, _TOPIC, timeout_seconds=answer_seconds)
    if topic.problem:
        raise NotAnnounced(topic.problem)
    failures: list[KafkaError] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    message = ModelPromoted(
        name=entry.name,
        version=entry.version,
        promoted_at=entry.at,
        previous=entry.previous,
        reason=entry.reason,
        challenger=challenger and challenger.version,
    )
    producer = Producer(producer_config(kafka) | {"message.timeout.ms": int(DELIVERY_SECONDS * 1000), "linger.ms": 0})
    producer.produce(MODELS, message.encode(), entry.name, on_delivery=report)
    # the producer gives up by itself; one more second allows for its report
    if producer.flush(DELIVERY_SECONDS + 1):
        raise BrokerUnavailable(f"{kafka.bootstrap_servers} did not take a message to {MODELS} in time; try again")
    if failures:
        raise NotAnnounced(f"a message to {MODELS} was refused: {failures[0].str()}; check our user's rights")


def announcement(name: str, repository: ModelRepository, kafka: KafkaSettings) -> str | None:
    """Announce the registry's entry of a model; return the reason in one line if workers were not notified, else None.

    The promotion in the repository holds even if running workers cannot be notified.
    """
    entry = repository.history(name)[-1]
    try:
        announce(entry, kafka, challenger=repository.challenger(name))
    except FailureError as error:
        return (
            f"{entry.name} {entry.version} is promoted in the repository and workers follow at their next start; "
            f"they could not be notified now: {error.message}"
        )
    return None
