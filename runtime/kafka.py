"""Kafka clients of all processes: configuration, waiting for a broker, and creation of topics.

Faust has its own client (aiokafka); everything else uses librdkafka, configured here only. librdkafka's output on
stderr is disabled, and its errors go to our logger.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from runtime.errors import BrokerRefused, BrokerUnavailable, SettingsError, TopicMissing
from runtime.settings import KafkaSettings
from schemas.topics import CATALOGUE, Topic

LOGGER: Final = logging.getLogger("nexova.kafka")
TRY_SECONDS: Final = 2.0
_CRITICAL: Final = 2  # librdkafka uses syslog's levels
_DEBUG: Final = 7
# the client's own error codes are public in all but name
_ALL_BROKERS_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_AUTHENTICATION: Final = KafkaError._AUTHENTICATION  # noqa: SLF001
_UNANSWERED: Final = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT})  # noqa: SLF001
_NOT_THERE: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE})
_DENIED: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
_MILLISECONDS_PER_HOUR: Final = 3_600_000
_THREE_COPIES: Final = 3


def client_config(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the common configuration of all librdkafka clients: addresses, security, logs.

    Raises:
        SettingsError: a file that a setting names cannot be read.
    """
    for name in ("ssl_ca_file", "ssl_certificate_file", "ssl_key_file"):
        _check_file(f"NEXOVA_KAFKA__{name.upper()}", getattr(kafka, name))
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": kafka.client_id,
        "security.protocol": kafka.security_protocol,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 2_000,
        "logger": LOGGER,
        "log_level": _DEBUG if LOGGER.isEnabledFor(logging.DEBUG) else _CRITICAL,
        "error_cb": _log_client_error,
    }
    optional = {
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password and kafka.sasl_password.get_secret_value(),
        "ssl.ca.location": kafka.ssl_ca_file and str(kafka.ssl_ca_file),
        "ssl.certificate.location": kafka.ssl_certificate_file and str(kafka.ssl_certificate_file),
        "ssl.key.location": kafka.ssl_key_file and str(kafka.ssl_key_file),
        "ssl.key.password": kafka.ssl_key_password and kafka.ssl_key_password.get_secret_value(),
    }
    return config | {name: value for name, value in optional.items() if value is not None}


