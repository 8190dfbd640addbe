"""Comparison of what the brokers allow our user with what a process needs."""

from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin._acl import AclOperation

from runtime.errors import BrokerRefused
from runtime.kafka import admin_client
from runtime.rights import RIGHTS
from runtime.settings import KafkaSettings

_ANSWER_SECONDS: Final = 10.0
_DENIED: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


def missing_rights(
    kafka: KafkaSettings,
    process: str,
    *,
    state: Iterable[str] = (),
    seconds: float = _ANSWER_SECONDS,
) -> list[tuple[str, str]]:
    """Return each topic on which our user lacks a right of this process, with what it may not do there.

    state: changelogs that the process owns. Topics that do not exist, and brokers that report no rights, are left out.
    Groups and transactional ids are not asked about: their refusals are told when they are used.
    """
    needed: dict[str, set[AclOperation]] = {}
    for topic in RIGHTS[process].reads:
        needed.setdefault(topic, set()).add(AclOperation.READ)
    for topic in RIGHTS[process].writes:
        needed.setdefault(topic, set()).add(AclOperation.WRITE)
    needed |= {topic: {AclOperation.READ, AclOperation.WRITE} for topic in state}
    admin = admin_client(kafka)  # referenced until its futures are done
    answers: Any = admin.describe_topics(
        TopicCollection(sorted(needed)), include_authorized_operations=True, request_timeout=seconds
    )
    missing = []
    for topic, answer in answers.items():
        try:
            allowed = answer.result().authorized_operations
        except KafkaException as error:
            if error.args[0].code() in _DENIED:
                missing.append((topic, "describe, " + _words(needed[topic])))
            continue
        if allowed is not None and (lacking := needed[topic] - set(allowed)):
            missing.append((topic, _words(lacking)))
    return missing


def demand_rights(kafka: KafkaSettings, process: str, *, state: Iterable[str] = ()) -> None:
    """Check the rights of a process on its topics before it begins.

    Raises:
        BrokerRefused: names the first missing one, the remedy, and the number of others.
    """
    missing = missing_rights(kafka, process, state=state)
    if missing:
        topic, words = missing[0]
        others = f" (and {len(missing) - 1} more: see `nexova doctor --for {process}`)" if len(missing) > 1 else ""
        raise BrokerRefused(f"{user_of(kafka)} may not {words} {topic}; {remedy(process)}{others}")


def remedy(process: str) -> str:
    """Return what to do about missing rights of a process."""
    return f"grant the rights that `nexova topics acl {process}` prints"


def denied(process: str, what: str) -> BrokerRefused:
    """Return the error of a right that a process lacks; what: such as "may not read nexova.readings"."""
    return BrokerRefused(f"our user {what}; {remedy(process)}")


def user_of(kafka: KafkaSettings) -> str:
    """Return how a message calls our user."""
    return f"user {kafka.sasl_username!r}" if kafka.sasl_username else "our user"


def _words(operations: Iterable[AclOperation]) -> str:
    return " and ".join(sorted(operation.name.lower() for operation in operations))
