"""MQTT → Mosquitto → bridge → Kafka → score → alert, each of them killed once: nothing lost, nothing twice."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from runtime.kafka import create_topics, wait_for_broker
from runtime.sources.sparkplug import Payload
from schemas.alerts import Alert
from schemas.topics import ALERTS, DEAD_LETTERS, READINGS, SCORES
from tests.brokers import Broker, running_apache_kafka, running_tansu
from tests.e2e.mosquitto import Mosquitto, mosquitto
from tests.e2e.workers import eventually, read_all, workers
from tests.runtime.sources.sparkplug_payloads import a_payload
from tests.tiny_plant import tiny_plant

ROOT = Path(__file__).parents[2]
PLANT = tiny_plant(
    """critical_high = 120
[[source]]
mqtt = "plant/+/telemetry"
machine_id = "topic:plant/{machine_id}/telemetry"
time = "at"
time_format = "s"
[source.sensors]
power = { path = "P", unit = "W" }
temperature = "T"
[[source]]
mqtt = "tags/#"
form = "long"
tag = "topic:tags/{machine_id}/{sensor}"
time = "at"
time_format = "s"
wait_seconds = 1
[[source]]
mqtt = "spBv1.0/+/+/+/+"
format = "sparkplug"
""",
    interval_seconds=1,
)
START = 1772366400


@contextmanager
def bridge(broker: Broker, mqtt: Mosquitto, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    plant = folder / "plant.toml"
    plant.write_text(PLANT, encoding="utf-8")
    environment = os.environ | {
        "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "NEXOVA_PLANT_FILE": str(plant),
        "NEXOVA_MQTT__PORT": str(mqtt.port),
        "PYTHONFAULTHANDLER": "1",
    }
    log_file = folder / "bridge.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "nexova", "bridge", "mqtt"],
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
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGABRT)  # the log then says where it hangs
                    process.wait(10)
                    raise AssertionError(f"the bridge does not stop\n{log_file.read_text()[-3000:]}") from None


@contextmanager
def a_device(mqtt: Mosquitto) -> Iterator[Callable[..., None]]:
    """A sender that keeps what its broker has not taken; gives the function that sends and waits for that."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="device", clean_session=False)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", mqtt.port)
    client.loop_start()

    def send(*messages: tuple[str, Any]) -> None:
        sent = [
            client.publish(topic, body if isinstance(body, bytes) else json.dumps(body), qos=1)
            for topic, body in messages
        ]
        for one in sent:
            one.wait_for_publish(60)

    try:
        yield send
    finally:
        client.disconnect()
        client.loop_stop()


def telemetry(first: int, last: int, *, temperature: float = 60.0) -> list[tuple[str, Any]]:
    return [
        (f"plant/press-{machine}/telemetry", {"at": START + second, "P": 40_000 + second, "T": temperature})
        for second in range(first, last)
        for machine in (1, 2)
    ]


def times_of(broker: Broker, topic: str) -> Counter[tuple[str, str]]:
    found = [json.loads(value or b"") for _, value in read_all(broker, topic)]
    return Counter((one["machine_id"], one["timestamp"]) for one in found)


def expected(last: int) -> set[tuple[str, str]]:
    shown = [datetime.fromtimestamp(START + second, UTC).isoformat().replace("+00:00", "Z") for second in range(last)]
    return {(f"press-{machine}", at) for at in shown for machine in (1, 2)}


def restart(broker: Broker) -> subprocess.Popen[bytes]:
    """Kills a Kafka of ours and starts it anew with what it had on disk."""
    process = Path(f"/proc/{broker.pid}")
    command = process.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    folder = process.joinpath("cwd").resolve()
    os.kill(broker.pid or 0, signal.SIGKILL)
    again = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_broker(broker.kafka, max_retries=30)
    return again


