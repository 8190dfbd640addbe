"""Errors of consumers as ours, with what to do about them."""

from typing import Final

from confluent_kafka import KafkaError

from runtime.errors import BrokerRefused, BrokerUnavailable, FailureError, TopicMissing
from runtime.kafka import readers_of
from runtime.settings import KafkaSettings

# the client's own error codes are public in all but name
DOWN: Final = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT})  # noqa: SLF001
LEADERLESS: Final = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
MISSING: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}  # noqa: SLF001
)
REFUSED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._AUTHENTICATION,  # noqa: SLF001
    }
)


def reading_error(error: KafkaError, topic: str, kafka: KafkaSettings) -> FailureError:
    """Return the error of a consumer without a group that cannot read a topic."""
    servers = kafka.bootstrap_servers
    if error.code() in MISSING:
        return TopicMissing([topic], servers)
    if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
        return BrokerRefused(
            f"{servers} refused to show {topic} to a reader of our user, whose name begins with {readers_of(kafka)} "
            f"({error.str()}); grant what `nexova topics acl` prints"
        )
    if error.code() in REFUSED:
        return BrokerRefused(
            f"{servers} refused to show {topic} ({error.str()}); grant our user what `nexova topics acl` prints"
        )
    if error.code() in DOWN | LEADERLESS or error.retriable():
        return BrokerUnavailable(f"Kafka does not answer at {servers} ({error.str()}); check it with `nexova doctor`")
    return FailureError(f"{topic} cannot be read from {servers} ({error.str()}); see `nexova doctor`")
