"""A real Prometheus beside a running plant: each trouble fires its rule within the stated time, and no other.

Durations of the rules are divided by `FASTER`, so that ten minutes are fifty seconds; nothing else is changed.
"""

import json
import os
import re
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from runtime.children import Child, child_process, free_port, port_answers
from runtime.kafka import create_topics, producer_config
from runtime.models.announce import announcement
from runtime.models.repository import ModelRepository
from schemas.topics import READINGS
from tests.brokers import Broker, running_tansu
from tests.deploy.checks import ROOT, debian_program
from tests.e2e.workers import Workers, workers
from tests.model_repository import ModelRepositoryBuilder, anomaly_files, risk_files

FASTER = 12
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SLACK = 25.0  # seconds for scrapes, evaluations, and a machine that does much else


def faster(rules: str) -> str:
    """The rules with `for`, ranges and offsets divided by FASTER."""

    def divided(found: re.Match[str]) -> str:
        seconds = int(found["number"]) * UNITS[found["unit"]] / FASTER
        return f"{found['before']}{max(1, round(seconds))}s"

    return re.sub(r"(?P<before>for: |\[|offset )(?P<number>\d+)(?P<unit>[smhd])", divided, rules)


def stated(minutes: float) -> float:
    return minutes * 60 / FASTER + SLACK


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[tuple[Child, str]]:
    port = free_port()
    for file in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"):
        (folder / file.name).write_text(faster(file.read_text(encoding="utf-8")))
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 4s, scrape_timeout: 4s, evaluation_interval: 1s}\n"
        f"rule_files: ['{folder}/nexova.yml', '{folder}/system.yml']\n"
        "scrape_configs:\n"
        f"  - {{job_name: nexova-processor, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}\n"
    )
    command = [
        str(debian_program("prometheus")), f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with child_process("Prometheus", command, log=folder / "prometheus.log") as child:
        child.wait_until(lambda: port_answers(port), timeout_seconds=30)
        yield child, f"http://127.0.0.1:{port}"


def firing(url: str) -> set[str]:
    with urllib.request.urlopen(f"{url}/api/v1/alerts", timeout=10) as answer:  # noqa: S310  our own Prometheus
        alerts = json.load(answer)["data"]["alerts"]
    return {one["labels"]["alertname"].removeprefix("Nexova") for one in alerts if one["state"] == "firing"}


def observe(url: str, *, seconds: float, until: Callable[[set[str]], bool]) -> set[str]:
    """Everything that fired until the condition held on what fires, or the time was over."""
    seen: set[str] = set()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now = firing(url)
        seen |= now
        if until(now):
            break
        time.sleep(0.5)
    return seen


@contextmanager
def simulator(broker: Broker, group: Workers, folder: Path) -> Iterator[Child]:

    command = [sys.executable, "-m", "nexova", "produce", "simulate", "--machines", "8"]
    environment = os.environ | {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    with child_process("simulator", command, log=folder / "simulator.log", environment=environment) as child:
        accepted = group.started[0].metric("nexova_readings_accepted_total")
        child.wait_until(
            lambda: group.started[0].metric("nexova_readings_accepted_total") > accepted, timeout_seconds=90
        )
        yield child


@pytest.mark.long
def test_each_trouble_fires_its_own_rule_in_time_and_nothing_else(tmp_path: Path) -> None:
    models = tmp_path / "models"
    builder = ModelRepositoryBuilder(repository=ModelRepository(models), path=models)
    builder.put("anomaly", anomaly_files(scores=(0.0, 0.1, 0.2)))  # noise that flags nothing
    builder.put("maintenance", risk_files(always=0.0))
    with running_tansu() as broker, workers(broker, tmp_path) as group:
        create_topics(broker.kafka)
        group.start()
        group.wait_ready(seconds=180)
        worker = group.started[0]
        with prometheus(tmp_path, worker.port) as (_, url):
            with simulator(broker, group, tmp_path):
                assert observe(url, seconds=45, until=bool) == set(), "a healthy plant is quiet"

                bad = Producer(producer_config(broker.kafka))
                began = time.monotonic()
                seen: set[str] = set()
                while "DeadLettersGrowing" not in seen and time.monotonic() - began < stated(10):
                    for number in range(20):
                        bad.produce(READINGS, b"no reading", f"bad-{number}")
                    bad.flush(10)
                    seen |= observe(url, seconds=1, until=lambda now: "DeadLettersGrowing" in now)
                assert seen == {"DeadLettersGrowing"}
                assert observe(url, seconds=stated(10), until=lambda now: not now) == {"DeadLettersGrowing"}

                damaged = builder.put("maintenance", risk_files(), minutes=5)
                (damaged / "model.onnx").write_bytes(b"cut")
                assert announcement("maintenance", builder.repository, broker.kafka) is None
                assert observe(url, seconds=stated(1), until=bool) == {"ModelLoadFailed"}
                observe(url, seconds=stated(16), until=lambda now: not now)

            assert observe(url, seconds=stated(10), until=bool) == {"NoReadings"}
            with simulator(broker, group, tmp_path):
                observe(url, seconds=stated(5), until=lambda now: not now)
                worker.kill()
                gone = {"ServiceDown", "ServiceMissing"}
                assert observe(url, seconds=stated(1), until=lambda now: now == gone) == gone
