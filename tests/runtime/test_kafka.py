import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from runtime.apache_kafka import BRIEF_LIFE, apache_kafka
from runtime.children import free_port
from runtime.embedded import embedded_broker
from runtime.errors import BrokerRefused, BrokerUnavailable, SettingsError
from runtime.kafka import (
    client_config,
    consumer_config,
    create_topics,
    list_topics,
    partitions_of,
    producer_config,
    topic_config,
    wait_for_broker,
)
from runtime.settings import KafkaSettings
from schemas.topics import ALERTS, CATALOGUE, FEEDBACK, MODELS, READINGS
from tests.brokers import Broker, unavailable, unique, why_java_cannot

BY_NAME = {topic.name: topic for topic in CATALOGUE}


def test_without_a_broker_one_line_names_address_tries_reason_and_remedy() -> None:
    kafka = nobody()
    retries: list[tuple[int, str]] = []
    with pytest.raises(BrokerUnavailable) as caught:
        wait_for_broker(
            kafka, max_retries=2, try_seconds=0.3, on_retry=lambda number, reason: retries.append((number, reason))
        )
    message = str(caught.value)
    assert kafka.bootstrap_servers in message
    assert "3 tries" in message
    assert "Connection refused" in message
    assert "NEXOVA_KAFKA__BOOTSTRAP_SERVERS" in message
    assert "\n" not in message
    assert retries == [(1, "Connection refused"), (2, "Connection refused")]
    assert (caught.value.exit_code, caught.value.retryable) == (1, True)


def test_without_retries_one_try_is_made() -> None:
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="in 1 try"):
        wait_for_broker(nobody(), max_retries=0, try_seconds=0.3)
    assert time.monotonic() - started < 2.0


def test_a_name_that_does_not_resolve_is_the_reason_given() -> None:
    with pytest.raises(BrokerUnavailable, match="Failed to resolve"):
        wait_for_broker(KafkaSettings(bootstrap_servers="nowhere.invalid:9092"), max_retries=0, try_seconds=0.5)


def test_something_that_is_not_kafka_is_no_broker() -> None:
    with a_mute_server() as port, pytest.raises(BrokerUnavailable):
        wait_for_broker(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"), max_retries=0, try_seconds=0.5)


def test_a_broker_that_comes_up_late_is_waited_for() -> None:
    port = free_port()
    tries: list[int] = []
    with ExitStack() as stack:

        def start_it_on_the_second_retry(number: int, _: str) -> None:
            tries.append(number)
            if number == 2:
                stack.enter_context(embedded_broker(port))

        late = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}")
        wait_for_broker(late, max_retries=20, try_seconds=0.5, on_retry=start_it_on_the_second_retry)
    assert tries == [1, 2]


def test_librdkafka_says_nothing_on_stderr_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BrokerUnavailable):
        wait_for_broker(nobody(), max_retries=1, try_seconds=0.3)
    with pytest.raises(BrokerUnavailable):
        list_topics(nobody(), timeout_seconds=0.3)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_losing_all_brokers_is_a_warning_in_our_log(caplog: pytest.LogCaptureFixture) -> None:
    admin = AdminClient(client_config(nobody()))
    deadline = time.monotonic() + 10.0
    while not caplog.records and time.monotonic() < deadline:
        admin.poll(0.2)
    assert {(record.name, record.levelname) for record in caplog.records} == {("nexova.kafka", "WARNING")}
    assert "brokers are down" in caplog.text


def test_topics_that_cannot_be_reached_are_an_unavailable_broker() -> None:
    for action in (create_topics, list_topics):
        with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answered at 127\.0\.0\.1"):
            action(nobody(), timeout_seconds=0.3)


def test_a_topic_that_is_not_there_is_reported_with_its_remedy(broker: Broker) -> None:
    (state,) = list_topics(broker.kafka, [replace(BY_NAME[READINGS], name=unique("absent"))])
    assert state.partitions == 0
    assert state.problem is not None
    assert "nexova topics create" in state.problem


def test_more_copies_than_brokers_are_refused_with_the_setting_to_change(apache_kafka: Broker) -> None:
    kafka = apache_kafka.settings(kafka={"replication_factor": 3}).kafka
    with pytest.raises(BrokerRefused, match="NEXOVA_KAFKA__REPLICATION_FACTOR=3"):
        create_topics(kafka, [replace(BY_NAME[READINGS], name=unique("copies"))])


def test_source_topics_have_the_set_partitions_and_broadcasts_have_one() -> None:
    kafka = KafkaSettings(partitions=12)
    assert partitions_of(kafka, BY_NAME[READINGS]) == partitions_of(kafka, BY_NAME[FEEDBACK]) == 12
    assert partitions_of(kafka, BY_NAME[MODELS]) == 1


