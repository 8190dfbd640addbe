"""`nexova tail` on a broker: what a person and what a program get."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from cli.tail.merge import Merger
from runtime.kafka import client_config, create_topics, producer_config
from schemas.alerts import Alert, AlertModel, Signal
from schemas.dead_letters import DeadLetter, Source
from schemas.energy import EnergyWindow
from schemas.recommendations import Recommendation
from schemas.scores import Score
from schemas.topics import ALERTS, DEAD_LETTERS, ENERGY, READINGS, RECOMMENDATIONS, SCORES
from tests.brokers import Broker, running_tansu
from tests.cli.command import PROGRAM, environment, nexova

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = AlertModel(name="anomaly", version="1", level="machine")


def an_alert(machine: str = "press-01", state: str = "opened", *, minute: int = 0, severity: str = "warning") -> Alert:
    at = NOON + timedelta(minutes=minute)
    return Alert.model_validate(
        {
            "alert_id": f"{machine}-{minute}",
            "machine_id": machine,
            "kind": "anomaly",
            "severity": severity,
            "state": state,
            "opened_at": NOON,
            "updated_at": at,
            "resolved_at": at if state == "resolved" else None,
            "peak_score": 0.93,
            "threshold": 0.5,
            "readings": 7,
            "signals": (Signal(sensor="vibration", actual=9.1, expected=4.2, deviation=8.3, contribution=1.0),),
            "summary": f"{machine}: vibration is 9.1 mm/s, above the expected 4.2 mm/s by 8.3 standard deviations.",
            "model": MODEL,
            "confidence": 0.9,
        }
    )


def a_score(machine: str, second: int, score: float = 0.1) -> Score:
    at = NOON + timedelta(seconds=second)
    return Score(machine_id=machine, timestamp=at, anomaly_score=score, is_anomaly=score >= 0.5, risk=0.4)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker with a few messages on each output topic."""
    with running_tansu() as running:
        create_topics(running.kafka)
        producer = Producer(producer_config(running.kafka))

        def send(topic: str, key: str, value: bytes | None, partition: int) -> None:
            producer.produce(topic, value, key, partition)

        # partition by partition, so that only a reader that orders by time gets them in order
        for partition, machine in enumerate(["press-01", "pump-02"]):
            for second in range(partition, 40, 2):
                send(SCORES, machine, a_score(machine, second, 0.97 if second == 20 else 0.1).encode(), partition)
        for number, alert in enumerate(
            [
                an_alert(),
                an_alert("pump-02", minute=1, severity="critical"),
                an_alert(state="resolved", minute=2),
                an_alert("\x1b[31mevil\x07", minute=3),
            ]
        ):
            send(ALERTS, alert.alert_id, alert.encode(), number % 2)
        send(ALERTS, "gone", None, 0)
        send(ALERTS, "odd", b'{"not": "an alert"}', 0)
        advice = Recommendation(
            machine_id="press-01",
            issued_at=NOON,
            risk_level=2.4,
            band="plan",
            urgent=False,
            text="press-01: plan maintenance within three days.",
            model=MODEL,
        )
        send(RECOMMENDATIONS, "press-01", advice.encode(), 0)
        window = EnergyWindow(
            machine_id="press-01",
            start=NOON,
            end=NOON + timedelta(hours=1),
            energy_kwh=71.234,
            mean_power_kw=71.2,
            peak_power_kw=80.0,
            production=420.0,
            readings=60,
            expected_readings=60,
            completeness=1.0,
            revision=1,
        )
        send(ENERGY, window.key, window.encode(), 0)
        letter = DeadLetter.of(
            Source(topic=READINGS, partition=3, offset=17),
            reason="timestamp_invalid",
            detail="timestamp = '12:00': has no zone; send RFC 3339 with zone",
            payload=b'{"machine_id": "press-01", "timestamp": "12:00"}',
            failed_at=NOON,
        )
        send(DEAD_LETTERS, letter.key, letter.encode(), 0)
        assert producer.flush(20) == 0
        yield running


