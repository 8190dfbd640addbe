"""Readings that another partitioner has placed: the worker says so, and which setting of the sender mends it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import Producer

from core.partitioning import crc32_partition, murmur2_partition
from runtime.kafka import create_topics
from schemas.topics import READINGS
from tests.brokers import Broker
from tests.e2e.workers import eventually, workers

NAMES: Final = [f"pump-{number}" for number in range(70, 99)]


@pytest.mark.long
@pytest.mark.timeout(180)
def test_machines_that_librdkafka_places_by_default_are_noticed(fresh_broker: Broker, tmp_path: Path) -> None:
    create_topics(fresh_broker.kafka)
    partitions = fresh_broker.kafka.partitions
    expected = sum(crc32_partition(name, partitions) != murmur2_partition(name, partitions) for name in NAMES)
    assert expected
    with workers(fresh_broker, tmp_path) as group:
        worker = group.start()
        group.wait_ready(seconds=90)
        producer = Producer({"bootstrap.servers": fresh_broker.kafka.bootstrap_servers})
        now = datetime.now(UTC).isoformat()
        for name in NAMES:
            reading = {"machine_id": name, "timestamp": now, "power": 50.0}
            producer.produce(READINGS, json.dumps(reading), name)
        assert producer.flush(30) == 0
        eventually(
            lambda: worker.metric("nexova_machines_misplaced") == expected,
            seconds=90,
            what=f"{expected} machines that are misplaced",
        )
        assert sum(worker.health()["misplaced_machines"].values()) == expected
    assert "set partitioner=murmur2_random there" in worker.log.read_text(errors="replace")