def producer_config(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the configuration of an idempotent producer: ordered, without duplicates, acknowledged by all replicas.

    Keys are partitioned by murmur2, as in Faust's and Java's clients, so that all senders use the same partition for a
    machine. A full queue (a million messages or 512 MiB) raises BufferError in `produce`; poll and try again.
    """
    return client_config(kafka) | {
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 10,
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 524_288,
        "message.max.bytes": kafka.max_message_bytes,
    }


def consumer_config(kafka: KafkaSettings, group: str | None = None) -> dict[str, Any]:
    """Return the configuration of a consumer that starts at the beginning and commits explicitly only.

    Without a `group` it gets a unique one, for following a topic independently.
    """
    return client_config(kafka) | {
        "group.id": group or f"{readers_of(kafka)}{uuid.uuid4().hex}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "fetch.error.backoff.ms": 100,
    }


def readers_of(kafka: KafkaSettings) -> str:
    """Return the prefix of the unique groups of consumers that follow a topic independently."""
    return f"{kafka.client_id}-reader-"


def wait_for_broker(
    kafka: KafkaSettings,
    *,
    max_retries: int,
    try_seconds: float = TRY_SECONDS,
    on_retry: Callable[[int, str], None] | None = None,
) -> None:
    """Wait until a broker answers; `on_retry(number, reason)` is called before each further attempt.

    Raises:
        BrokerUnavailable: no answer in `max_retries` + 1 attempts of `try_seconds` each.
        BrokerRefused: a broker does not accept the credentials, or TLS fails; retries would not help.
        SettingsError: the client does not accept its configuration.
    """
    failures: list[KafkaError] = []
    admin = admin_client(kafka, {"error_cb": failures.append, "reconnect.backoff.max.ms": 500})
    reason = "no answer"
    for number in range(max_retries + 1):
        if number and on_retry is not None:
            on_retry(number, reason)
        try:
            admin.list_topics(timeout=try_seconds)
        except KafkaException as error:
            admin.poll(0)  # serves the callback of errors
            reason = _reason(failures, fallback=error)
            if "certificate" in reason:
                raise BrokerRefused(
                    f"no TLS connection to {kafka.bootstrap_servers} ({reason}); {_tls_remedy(kafka, reason)}"
                ) from None
            if any(failure.code() == _AUTHENTICATION for failure in failures):
                raise BrokerRefused(
                    f"{kafka.bootstrap_servers} refused user {kafka.sasl_username!r} ({reason}); "
                    "check NEXOVA_KAFKA__SASL_USERNAME, NEXOVA_KAFKA__SASL_PASSWORD and NEXOVA_KAFKA__SASL_MECHANISM"
                ) from None
        else:
            return
    tries = f"{max_retries + 1} tries" if max_retries else "1 try"
    raise BrokerUnavailable(
        f"no Kafka broker answered at {kafka.bootstrap_servers} in {tries} ({reason}); "
        "start one, set NEXOVA_KAFKA__BOOTSTRAP_SERVERS to where it is or NEXOVA_KAFKA__SECURITY_PROTOCOL to what it "
        "speaks, or raise MAX_RETRIES"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """State of one topic of the catalogue at the broker; `partitions` is 0 if it does not exist.

    topic_id: the broker's identity of the topic, which changes when it is recreated; None if it does not exist. denied:
    its existence is unknown, because the user has no right to describe it.
    """

    name: str
    partitions: int
    wanted_partitions: int
    created: bool = False
    topic_id: str | None = None
    denied: bool = False

    @property
    def problem(self) -> str | None:
        """Problem and remedy in one line; None without a problem."""
        if self.denied:
            return f"our user may not describe {self.name}; grant it the rights that `nexova topics acl` prints"
        if self.partitions == 0:
            return f"{self.name} does not exist; run `nexova topics create`"
        if self.partitions != self.wanted_partitions:
            return (
                f"{self.name} has {self.partitions} partitions, not {self.wanted_partitions}; set "
                f"NEXOVA_KAFKA__PARTITIONS to what the topics have, or delete and recreate the topic"
            )
        return None


def create_topics(
    kafka: KafkaSettings, catalogue: Iterable[Topic] = CATALOGUE, *, timeout_seconds: float = 30.0
) -> tuple[TopicState, ...]:
    """Create missing topics, and return the state of all; existing ones are never changed.

    Raises:
        BrokerUnavailable: no broker answered in time.
        BrokerRefused: the broker did not accept a topic (rights, replication factor, its policy).
    """
    topics = tuple(catalogue)
    wanted = {topic.name: partitions_of(kafka, topic) for topic in topics}
    admin = admin_client(kafka)
    deadline = time.monotonic() + timeout_seconds
    states = _describe(admin, kafka, wanted, timeout_seconds)
    missing = [topic for topic, state in zip(topics, states, strict=True) if not (state.partitions or state.denied)]
    if missing:
        futures = admin.create_topics(
            [_new_topic(kafka, topic) for topic in missing], operation_timeout=timeout_seconds
        )
        for name, future in futures.items():
            _await_creation(kafka, name, future)
        states = _describe(admin, kafka, wanted, timeout_seconds)
    # a topic is acknowledged before all brokers know it; a producer that starts at once would be refused
    while any(not (state.partitions or state.denied) for state in states) and time.monotonic() < deadline:
        states = _describe(admin, kafka, wanted, max(1.0, deadline - time.monotonic()))
    created = {topic.name for topic in missing}
    return tuple(replace(state, created=state.name in created) for state in states)


def list_topics(
    kafka: KafkaSettings, catalogue: Iterable[Topic] = CATALOGUE, *, timeout_seconds: float = 10.0
) -> tuple[TopicState, ...]:
    """Return the state of each topic of the catalogue.

    Raises:
        BrokerUnavailable: no broker answered in time.
    """
    wanted = {topic.name: partitions_of(kafka, topic) for topic in catalogue}
    return _describe(admin_client(kafka), kafka, wanted, timeout_seconds)


def topic_ids(kafka: KafkaSettings, names: Iterable[str], *, timeout_seconds: float = 10.0) -> dict[str, str]:
    """Return the broker's identity of each topic, which changes when a topic is recreated.

    Raises:
        TopicMissing: a topic does not exist.
        BrokerRefused: our user has no right to describe a topic.
        BrokerUnavailable: no broker answered in time.
    """
    # any number of partitions will do
    states = _describe(admin_client(kafka), kafka, dict.fromkeys(names, 0), timeout_seconds)
    for state in states:
        if state.denied:
            raise BrokerRefused(f"{state.name} may not be described; check our user's rights on the topic")
    missing = [state.name for state in states if state.topic_id is None]
    if missing:
        raise TopicMissing(missing, kafka.bootstrap_servers)
    return {state.name: state.topic_id for state in states if state.topic_id is not None}


def admin_client(kafka: KafkaSettings, changes: Mapping[str, Any] | None = None) -> AdminClient:
    """Return a client for administrative requests.

    Raises:
        SettingsError: librdkafka does not accept the configuration, a certificate for example.
    """
    try:
        return AdminClient(client_config(kafka) | dict(changes or {}))
    except KafkaException as error:
        reason = error.args[0].str() if isinstance(error.args[0], KafkaError) else str(error.args[0])
        raise SettingsError(
            f"no Kafka client can be made from the settings ({reason.strip()}); check NEXOVA_KAFKA__SSL_… and "
            "NEXOVA_KAFKA__SASL_…"
        ) from None


def partitions_of(kafka: KafkaSettings, topic: Topic) -> int:
    """Return the number of partitions that a topic must have."""
    return 1 if topic.partitions == "one" else kafka.partitions


def topic_config(kafka: KafkaSettings, topic: Topic) -> dict[str, str]:
    """Return the broker-side configuration of a topic of the catalogue."""
    config = {"cleanup.policy": topic.cleanup, "max.message.bytes": str(topic.max_message_bytes)}
    if "delete" in topic.cleanup:
        hours = topic.retention_hours
        config["retention.ms"] = "-1" if hours is None else str(hours * _MILLISECONDS_PER_HOUR)
    if kafka.replication_factor >= _THREE_COPIES:
        # with acks=all, a write is safe when one broker is lost, and possible while one is away
        config["min.insync.replicas"] = str(kafka.replication_factor - 1)
    return config


def _new_topic(kafka: KafkaSettings, topic: Topic) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=partitions_of(kafka, topic),
        replication_factor=kafka.replication_factor,
        config=topic_config(kafka, topic),
    )


def headers_of(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    """Return the headers of a client's message; the client's types allow more than it gives."""
    given: Any = message.headers()
    return tuple(given) if given else ()


def _await_creation(kafka: KafkaSettings, name: str, future: Any) -> None:
    try:
        future.result()
    except KafkaException as error:
        failure: KafkaError = error.args[0]
        if failure.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return  # another process was quicker
        if failure.retriable() or failure.code() in _UNANSWERED:
            raise BrokerUnavailable(
                f"{kafka.bootstrap_servers} did not create {name} in time ({failure.str()}); try again"
            ) from None
        raise BrokerRefused(
            f"{kafka.bootstrap_servers} refused to create {name} ({failure.str()}); check our user's rights "
            f"and NEXOVA_KAFKA__REPLICATION_FACTOR={kafka.replication_factor}"
        ) from None


def _describe(
    admin: AdminClient, kafka: KafkaSettings, wanted: Mapping[str, int], timeout_seconds: float
) -> tuple[TopicState, ...]:
    """Return the state of each topic. wanted: number of partitions that each must have, by topic."""
    answers = admin.describe_topics(TopicCollection(list(wanted)), request_timeout=timeout_seconds)
    return tuple(
        _state(kafka, TopicState(name=name, partitions=0, wanted_partitions=partitions), answers[name], timeout_seconds)
        for name, partitions in wanted.items()
    )


def _state(kafka: KafkaSettings, state: TopicState, answer: Any, timeout_seconds: float) -> TopicState:
    """Return `state`, of a topic that does not exist, completed with the broker's answer."""
    try:
        found = answer.result()
    except KafkaException as error:
        failure: KafkaError = error.args[0]
        if failure.code() in _NOT_THERE:
            return state
        if failure.code() in _DENIED:
            return replace(state, denied=True)
        raise BrokerUnavailable(
            f"no Kafka broker answered at {kafka.bootstrap_servers} within {timeout_seconds:g} s "
            f"({failure.str()}); start one, or set NEXOVA_KAFKA__BOOTSTRAP_SERVERS to where it is"
        ) from None
    return replace(state, partitions=len(found.partitions), topic_id=str(found.topic_id))


def _check_file(setting: str, path: Path | None) -> None:
    try:
        if path is not None:
            path.open("rb").close()
    except OSError as error:
        raise SettingsError(f"{setting}={path} cannot be read ({error.strerror}); set it to a PEM file") from None


def _reason(failures: list[KafkaError], *, fallback: KafkaException) -> str:
    """Return the reason in `host:port/bootstrap: Connect to … failed: Connection refused (after 0ms …)`."""
    details = [one for one in failures if one.code() != _ALL_BROKERS_DOWN]
    if not details:
        return str(fallback.args[0].str())
    text = str(details[-1].str()).partition("bootstrap: ")[2] or str(details[-1].str())
    text = re.sub(r" \(after \d+ms in state .*\)$", "", text)
    text = text.partition(" verify that ssl.ca.location")[0].rstrip(",")  # librdkafka's setting, not ours
    return re.sub(r"^Connect to \S+ failed: |error:\w+:SSL routines::", "", text)


def _tls_remedy(kafka: KafkaSettings, reason: str) -> str:
    """Return which settings to check for a refused certificate."""
    if "alert" not in reason:
        return "check NEXOVA_KAFKA__SSL_CA_FILE, and that the broker's certificate is valid and has its address"
    if kafka.ssl_certificate_file is None:
        return "the broker demands a certificate: set NEXOVA_KAFKA__SSL_CERTIFICATE_FILE and NEXOVA_KAFKA__SSL_KEY_FILE"
    return (
        f"the broker refuses NEXOVA_KAFKA__SSL_CERTIFICATE_FILE={kafka.ssl_certificate_file}: check its end and issuer"
    )


def _log_client_error(error: KafkaError) -> None:
    """Log a lost connection to all brokers or a refusal as a warning; librdkafka recovers from other errors."""
    loud = error.fatal() or error.code() in {_ALL_BROKERS_DOWN, _AUTHENTICATION}
    LOGGER.log(logging.WARNING if loud else logging.DEBUG, "Kafka client: %s", error.str())