@pytest.mark.long
@pytest.mark.timeout(290)
def test_each_is_killed_once_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    with (
        running_apache_kafka() as broker,
        mosquitto(tmp_path / "mosquitto") as mqtt,
        workers(broker, tmp_path, NEXOVA_PLANT_FILE=str(tmp_path / "plant.toml")) as group,
        a_device(mqtt) as send,
    ):
        if broker.pid is None:
            pytest.skip("a Kafka that is not ours is not killed")
        create_topics(broker.kafka)
        log = tmp_path / "bridge.log"

        def arrived(last: int) -> None:
            eventually(
                lambda: len(times_of(broker, READINGS)) >= 2 * last,
                seconds=100,
                what=lambda: f"{2 * last} readings, not {len(times_of(broker, READINGS))}\n{log.read_text()[-3000:]}",
            )

        with bridge(broker, mqtt, tmp_path) as first:
            group.start()
            eventually(lambda: "session new" in log.read_text(), seconds=60, what=lambda: log.read_text()[-3000:])
            send(*telemetry(0, 50))
            arrived(20)
            first.kill()
            first.wait(10)
        send(*telemetry(50, 100))
        mqtt.save()
        mqtt.kill()
        mqtt.start()
        again = None
        try:
            with bridge(broker, mqtt, tmp_path) as second:
                arrived(100)
                group.wait_ready(seconds=100)
                again = restart(broker)
                send(*telemetry(100, 150))
                arrived(150)
                group.started[0].kill()
                group.start()
                send(*telemetry(150, 160, temperature=150.0))
                arrived(160)
                eventually(
                    lambda: (
                        {machine for machine, _ in times_of(broker, SCORES)} == {"press-1", "press-2"}
                        and len(times_of(broker, SCORES)) >= 320
                    ),
                    seconds=100,
                    what=lambda: f"scores\n{group.logs()}",
                )
                assert second.poll() is None, log.read_text()[-3000:]
            readings = times_of(broker, READINGS)
            assert set(readings) == expected(160), "nothing is lost"
            assert set(readings.values()) == {1}, "nothing is there twice"
            alerts = [Alert.model_validate_json(value or b"") for _, value in read_all(broker, ALERTS)]
            limits = {(alert.machine_id, alert.alert_id) for alert in alerts if alert.kind == "limit"}
            assert sorted(machine for machine, _ in limits) == ["press-1", "press-2"], "one alert each"
        finally:
            if again is not None:
                again.kill()
                again.wait(10)


def test_tags_in_topics_and_sparkplug_become_readings_and_what_is_wrong_a_dead_letter(tmp_path: Path) -> None:
    with running_tansu() as broker, mosquitto(tmp_path / "mosquitto") as mqtt, a_device(mqtt) as send:
        create_topics(broker.kafka)
        log = tmp_path / "bridge.log"
        with bridge(broker, mqtt, tmp_path) as process:
            eventually(lambda: "session new" in log.read_text(), seconds=60, what=lambda: log.read_text()[-3000:])
            send(
                ("tags/pump-1/power", {"at": START, "value": 40}),
                ("tags/pump-1/temperature", {"at": START, "value": 60}),
                ("tags/pump-2/power", {"at": START, "value": 41}),
                ("plant/press-1/telemetry", b"\xff"),
                (
                    "spBv1.0/g/DBIRTH/n/pump-3",
                    a_payload(START * 1000, {"name": "power", "alias": 7, "datatype": 10, "double_value": 42.0}),
                ),
                ("spBv1.0/g/DDATA/n/pump-3", a_payload(START * 1000 + 1000, {"alias": 7, "double_value": 43.0})),
            )
            eventually(
                lambda: len(read_all(broker, READINGS)) >= 4 and bool(read_all(broker, DEAD_LETTERS)),
                seconds=60,
                what=lambda: f"{read_all(broker, READINGS)}\n{log.read_text()[-3000:]}",
            )
            assert process.poll() is None
        found = [json.loads(value or b"") for _, value in read_all(broker, READINGS)]
        assert sorted((one["machine_id"], one.get("power"), one.get("temperature")) for one in found if one) == [
            ("pump-1", 40.0, 60.0),
            ("pump-2", 41.0, None),
            ("pump-3", 42.0, None),
            ("pump-3", 43.0, None),
        ]
        (letter,) = [json.loads(value or b"") for _, value in read_all(broker, DEAD_LETTERS)]
        assert (letter["source"]["topic"], letter["reason"]) == ("mqtt:plant/press-1/telemetry", "not_json")


def test_a_device_whose_birth_was_missed_is_asked_to_be_born_again(tmp_path: Path) -> None:
    asked: list[tuple[str, bytes]] = []
    with running_tansu() as broker, mosquitto(tmp_path / "mosquitto") as mqtt, a_device(mqtt) as send:
        create_topics(broker.kafka)
        node = Client(CallbackAPIVersion.VERSION2, client_id="node")
        node.on_message = lambda _client, _data, message: asked.append((message.topic, bytes(message.payload)))
        node.connect("127.0.0.1", mqtt.port)
        node.subscribe("spBv1.0/g/NCMD/n")
        node.loop_start()
        log = tmp_path / "bridge.log"
        try:
            with bridge(broker, mqtt, tmp_path):
                eventually(lambda: "session new" in log.read_text(), seconds=60, what=lambda: log.read_text()[-3000:])
                send(("spBv1.0/g/DDATA/n/pump-3", a_payload(START * 1000, {"alias": 7, "double_value": 43.0})))
                eventually(lambda: bool(asked), seconds=60, what=lambda: log.read_text()[-3000:])
        finally:
            node.disconnect()
            node.loop_stop()
        (metric,) = Payload.FromString(asked[0][1]).metrics
        assert (asked[0][0], metric.name, metric.boolean_value) == ("spBv1.0/g/NCMD/n", "Node Control/Rebirth", True)
