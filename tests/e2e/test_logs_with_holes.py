"""A log is not dense: transactions leave markers and aborted records in it, retention cuts its beginning off."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.kafka import client_config, create_topics, producer_config
from schemas.topics import READINGS, SCORES
from tests.brokers import Broker, running_apache_kafka
from tests.e2e.workers import ends_of, eventually, publish, read_all, wait_committed, workers

NOW = datetime.now(UTC)
MACHINE = "press-01"
STALL_SECONDS = 4.0


@pytest.fixture
def broker() -> Iterator[Broker]:
    with running_apache_kafka() as broker:
        create_topics(broker.kafka)
        yield broker


def a_reading(number: int) -> bytes:
    at = (NOW - timedelta(seconds=600 - number)).isoformat()
    return json.dumps({"machine_id": MACHINE, "timestamp": at, "power": 50.0}).encode()


def end_of(broker: Broker) -> dict[int, int]:
    """Return the partition of the machine and its end, markers included."""
    return {number: end for number, end in ends_of(broker, READINGS).items() if end}


@pytest.mark.long
@pytest.mark.timeout(150)
def test_markers_and_aborted_readings_are_no_readings_and_no_lag(broker: Broker, tmp_path: Path) -> None:
    with workers(broker, tmp_path, NEXOVA_PROCESSOR__STALL_SECONDS=str(STALL_SECONDS)) as group:
        worker = group.start()
        producer = Producer(producer_config(broker.kafka) | {"transactional.id": "sender"})
        producer.init_transactions(30)
        group.wait_ready()
        for transaction in range(12):
            producer.begin_transaction()
            for number in range(20 * transaction, 20 * (transaction + 1)):
                producer.produce(READINGS, a_reading(number), MACHINE)
            producer.flush(20)
            (producer.abort_transaction if transaction % 3 == 2 else producer.commit_transaction)(20)
        wait_committed(broker, end_of(broker), seconds=60)
        assert worker.metric("nexova_readings_accepted_total") == 8 * 20
        # one that begins and goes quiet holds nothing up: what follows cannot be read, so it is no lag
        producer.begin_transaction()
        producer.produce(READINGS, a_reading(999), MACHINE)
        producer.flush(20)
        until = time.monotonic() + STALL_SECONDS + 2
        eventually(lambda: time.monotonic() > until, seconds=60, what="the limit of a standstill")
        assert worker.health()["status"] == "ok", worker.health()
        assert worker.metric("nexova_consumer_lag_records") == 0
        producer.abort_transaction(20)
        assert "fetching again" not in worker.log.read_text()
    assert len(read_all(broker, SCORES)) == 8 * 20


@pytest.mark.long
@pytest.mark.timeout(150)
def test_readings_deleted_before_they_were_processed_are_reported(broker: Broker, tmp_path: Path) -> None:
    with workers(broker, tmp_path, NEXOVA_PROCESSOR__STALL_SECONDS=str(STALL_SECONDS)) as group:
        worker = group.start()
        group.wait_ready()
        end = publish(broker, [(MACHINE, a_reading(number)) for number in range(10)])
        wait_committed(broker, end, seconds=60)
        worker.process.terminate()
        worker.process.wait(20)
        publish(broker, [(MACHINE, a_reading(number)) for number in range(10, 40)])
        ((partition, last),) = end_of(broker).items()
        admin = AdminClient(client_config(broker.kafka))
        for future in admin.delete_records([TopicPartition(READINGS, partition, last - 5)]).values():
            future.result(20)
        worker = group.start()
        wait_committed(broker, {partition: last}, seconds=90)
        assert worker.metric("nexova_readings_accepted_total") == 5
        assert worker.metric("nexova_records_lost_total") == 25
        line = f"{READINGS}/{partition}: 25 records from offset 10 were deleted before they were processed"
        assert line in worker.log.read_text()
        eventually(lambda: worker.health()["status"] == "ok", seconds=60, what=lambda: str(worker.health()))
