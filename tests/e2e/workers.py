"""Workers, readings and topics for tests that run the real thing."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from prometheus_client.parser import text_string_to_metric_families

from runtime.children import free_port
from runtime.kafka import consumer_config, producer_config
from runtime.settings import KafkaSettings
from runtime.topic_reader import read_to_end
from schemas.topics import READINGS
from tests.brokers import Broker

_REPOSITORY = Path(__file__).parents[2]


def eventually(condition: Callable[[], bool], *, seconds: float, what: str | Callable[[], str]) -> None:
    """Waits until `condition` holds; the error says `what` did not come about, as it stands then."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.1)


@dataclass
class Worker:
    """A `nexova process` of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except OSError:
            return {}

    def metrics_page(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    def labels(self, name: str) -> list[dict[str, str]]:
        """The labels of each series of a gauge that is not 0."""
        families = text_string_to_metric_families(self.metrics_page())
        return [s.labels for family in families if family.name == name for s in family.samples if s.value]

    def metric(self, name: str) -> float:
        lines = self.metrics_page().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@dataclass
class Workers:
    """Starts workers against one broker, and ends them all."""

    broker: Broker
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[Worker] = field(default_factory=list)

    def start(self) -> Worker:
        port = free_port()
        log = self.folder / f"worker-{len(self.started)}.log"
        environment = os.environ | {
            "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "NEXOVA_PROCESSOR__WEB_PORT": str(port),
            "MODEL_PATH": str(self.folder / "models"),
            **self.environment,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "nexova", "process"],
                cwd=_REPOSITORY,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        worker = Worker(process=process, port=port, log=log)
        self.started.append(worker)
        return worker

    def wait_ready(self, *, seconds: float = 60) -> None:
        """Waits until the living workers have all partitions between them."""
        alive = [worker for worker in self.started if worker.process.poll() is None]
        eventually(
            lambda: bool(alive) and all(worker.health().get("ready") for worker in alive),
            seconds=seconds,
            what=lambda: f"all workers ready\n{self.logs()}",
        )

    def logs(self) -> str:
        """The last words of every worker that was started, and how they are."""
        texts = [
            f"--- {worker.log.stem}: {worker.process.poll()} {worker.health()}\n{worker.log.read_text()[-3000:]}"
            for worker in self.started
        ]
        return "\n".join(texts)


@contextmanager
def workers(broker: Broker, folder: Path, **environment: str) -> Iterator[Workers]:
    group = Workers(broker=broker, folder=folder, environment=environment)
    asked = []
    try:
        yield group
    finally:
        asked = [worker for worker in group.started if worker.process.poll() is None]
        for worker in asked:
            worker.process.terminate()
        for worker in asked:
            try:
                worker.process.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
    for worker in asked:
        ended = worker.process.returncode
        # one that has not got as far as Faust's own handling of signals just ends
        assert ended in {0, -signal.SIGTERM}, (
            f"a worker that was asked to stop ended with {ended}:\n{worker.log.read_text()[-3000:]}"
        )


def publish(broker: Broker, messages: Iterable[tuple[str, bytes | None]], *, topic: str = READINGS) -> dict[int, int]:
    """Sends (key, value) messages to a topic; returns the end of each partition as acknowledged."""
    producer = Producer(producer_config(broker.kafka))
    acknowledged: dict[int, int] = {}
    failures: list[str] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(error.str())
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        acknowledged[partition] = max(acknowledged.get(partition, 0), offset + 1)

    for key, value in messages:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=report)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0
    assert not failures, failures[:3]
    return acknowledged


def read_all(broker: Broker, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    """All (key, value) records of a topic, partition by partition in order of offsets."""
    found = [record for records, _ in read_to_end(broker.kafka, topic) for record in records]
    return [(record.key, record.value) for record in sorted(found, key=lambda one: (one.partition, one.offset))]


def ends_of(broker: Broker, topic: str) -> dict[int, int]:
    """Return the end of each partition of a topic, transaction markers included; it waits for no record."""
    consumer = Consumer(consumer_config(broker.kafka))
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return {n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in partitions}
    finally:
        consumer.close()


def committed(group: Consumer, kafka: KafkaSettings) -> dict[int, int]:
    """The committed offset of each partition of readings that the consumer's group has one for."""
    wanted = [TopicPartition(READINGS, partition) for partition in range(kafka.partitions)]
    try:
        found = group.committed(wanted, timeout=5)
    except KafkaException:
        return {}  # a young group has no coordinator yet
    return {tp.partition: tp.offset for tp in found if tp.offset >= 0}


def wait_committed(broker: Broker, end: dict[int, int], *, seconds: float) -> None:
    """Waits until everything before `end` is processed and committed."""
    # a consumer that never joins: of an admin client, librdkafka crashes on a coordinator that is not ready
    group = Consumer(consumer_config(broker.kafka, broker.kafka.group))

    def done() -> bool:
        offsets = committed(group, broker.kafka)
        return all(offsets.get(partition, 0) >= offset for partition, offset in end.items())

    try:
        eventually(done, seconds=seconds, what=f"commits at the end {end}")
    finally:
        group.close()
