"""Both brokers of the tests behind one face: Tansu, always, and a real Apache Kafka 4.x.

The real one is, first found first used: NEXOVA_TEST_KAFKA=host:port (its nexova topics are deleted!), Java 17 with
Maven, Docker. NEXOVA_TEST_KAFKA=docker takes Docker at once. Without any, its tests are skipped, and with
NEXOVA_TEST_DEMAND_ALL=1 they fail.
"""

import fcntl
import gc
import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import docker
import docker.errors
import pytest
from confluent_kafka.admin import AdminClient
from testcontainers.core.container import DockerContainer

from runtime import apache_kafka as kafka_runner
from runtime.apache_kafka import BRIEF_LIFE
from runtime.children import free_port
from runtime.embedded import EmbeddedBroker, embedded_broker
from runtime.errors import ToolMissing
from runtime.kafka import client_config, wait_for_broker
from runtime.settings import KafkaSettings, Settings, load_settings

GIVEN = "NEXOVA_TEST_KAFKA"
DEMAND_ALL = "NEXOVA_TEST_DEMAND_ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A running broker: where it is, what it is, and settings that point at it."""

    kind: Literal["tansu", "apache"]
    bootstrap_servers: str
    pid: int | None = None  # None: not a process of ours

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=self.bootstrap_servers)

    def settings(self, *, kafka: Mapping[str, Any] | None = None, **overrides: Any) -> Settings:
        """Settings for this broker: defaults and `overrides`, nothing from an .env file."""
        here = {"bootstrap_servers": self.bootstrap_servers} | dict(kafka or {})
        return load_settings(_env_file=None, kafka=here, **overrides)


def unique(name: str) -> str:
    """A topic or group name that no other test has."""
    return f"{name}-{uuid.uuid4().hex[:12]}"


def unavailable(reason: str) -> NoReturn:
    """Skip this test; where every test must run (`.ci/run` sets NEXOVA_TEST_DEMAND_ALL=1), fail it."""
    if os.environ.get(DEMAND_ALL) == "1":
        pytest.fail(f"{reason} ({DEMAND_ALL}=1: this is a failure)")
    pytest.skip(reason)


@contextmanager
def running_tansu(*, port: int | None = None) -> Iterator[Broker]:
    """A Tansu of one's own, up in a blink; on a free port, where none is given."""
    with embedded_broker(port) as broker:
        yield _ours("tansu", broker)


@contextmanager
def running_apache_kafka(
    *, properties: Mapping[str, str] | None = None, shared: bool = False, java_options: Sequence[str] = BRIEF_LIFE
) -> Iterator[Broker]:
    """A real Kafka of one's own, up in about 3 s.

    One that is given (see above) is lent to one user at a time and emptied before, unless it is to be `shared`.
    """
    given = os.environ.get(GIVEN)
    if given == "docker":
        if not _docker_answers():
            unavailable(f"{GIVEN}=docker, and Docker does not answer")
        with _in_docker(properties or {}) as broker:
            yield broker
        return
    if given and shared:
        yield Broker(kind="apache", bootstrap_servers=given)
        return
    if given:
        with _lent(given) as broker:
            yield broker
        return
    reason = why_java_cannot()
    if reason is None:
        with kafka_runner.apache_kafka(properties=properties, heap="512m", java_options=java_options) as broker:
            yield _ours("apache", broker)
    elif _docker_answers():
        with _in_docker(properties or {}) as broker:
            yield broker
    else:
        unavailable(f"no real Kafka: {GIVEN} is not set, Docker does not answer, and {reason}")


def _ours(kind: Literal["tansu", "apache"], broker: EmbeddedBroker) -> Broker:
    return Broker(kind=kind, bootstrap_servers=broker.bootstrap_servers, pid=broker.pid)


def why_java_cannot() -> str | None:
    """What this machine lacks to run Apache Kafka with Java; None when nothing."""
    try:
        kafka_runner.java_program()
        kafka_runner.fetch_libraries()
    except ToolMissing as error:
        return error.message
    return None


def _docker_answers() -> bool:
    with warnings.catch_warnings():
        # docker's client leaves its socket open where nobody answers
        warnings.simplefilter("ignore", ResourceWarning)
        answers = _ping_docker()
        gc.collect()
    return answers


def _ping_docker() -> bool:
    try:
        client = docker.from_env(timeout=3)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except docker.errors.DockerException:
        return False
    finally:
        client.close()


@contextmanager
def _in_docker(properties: Mapping[str, str]) -> Iterator[Broker]:
    """The same configuration as the Java runner's, in Apache's own image."""
    port = free_port()
    settings = (
        kafka_runner.PROPERTIES
        | {
            "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.quorum.voters": "1@127.0.0.1:9093",
        }
        | dict(properties)
    )
    container = DockerContainer(f"apache/kafka:{kafka_runner.VERSION}").with_bind_ports(9092, port)
    for name, value in settings.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    with container:
        broker = Broker(kind="apache", bootstrap_servers=f"127.0.0.1:{port}")
        wait_for_broker(broker.kafka, max_retries=30)
        yield broker


@contextmanager
def _lent(address: str) -> Iterator[Broker]:
    """Lend the given broker to one test process at a time, without the topics of the tests before."""
    broker = Broker(kind="apache", bootstrap_servers=address)
    with (Path(tempfile.gettempdir()) / "nexova-test-kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wait_for_broker(broker.kafka, max_retries=2)
        admin = AdminClient(client_config(broker.kafka))
        ours = [name for name in admin.list_topics(timeout=10).topics if name.startswith("nexova")]
        for deleted in admin.delete_topics(ours, operation_timeout=30).values() if ours else ():
            deleted.result()
        yield broker