def tail(broker: Broker, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = nexova(
        "tail", *arguments, folder=folder, variables={"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    )
    assert done.returncode == 0, done.stderr
    return done


def test_an_alert_line_names_state_severity_machine_kind_signal_and_says_why(broker: Broker, tmp_path: Path) -> None:
    lines = tail(broker, tmp_path, "alerts").stdout.splitlines()
    for word in ("2026-03-01T12:01:00Z", "opened", "critical", "pump-02", "anomaly", "vibration", "9.1 mm/s"):
        assert word in lines[1]
    assert "over after 2 min" in lines[2]
    starts = {line.index("anomaly") for line in lines[:3]}
    assert len(starts) == 1, "columns are aligned"


def test_alerts_of_all_partitions_come_in_order_of_time(broker: Broker, tmp_path: Path) -> None:
    times = [line.split()[0] for line in tail(broker, tmp_path, "scores").stdout.splitlines()]
    assert len(times) == 40
    assert times == sorted(times)


def test_a_machines_name_cannot_steer_the_terminal(broker: Broker, tmp_path: Path) -> None:
    shown = tail(broker, tmp_path, "alerts").stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "evil" in shown


def test_what_cannot_be_read_is_left_out_and_counted(broker: Broker, tmp_path: Path) -> None:
    done = tail(broker, tmp_path, "alerts")
    assert len(done.stdout.splitlines()) == 4
    assert done.stderr == "nexova: 1 messages of nexova.alerts could not be read and were omitted\n"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("recommendations", ["press-01", "plan", "risk 2.4", "within three days"]),
        ("energy", ["press-01", "71.23 kWh", "mean 71.2 kW", "420 units", "100% complete", "revision 1"]),
        ("dead-letters", ["nexova.readings/3@17", "timestamp_invalid", "has no zone", '"timestamp": "12:00"']),
    ],
)
def test_each_topic_has_lines_of_its_own(broker: Broker, what: str, words: list[str], tmp_path: Path) -> None:
    (line,) = tail(broker, tmp_path, what).stdout.splitlines()
    for word in words:
        assert word in line


@pytest.mark.parametrize(("what", "number"), [("alerts", 2), ("scores", 20), ("dead-letters", 1), ("energy", 1)])
def test_one_machine_can_be_picked(broker: Broker, what: str, number: int, tmp_path: Path) -> None:
    lines = tail(broker, tmp_path, what, "--machine", "press-01").stdout.splitlines()
    assert len(lines) == number
    assert all("press-01" in line for line in lines)


def test_the_limit_is_kept(broker: Broker, tmp_path: Path) -> None:
    assert len(tail(broker, tmp_path, "scores", "--limit", "3").stdout.splitlines()) == 3


def test_json_gives_each_message_as_it_is(broker: Broker, tmp_path: Path) -> None:
    lines = tail(broker, tmp_path, "alerts", "--json", "--machine", "pump-02").stdout.splitlines()
    assert [Alert.model_validate_json(line) for line in lines] == [an_alert("pump-02", minute=1, severity="critical")]
    assert json.loads(lines[0])["schema_version"] == 1


def test_reading_leaves_no_group_behind(broker: Broker, tmp_path: Path) -> None:
    tail(broker, tmp_path, "alerts")
    admin = AdminClient(client_config(broker.kafka))
    assert [group.group_id for group in admin.list_consumer_groups(request_timeout=10).result().valid] == []


def test_a_missing_topic_is_one_line_with_the_remedy(fresh_tansu: Broker, tmp_path: Path) -> None:
    servers = fresh_tansu.bootstrap_servers
    done = nexova("tail", "alerts", folder=tmp_path, variables={"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": servers})
    assert done.returncode == 1
    assert done.stderr == f"nexova: nexova.alerts does not exist at {servers}; run `nexova topics create`\n"


def test_a_reader_that_leaves_is_no_error(broker: Broker, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "tail", "scores", "--follow"],
        cwd=tmp_path,
        env=environment(NEXOVA_KAFKA__BOOTSTRAP_SERVERS=broker.bootstrap_servers),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as out, process.stderr as errors:
        assert "press-01" in out.readline()
        out.close()
        producer = Producer(producer_config(broker.kafka))
        producer.produce(SCORES, a_score("late", 100).encode(), "late", 0)
        producer.flush(10)
        assert process.wait(20) == 0
        assert errors.read() == ""


def test_on_a_terminal_it_follows_in_local_time_until_ctrl_c(broker: Broker, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    variables = {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers, "TZ": "Asia/Tokyo", "TERM": "xterm"}
    process = subprocess.Popen(
        [*PROGRAM, "tail", "recommendations"],
        cwd=tmp_path,
        env=environment(**variables),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        seen = _read_until(ours, "within three days")
        assert "times in JST (UTC+09:00)" in seen
        assert "2026-03-01 21:00:00" in seen
        assert re.search(r"\x1b\[[0-9;]*m", seen), "colours on a terminal"
        assert process.poll() is None, "it waits for more"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until(descriptor: int, words: str, seconds: float = 30.0) -> str:
    seen = ""
    deadline = time.monotonic() + seconds
    while words not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([descriptor], [], [], 0.5)[0]:
            seen += os.read(descriptor, 65_536).decode()
    return seen


def test_the_merger_waits_for_the_slowest_partition_and_keeps_the_order_of_each() -> None:
    # partition 0:  1     4  2      (the 2 came late: it stays behind the 4)
    # partition 1:     3        5
    merger: Merger[int] = Merger(partitions=2)
    merger.add(0, 1, 1)
    merger.add(0, 4, 4)
    assert list(merger.ready()) == []
    merger.add(1, 3, 3)
    assert list(merger.ready()) == [1, 3]
    merger.add(0, 2, 2)
    merger.add(1, 5, 5)
    assert list(merger.ready()) == [4, 2]
    merger.end(0)
    assert list(merger.ready()) == [5]
    assert not merger.done
    merger.end(1)
    assert merger.done
