"""`nexova produce` and `nexova data` as a user runs them: processes of their own, with a broker and without."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runtime.kafka import create_topics
from schemas.topics import READINGS
from tests.brokers import Broker
from tests.cli.command import PROGRAM, environment, nexova
from tests.e2e.workers import ends_of, eventually, read_all

NOBODY = {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "MAX_RETRIES": "1"}


def at(broker: Broker) -> dict[str, str]:
    return {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers, "NEXOVA_KAFKA__PARTITIONS": "1"}


def with_topics(broker: Broker) -> None:
    """The topics, with one partition each: reading them to their end takes a second a partition."""
    create_topics(broker.kafka.model_copy(update={"partitions": 1}))


def readings_of(broker: Broker) -> list[dict[str, object]]:
    return [json.loads(value or b"") for _, value in read_all(broker, READINGS)]


def arrived(broker: Broker) -> int:
    """How many readings the broker has, or a few less; unlike `read_all`, it does not wait for the end of a stream."""
    return sum(ends_of(broker, READINGS).values())


def test_history_live_readings_and_faults_are_sent_and_the_truth_is_written(
    fresh_tansu: Broker, tmp_path: Path
) -> None:
    with_topics(fresh_tansu)
    began = time.time()
    arguments = ("--machines", "4", "--rate", "40", "--days", "0.05", "--duration", "5", "--fault-every", "1")
    done = nexova(
        "produce", "simulate", *arguments, "--truth", "truth.jsonl", folder=tmp_path, variables=at(fresh_tansu)
    )
    assert (done.returncode, done.stderr) == (0, "")
    readings = readings_of(fresh_tansu)
    assert done.stdout == f"{len(readings)} messages delivered, 0 failed\n"
    assert len(readings) == pytest.approx(0.05 * 1440 * 4 + 5 * 40, abs=16)
    assert {str(reading["machine_id"]) for reading in readings} == {"press-01", "pump-01", "compressor-01", "press-02"}
    truth = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert len(truth) >= 2
    for fault in truth:
        assert began < fault["start"] < fault["end"] <= time.time()
        assert fault["sensors"]


def test_a_simulation_without_end_stops_cleanly_when_it_is_told_to(fresh_tansu: Broker, tmp_path: Path) -> None:
    with_topics(fresh_tansu)
    command = [*PROGRAM, "produce", "simulate", "--rate", "100"]
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(**at(fresh_tansu)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: arrived(fresh_tansu) > 20, seconds=60, what="readings")
        child.send_signal(signal.SIGTERM)
        out, errors = child.communicate(timeout=20)
    finally:
        child.kill()
        child.wait()
    sent = len(read_all(fresh_tansu, READINGS))
    assert (child.returncode, out, errors) == (0, f"{sent} messages delivered, 0 failed\n", "")


def test_recordings_are_replayed_at_their_own_pace_merged_in_order_of_time(fresh_tansu: Broker, tmp_path: Path) -> None:
    with_topics(fresh_tansu)
    for name, offset in (("a", 0), ("b", 1)):
        rows = [f"{name},2026-03-01T12:00:{second:02d}Z,{second}" for second in range(offset, 20, 2)]
        (tmp_path / f"{name}.csv").write_text("machine_id,timestamp,power\n" + "\n".join(rows) + "\n")
    began = time.monotonic()
    done = nexova("produce", "replay", "b.csv", "a.csv", "--speed", "20", folder=tmp_path, variables=at(fresh_tansu))
    assert (done.returncode, done.stdout) == (0, "20 messages delivered, 0 failed\n")
    assert time.monotonic() - began > 19 / 20
    powers = {name: [row["power"] for row in readings_of(fresh_tansu) if row["machine_id"] == name] for name in "ab"}
    assert powers == {"a": list(range(0, 20, 2)), "b": list(range(1, 20, 2))}


def test_nothing_is_sent_when_one_of_several_files_is_bad(fresh_tansu: Broker, tmp_path: Path) -> None:
    with_topics(fresh_tansu)
    (tmp_path / "good.csv").write_text("machine_id,timestamp,power\na,2026-03-01T12:00:00Z,1\n")
    (tmp_path / "bad.csv").write_text("machine_id,timestamp,power\na,2026-03-01T12:00:00Z,one\n")
    done = nexova("produce", "replay", "good.csv", "bad.csv", folder=tmp_path, variables=at(fresh_tansu))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "nexova: bad.csv, line 2, power: 'one' is no finite number; correct it or leave it empty"
    )
    assert read_all(fresh_tansu, READINGS) == []


def test_without_a_broker_it_ends_after_the_retries_with_one_clear_line(tmp_path: Path) -> None:
    done = nexova("produce", "simulate", folder=tmp_path, variables=NOBODY)
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("nexova: no Kafka broker answered at 127.0.0.1:1 in 2 tries")


def test_without_topics_it_says_how_to_make_them(fresh_tansu: Broker, tmp_path: Path) -> None:
    done = nexova("produce", "simulate", "--duration", "1", folder=tmp_path, variables=at(fresh_tansu))
    assert done.returncode == 1
    assert done.stderr == "nexova: nexova.readings does not exist; run `nexova topics create`\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate", "--speed", "fast"), "--speed fast: must be a number above 0, or max"),
        (("simulate", "--speed", "0"), "--speed 0: must be a number above 0"),
        (("simulate", "--plant", "skab"), "plant 'skab' cannot be simulated"),
        (("simulate", "--plant", "none.toml"), "none.toml: does not exist; give a TOML file or one of the shipped"),
        (("replay", "none.csv"), "none.csv: there is no such file"),
    ],
)
def test_mistakes_are_said_before_a_broker_is_looked_for(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = nexova("produce", *arguments, folder=tmp_path, variables=NOBODY)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_data_is_generated_and_summed_up(tmp_path: Path) -> None:
    done = nexova("data", "generate", "--out", "made", "--days", "10", "--machines", "2", "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    files = json.loads(done.stdout)
    assert [file["rows"] for file in files[:3]] == [8 * 288 * 2, 288 * 2, 288 * 2]
    for file in files:
        lines = (tmp_path / "made" / file["file"]).read_text().splitlines()
        assert len(lines) == file["rows"] + 1
    again = nexova("data", "generate", "--out", "made", folder=tmp_path)
    assert again.returncode == 2
    assert "add --overwrite" in again.stderr


def test_data_that_cannot_be_written_is_a_failure_with_one_line(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        target = tmp_path / "data"
    else:
        target = Path("/proc/nowhere/data")  # not even root can write there
    done = nexova("data", "generate", "--out", str(target), "--days", "3", folder=Path.cwd())
    assert done.returncode == 1
    assert "cannot be created" in done.stderr
    assert len(done.stderr.splitlines()) == 1
