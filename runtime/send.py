"""Sending of a few messages with acknowledgement."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Delivered

from runtime.errors import BrokerUnavailable, FailureError
from runtime.kafka import list_topics, producer_config
from runtime.settings import KafkaSettings
from schemas.message import Message

_DELIVERY_SECONDS: Final = 30.0


def demand_topic(kafka: KafkaSettings, name: str) -> None:
    """Check that a topic of the catalogue exists with its partitions.

    Raises:
        BrokerUnavailable: no broker answered in time.
        FailureError: the topic does not exist or is wrong.
    """
    for topic in list_topics(kafka):
        if topic.name == name and topic.problem:
            raise FailureError(topic.problem)


def send_all(kafka: KafkaSettings, topic: str, messages: Iterable[tuple[str, Message]]) -> None:
    """Send keys with their messages to a topic, and wait until the broker has acknowledged all of them.

    Raises:
        BrokerUnavailable: the broker did not acknowledge them in time.
        FailureError: the broker refused one.
    """
    failures: list[str] = []

    def report(error: KafkaError | None, _: Delivered) -> None:
        if error is not None:
            failures.append(error.str())

    producer = Producer(producer_config(kafka))
    for key, message in messages:
        producer.produce(topic, message.encode(), key, on_delivery=report)
        producer.poll(0)
    left = producer.flush(_DELIVERY_SECONDS)
    if failures:
        raise FailureError(f"a message to {topic} was refused: {failures[0]}; check our user's rights")
    if left:
        raise BrokerUnavailable(f"{kafka.bootstrap_servers} did not take {left} messages in time; try again")
