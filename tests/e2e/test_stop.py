"""A worker that is asked to stop ends in time, whatever the broker does; and two workers find ports of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.children import free_port
from runtime.kafka import create_topics
from tests.brokers import Broker, running_apache_kafka, running_tansu
from tests.e2e.test_broker_away import readings
from tests.e2e.workers import eventually, publish, wait_committed, workers

STOP_SECONDS = 10.0


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_sigterm_ends_a_worker_in_time_although_its_broker_is_gone(what: signal.Signals, tmp_path: Path) -> None:
    with running_apache_kafka() as broker:
        if broker.pid is None:
            pytest.skip("this broker is no process of ours")
        create_topics(broker.kafka)
        with workers(broker, tmp_path) as group:
            worker = group.start()
            group.wait_ready(seconds=100)
            wait_committed(broker, publish(broker, readings(0, 10)), seconds=60)
            # what is not saved yet must not hold the end up either
            publish(broker, readings(10, 200))
            os.kill(broker.pid, what)
            asked_at = time.monotonic()
            worker.process.terminate()
            try:
                code = worker.process.wait(60)
            finally:
                if what == signal.SIGSTOP:
                    os.kill(broker.pid, signal.SIGCONT)
            assert time.monotonic() - asked_at < STOP_SECONDS, worker.log.read_text()[-3000:]
            assert code == 0, worker.log.read_text()[-3000:]


@pytest.mark.timeout(150)
def test_a_second_worker_on_a_host_finds_a_port_by_itself(tmp_path: Path) -> None:
    with running_tansu() as broker:
        create_topics(broker.kafka)
        logs = [tmp_path / "first.log", tmp_path / "second.log"]
        with logs[0].open("wb") as one, logs[1].open("wb") as other:
            started = [
                subprocess.Popen(_COMMAND, env=_environment(broker, tmp_path), stderr=log) for log in (one, other)
            ]
            try:
                eventually(
                    lambda: all("metrics and health at" in log.read_text() for log in logs),
                    seconds=100,
                    what=lambda: "\n".join(log.read_text() for log in logs),
                )
                ports = [log.read_text().split("metrics and health at http://127.0.0.1:")[1].split()[0] for log in logs]
                assert len(set(ports)) == 2, ports
                assert [process.poll() for process in started] == [None, None]
            finally:
                for process in started:
                    process.terminate()
                assert {process.wait(30) for process in started} <= {0, -signal.SIGTERM}


def test_a_port_that_was_asked_for_and_is_taken_is_the_users_mistake(tmp_path: Path) -> None:
    port = free_port()
    with running_tansu(port=port) as broker:
        done = subprocess.run(
            [*_COMMAND, "--port", str(port)],
            env=_environment(broker, tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line
    assert "NEXOVA_PROCESSOR__WEB_PORT" in line


_COMMAND = [sys.executable, "-m", "nexova", "process"]


def _environment(broker: Broker, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NEXOVA_PROCESSOR__WEB_PORT"}
    return kept | {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers, "MODEL_PATH": str(folder / "models")}
