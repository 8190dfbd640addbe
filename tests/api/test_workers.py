"""Several processes on one port: whoever of them answers, the answers fit together."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runtime.children import free_port
from runtime.kafka import create_topics
from schemas.topics import ALERTS, MACHINES
from tests.api.live_data import a_status, an_alert, events, publish
from tests.brokers import Broker
from tests.cli.command import environment
from tests.e2e.workers import eventually


@contextmanager
def two_workers(broker: Broker, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """`nexova serve` with WORKERS=2: its address, the process, and its log."""
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "serve.log"
    variables = {"WORKERS": "2", "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers, "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "nexova", "serve", "--port", str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=folder, env=environment(**variables), stdout=output, stderr=output) as process,
    ):
        try:
            eventually(lambda: ready(url), seconds=90, what=lambda: f"both views are complete: {log.read_text()}")
            yield url, process, log
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def ready(url: str) -> bool:
    """Whether both workers are: the figure is the least of theirs, and is there once both count."""
    try:
        if httpx.get(f"{url}/ready", timeout=5).status_code != 200:
            return False
        lines = httpx.get(f"{url}/metrics", timeout=5).text.splitlines()
    except httpx.TransportError:
        return False
    return {"nexova_api_view_ready 1.0", "nexova_api_workers 2.0"} <= set(lines)


def figure(page: str, name: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))


@pytest.mark.long
@pytest.mark.timeout(240)
def test_two_workers_give_answers_that_fit_together(fresh_tansu: Broker, tmp_path: Path) -> None:
    create_topics(fresh_tansu.kafka)
    publish(fresh_tansu, MACHINES, [("press-01", a_status())])
    publish(fresh_tansu, ALERTS, [("alert-0000", an_alert(0))])
    with two_workers(fresh_tansu, tmp_path) as (url, process, log):
        # counters are those of both, whoever is asked
        for _ in range(20):
            assert httpx.get(f"{url}/machines").json()["total"] == 1
        pages = [httpx.get(f"{url}/metrics").text for _ in range(4)]
        wanted = 'nexova_api_requests_total{endpoint="/machines",status="2xx"}'
        assert [figure(page, wanted) for page in pages] == [20.0] * 4
        # a position that one gave means the same to the other, also while that is a moment behind
        for number in range(1, 9):
            publish(fresh_tansu, ALERTS, [(f"alert-{number:04}", an_alert(number, minutes=number))])
            position = httpx.get(f"{url}/alerts").json()["position"]
            with events(url, since=position, topics="alert") as stream:
                heard = next(stream)
                assert heard.name in {"alert", "position"}, heard
        # a change is on record, although LOG_LEVEL asks for errors alone
        answer = httpx.post(f"{url}/alerts/alert-0000/feedback", json={"kind": "confirmed"})
        assert answer.status_code == 201
        eventually(lambda: "feedback by local" in log.read_text(), seconds=60, what="the line of the change")
        # open streams do not hold up the end
        with events(url) as stream:
            assert json.loads(next(stream).data) == {}
            begun = time.monotonic()
            process.terminate()
            assert process.wait(30) == 0
            assert time.monotonic() - begun < 15
