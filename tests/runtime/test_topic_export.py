import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from runtime.errors import UsageError
from runtime.kafka import create_topics, producer_config
from runtime.topic_export import export_topic
from schemas.topics import ALERTS, READINGS
from tests.brokers import Broker, running_tansu
from tests.forwarder.alerts import an_alert, publish


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with running_tansu() as running:
        create_topics(running.kafka)
        yield running


def rows(folder: Path, topic: str) -> list[dict[str, Any]]:
    files = sorted((folder / topic).glob("*.parquet"))
    found: list[dict[str, Any]] = [row for file in files for row in pq.read_table(file).to_pylist()]
    return found


def test_every_message_is_a_row_with_its_place_and_its_nested_values(broker: Broker, tmp_path: Path) -> None:
    publish(broker, [an_alert("a"), an_alert("b"), an_alert("a", state="resolved", minute=5)])

    done = export_topic(broker.kafka, ALERTS, str(tmp_path))

    found = rows(tmp_path, ALERTS)
    assert (done.rows, done.unreadable, len(found)) == (3, 0, 3)
    assert {row["machine_id"] for row in found} == {"a", "b"}
    assert found[0]["opened_at"] == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found[0]["signals"][0]["sensor"] == "vibration"
    assert {row["kafka_key"] for row in found} == {"a-anomaly-1", "b-anomaly-1"}
    assert not list(tmp_path.rglob("*.unfinished"))


def test_arrays_of_readings_are_a_row_each_and_what_is_no_object_is_counted(broker: Broker, tmp_path: Path) -> None:
    producer = Producer(producer_config(broker.kafka))
    readings = [
        {"machine_id": "m", "timestamp": f"2026-03-01T12:00:0{second}Z", "power": second} for second in range(3)
    ]
    for value in (json.dumps(readings).encode(), b"no json", b"7"):
        producer.produce(READINGS, value, "m")
    assert producer.flush(30) == 0

    done = export_topic(broker.kafka, READINGS, str(tmp_path))

    assert (done.rows, done.unreadable) == (3, 2)
    assert [row["power"] for row in rows(tmp_path, READINGS)] == [0, 1, 2]


def test_an_address_of_no_known_kind_is_the_users_mistake(broker: Broker) -> None:
    with pytest.raises(UsageError, match="give a folder"):
        export_topic(broker.kafka, ALERTS, "nosuch://place")
