"""Topics changed by somebody else while a worker runs: noticed, said with the remedy, and right after a restart."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from runtime.kafka import client_config, create_topics, list_topics
from schemas.topics import CATALOGUE, READINGS
from tests.brokers import Broker, running_apache_kafka
from tests.e2e.workers import Worker, eventually, publish, wait_committed, workers

NOW = datetime.now(UTC)
FAST = {"NEXOVA_PROCESSOR__STALL_SECONDS": "15"}
"""Topics are looked at five times in this."""


def a_reading(second: int) -> tuple[str, bytes]:
    at = (NOW - timedelta(seconds=3600 - second)).isoformat()
    return "press-01", json.dumps({"machine_id": "press-01", "timestamp": at, "power": 50.0}).encode()


def wait_for_the_end(worker: Worker, words: str) -> None:
    eventually(lambda: worker.process.poll() is not None, seconds=60, what=lambda: worker.log.read_text()[-2000:])
    last = worker.log.read_text().splitlines()[-1]
    assert worker.process.returncode == 1
    assert "the worker ended: " in last
    assert words in last


def delete_and_create_anew(broker: Broker, topic: str) -> None:
    admin = AdminClient(client_config(broker.kafka))
    admin.delete_topics([topic])[topic].result(20)
    eventually(
        lambda: not list_topics(broker.kafka, [one for one in CATALOGUE if one.name == topic])[0].partitions,
        seconds=60,
        what="no topic",
    )
    create_topics(broker.kafka)


@pytest.mark.long
@pytest.mark.timeout(280)
def test_readings_with_more_partitions_or_created_anew_end_the_worker_with_the_remedy(tmp_path: Path) -> None:
    with running_apache_kafka() as broker:
        create_topics(broker.kafka)
        with workers(broker, tmp_path, **FAST) as group:
            worker = group.start()
            wait_committed(broker, publish(broker, map(a_reading, range(40))), seconds=90)
            delete_and_create_anew(broker, READINGS)
            wait_for_the_end(worker, f"{READINGS} was deleted and recreated while the worker ran; start the worker")
            # fewer than before: by their offsets alone they would pass for replayed ones
            end = publish(broker, map(a_reading, range(40, 60)))
            worker = group.start()
            wait_committed(broker, end, seconds=90)
            assert worker.metric("nexova_readings_accepted_total") == 20
            assert worker.metric("nexova_readings_replayed_total") == 0
            assert "was deleted and recreated since its state was saved" in worker.log.read_text()
            admin = AdminClient(client_config(broker.kafka))
            admin.create_partitions([NewPartitions(READINGS, 12)])[READINGS].result(20)
            wait_for_the_end(worker, f"{READINGS} has 12 partitions, not 8; set NEXOVA_KAFKA__PARTITIONS")
