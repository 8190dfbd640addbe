from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from runtime.apache_kafka import VERSION
from runtime.kafka import client_config
from runtime.settings import KafkaSettings
from tests.deploy.compose_kafka import kafka_service, running_compose_kafka


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    with running_compose_kafka(tmp_path_factory.mktemp("kafka")) as settings:
        yield settings


def test_the_image_is_of_the_version_that_the_tests_run() -> None:
    assert kafka_service()["image"] == f"apache/kafka:{VERSION}"


@pytest.mark.long
def test_the_environment_starts_a_broker_that_programs_of_this_machine_reach(broker: KafkaSettings) -> None:
    found = AdminClient(client_config(broker)).list_topics(timeout=20)

    (node,) = found.brokers.values()
    assert f"{node.host}:{node.port}" == broker.bootstrap_servers


@pytest.mark.long
def test_topics_of_the_catalogues_size_can_be_made_and_others_do_not_spring_up(broker: KafkaSettings) -> None:
    admin = AdminClient(client_config(broker))
    topic = NewTopic("nexova.large", 8, 1, config={"max.message.bytes": str(8 * 1024 * 1024)})

    admin.create_topics([topic])["nexova.large"].result(timeout=20)

    assert "nexova.misspelt" not in admin.list_topics(timeout=20).topics
    resource = ConfigResource(ResourceType.BROKER, "1")
    (described,) = admin.describe_configs([resource]).values()
    assert described.result(timeout=20)["auto.create.topics.enable"].value == "false"
    with pytest.raises(KafkaException, match="REPLICATION_FACTOR"):
        admin.create_topics([NewTopic("nexova.three", 1, 3)])["nexova.three"].result(timeout=20)


def test_the_health_check_asks_a_listener_that_the_broker_has() -> None:
    kafka = kafka_service()
    address = kafka["healthcheck"]["test"][-1]

    assert address.removeprefix("localhost") in kafka["environment"]["KAFKA_LISTENERS"]
    assert Path(kafka["healthcheck"]["test"][1]).name == "kafka-broker-api-versions.sh"
