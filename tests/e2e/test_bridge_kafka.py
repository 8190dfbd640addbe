"""Other senders' topics become readings exactly once, though the bridge is killed on the way."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from runtime.kafka import client_config, create_topics
from schemas.dead_letters import DeadLetter
from schemas.topics import DEAD_LETTERS, READINGS
from tests.brokers import Broker
from tests.e2e.suites import OnApacheKafka, OnTansu
from tests.e2e.workers import eventually, publish, read_all
from tests.tiny_plant import tiny_plant

ROOT = Path(__file__).parents[2]
PLANT = tiny_plant("""[[source]]
topic = "scada"
machine_id = "m"
time = "at"
time_format = "s"
[source.sensors]
power = { path = "P", unit = "W" }
[[source]]
topic = "tags"
form = "long"
tag = "path:tag {machine_id}.{sensor}"
time = "at"
time_format = "s"
wait_seconds = 60
""")
START = 1772366400
MACHINES = 20
STEPS = 100


def wide(first: int, last: int) -> Iterator[tuple[str, bytes]]:
    for step in range(first, last):
        for machine in range(MACHINES):
            document = {"m": f"wide-{machine}", "at": START + step, "P": 1000 * (1 + step % 50)}
            # spread by another rule than ours: a machine stands in all partitions
            yield f"{step}", json.dumps(document).encode()


def long(first: int, last: int, *sensors: str) -> Iterator[tuple[str, bytes]]:
    for step in range(first, last):
        for sensor in sensors:
            for machine in range(MACHINES):
                document = {"tag": f"long-{machine}.{sensor}", "at": START + step, "value": 1 + step % 50}
                yield f"long-{machine}", json.dumps(document).encode()


@contextmanager
def bridge(broker: Broker, folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A bridge of its own, ended with SIGTERM unless it is dead by then."""
    plant = folder / "plant.toml"
    plant.write_text(PLANT, encoding="utf-8")
    environment = os.environ | {
        "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "NEXOVA_PLANT_FILE": str(plant),
    }
    with (folder / "bridge.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "nexova", *(command or ("bridge", "kafka"))],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0, (folder / "bridge.log").read_text()[-3000:]


def readings(broker: Broker) -> list[dict[str, Any]]:
    return [json.loads(value or b"") for _, value in read_all(broker, READINGS)]


class ReadExactlyOnce:
    """The story that every broker's suite inherits.

    keeps: whether the broker keeps a text beside a position and ends transactions that nobody completes; the embedded
    one does neither, so a bridge is stopped there, not killed.
    """

    keeps: bool

    @pytest.mark.timeout(280)
    def test_each_record_is_one_reading_though_the_bridge_changes_and_values_wait(
        self, broker: Broker, tmp_path: Path
    ) -> None:
        create_topics(broker.kafka)
        admin = AdminClient(client_config(broker.kafka))
        for made in admin.create_topics([NewTopic(name, 3, 1) for name in ("scada", "tags")]).values():
            made.result()
        # a topic is acknowledged before the broker shows it
        eventually(
            lambda: {"scada", "tags"} <= set(admin.list_topics(timeout=10).topics), seconds=60, what="the new topics"
        )
        with bridge(broker, tmp_path) as first:
            publish(broker, wide(0, 40), topic="scada")
            # the second half of each reading comes when the bridge that read the first is dead
            first_sensors = ("power",) if self.keeps else ("power", "temperature")
            publish(broker, long(0, 1, *first_sensors), topic="tags")
            publish(broker, long(1, 40, "power", "temperature"), topic="tags")
            eventually(
                lambda: first.poll() is not None or len(readings(broker)) >= 40 * MACHINES,
                seconds=100,
                what=lambda: f"readings of the first bridge\n{(tmp_path / 'bridge.log').read_text()[-3000:]}",
            )
            assert first.poll() is None, (tmp_path / "bridge.log").read_text()[-3000:]
            if self.keeps:
                first.kill()
                first.wait(10)
        publish(broker, [("x", b"no json")], topic="scada")
        publish(broker, wide(40, STEPS), topic="scada")
        publish(broker, long(0, 1, *{"power", "temperature"}.difference(first_sensors)), topic="tags")
        publish(broker, long(40, STEPS, "power", "temperature"), topic="tags")
        with bridge(broker, tmp_path):
            eventually(
                lambda: len(readings(broker)) >= 2 * STEPS * MACHINES,
                seconds=100,
                what=lambda: (
                    f"all readings, not {len(readings(broker))}\n{(tmp_path / 'bridge.log').read_text()[-3000:]}"
                ),
            )
        found = readings(broker)
        times = Counter((one["machine_id"], one["timestamp"]) for one in found)
        assert len(times) == 2 * STEPS * MACHINES
        assert set(times.values()) == {1}, "no reading twice"
        assert {tuple(sorted(one)) for one in found if one["machine_id"].startswith("long")} == {
            ("machine_id", "power", "temperature", "timestamp")
        }, "no reading is in two parts"
        letters = [DeadLetter.model_validate_json(value or b"") for _, value in read_all(broker, DEAD_LETTERS)]
        assert [(letter.source.topic, letter.reason) for letter in letters] == [("scada", "not_json")]


class TestOnTansu(OnTansu, ReadExactlyOnce):
    keeps = False


class TestOnApacheKafka(OnApacheKafka, ReadExactlyOnce):
    keeps = True