def test_policies_become_the_brokers_configuration() -> None:
    kafka = KafkaSettings()
    assert topic_config(kafka, BY_NAME[ALERTS])["cleanup.policy"] == "compact,delete"
    assert topic_config(kafka, BY_NAME[ALERTS])["retention.ms"] == str(90 * 24 * 3_600_000)
    assert topic_config(kafka, BY_NAME[FEEDBACK])["retention.ms"] == "-1"
    assert "retention.ms" not in topic_config(kafka, BY_NAME[MODELS])
    assert "min.insync.replicas" not in topic_config(kafka, BY_NAME[ALERTS])


def test_with_three_copies_a_write_needs_two() -> None:
    config = topic_config(KafkaSettings(replication_factor=3), BY_NAME[READINGS])
    assert config["min.insync.replicas"] == "2"


def test_every_configuration_is_one_that_librdkafka_knows() -> None:
    kafka = KafkaSettings()
    Producer(producer_config(kafka)).purge()
    Consumer(consumer_config(kafka)).close()
    AdminClient(client_config(kafka))


def test_a_certificate_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    kafka = KafkaSettings(security_protocol="SSL", ssl_ca_file=missing)
    with pytest.raises(SettingsError) as caught:
        wait_for_broker(kafka, max_retries=0)
    assert str(caught.value) == (
        f"NEXOVA_KAFKA__SSL_CA_FILE={missing} cannot be read (No such file or directory); set it to a PEM file"
    )


def test_a_certificate_that_is_none_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    kafka = KafkaSettings(security_protocol="SSL", ssl_ca_file=tmp_path / "ca.pem")
    with pytest.raises(SettingsError, match="no Kafka client can be made") as caught:
        wait_for_broker(kafka, max_retries=0)
    assert "\n" not in str(caught.value)


def test_a_topic_created_anew_has_another_identity(broker: Broker) -> None:
    wanted = [replace(BY_NAME[READINGS], name=unique("anew"))]
    (first,) = create_topics(broker.kafka, wanted)
    admin = AdminClient(client_config(broker.kafka))  # kept: its answers end with it
    admin.delete_topics([first.name])[first.name].result(10)
    while list_topics(broker.kafka, wanted)[0].partitions:
        pass
    (second,) = create_topics(broker.kafka, wanted)
    assert first.topic_id
    assert second.topic_id not in {None, first.topic_id}


def test_readers_without_a_group_never_share_one() -> None:
    kafka = KafkaSettings()
    assert consumer_config(kafka)["group.id"] != consumer_config(kafka)["group.id"]
    assert consumer_config(kafka, "mine")["group.id"] == "mine"


class TestWithPasswords:
    """A real Kafka that wants a name and a password."""

    @pytest.fixture(scope="class")
    @classmethod
    def address(cls) -> Iterator[str]:
        reason = why_java_cannot()
        if reason is not None:
            unavailable(reason)
        plain, secure, controller = free_port(), free_port(), free_port()
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        properties = {
            "listeners": f"PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{secure}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config": f'{login} user_nexova="right" user_guest="right";',
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:nexova",
        }
        with apache_kafka(plain, properties=properties, heap="512m", java_options=BRIEF_LIFE):
            yield f"127.0.0.1:{secure}"

    def test_the_right_password_opens_the_door(self, address: str) -> None:
        kafka = with_password(address, "right")
        wait_for_broker(kafka, max_retries=2)
        assert all(topic.partitions == 0 for topic in list_topics(kafka))

    def test_a_missing_right_is_not_taken_for_a_missing_topic(self, address: str) -> None:
        (topic,) = wanted = [replace(BY_NAME[READINGS], name=unique("guarded"))]
        create_topics(with_password(address, "right"), wanted)
        (state,) = list_topics(with_password(address, "right", user="guest"), wanted)
        assert (state.denied, state.partitions) == (True, 0)
        assert state.problem is not None
        assert state.problem.startswith(f"our user may not describe {topic.name}; grant it")
        (state,) = create_topics(with_password(address, "right", user="guest"), wanted)
        assert (state.denied, state.created) == (True, False)

    def test_a_wrong_password_is_refused_at_once_and_not_shown(self, address: str) -> None:
        retries: list[int] = []
        with pytest.raises(BrokerRefused, match="refused user 'nexova'") as caught:
            wait_for_broker(
                with_password(address, "hush"),
                max_retries=50,
                try_seconds=1.0,
                on_retry=lambda number, _: retries.append(number),
            )
        assert "NEXOVA_KAFKA__SASL_PASSWORD" in str(caught.value)
        assert "hush" not in str(caught.value)
        assert len(retries) <= 2


def nobody() -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")


def with_password(address: str, password: str, *, user: str = "nexova") -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=address,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username=user,
        sasl_password=SecretStr(password),
    )


@contextmanager
def a_mute_server() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]
