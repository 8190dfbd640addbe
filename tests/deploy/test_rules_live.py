"""A real Prometheus beside a running plant: each trouble fires its rule within the stated time, and no other.

The rules are those of deploy/prometheus/rules, with every duration (`for`, ranges and offsets) divided by one factor
and nothing else changed: the factor that makes the slowest of the rules tried here fire within `LONGEST` seconds.
Prometheus scrapes a processor, an API and a forwarder.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Producer

from runtime.children import Child, child_process, free_port
from runtime.kafka import create_topics, producer_config
from runtime.models.announce import announcement
from runtime.models.repository import ModelRepository
from schemas.topics import READINGS
from tests.brokers import Broker, running_tansu
from tests.deploy.checks import ROOT
from tests.deploy.live import answers, ask, running_prometheus
from tests.e2e.workers import Worker, workers
from tests.forwarder.receivers import Received, http_receiver
from tests.model_repository import START, ModelRepositoryBuilder, anomaly_files, risk_files

RULES = ROOT / "deploy" / "prometheus" / "rules"
TRIED = (
    "NexovaServiceMissing",
    "NexovaServiceDown",
    "NexovaDeadLettersGrowing",
    "NexovaNoReadings",
    "NexovaModelLoadFailed",
)
LONGEST = 40.0
"""Seconds after which the slowest of the rules tried may fire."""
PATIENCE = 60.0
"""Seconds beyond that for scrapes, evaluations, and a machine that does much else."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(?P<before>for: |\[|offset )(?P<number>\d+)(?P<unit>[smhd])")


def seconds(found: re.Match[str]) -> float:
    return int(found["number"]) * UNITS[found["unit"]]


def stated_seconds(alert: str) -> float:
    """The longest time from the start of a trouble to the alert: the longest range of its rule, and its `for`."""
    for file in RULES.glob("*.yml"):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if rule["alert"] == alert:
                    ranges = [seconds(found) for found in DURATION.finditer(rule["expr"])]
                    waits = [seconds(found) for found in DURATION.finditer(f"for: {rule.get('for', '0s')}")]
                    return max(ranges, default=0.0) + sum(waits)
    raise LookupError(alert)


FASTER = max(stated_seconds(alert) for alert in TRIED if alert != "NexovaModelLoadFailed") / LONGEST


def faster(rules: str) -> str:
    return DURATION.sub(lambda found: f"{found['before']}{max(1, round(seconds(found) / FASTER))}s", rules)


def faster_rules() -> dict[str, str]:
    return {file.name: faster(file.read_text(encoding="utf-8")) for file in RULES.glob("*.yml")}


def firing(url: str) -> set[str]:
    return {one["labels"]["alertname"] for one in ask(url, "alerts") if one["state"] == "firing"}


def scraped(url: str) -> set[str]:
    return {one["labels"]["job"] for one in ask(url, "targets") if one["health"] == "up"}


def observe(url: str, *, within: float, until: Callable[[set[str]], bool]) -> set[str]:
    """Everything that fired until the condition held on what fires, or the time was over."""
    seen: set[str] = set()
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        now = firing(url)
        seen |= now
        if until(now):
            break
        time.sleep(0.3)
    return seen


def in_time(alert: str) -> float:
    return stated_seconds(alert) / FASTER + PATIENCE


@contextmanager
def program(name: str, broker: Broker, folder: Path, *arguments: str, **variables: str) -> Iterator[Child]:
    environment = os.environ | {
        "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "MODEL_PATH": str(folder / "models"),
        **variables,
    }
    command = [sys.executable, "-m", "nexova", *arguments]
    with child_process(name, command, log=folder / f"{name}.log", environment=environment) as child:
        yield child


@contextmanager
def simulator(broker: Broker, worker: Worker, folder: Path) -> Iterator[None]:
    before = worker.metric("nexova_readings_accepted_total")
    with program("simulator", broker, folder, "produce", "simulate", "--machines", "8") as child:
        child.wait_until(lambda: worker.metric("nexova_readings_accepted_total") > before, timeout_seconds=120)
        yield


@contextmanager
def api_and_forwarder(broker: Broker, folder: Path) -> Iterator[dict[str, int]]:
    api, forwarder, receiver = free_port(), free_port(), free_port()
    hook = f"http://127.0.0.1:{receiver}/hook"
    with (
        http_receiver(receiver, Received()),
        program("api", broker, folder, "serve", "--port", str(api)) as serving,
        program(
            "forwarder", broker, folder, "forward", "--to", "webhook", "--url", hook,
            NEXOVA_FORWARDER__WEB_PORT=str(forwarder),
        ) as forwarding,
    ):  # fmt: skip
        serving.wait_until(lambda: answers(api), timeout_seconds=120)
        forwarding.wait_until(lambda: answers(forwarder), timeout_seconds=120)
        yield {"api": api, "forwarder": forwarder}


def flood(broker: Broker, url: str, *, within: float) -> set[str]:
    """Send what is no reading until the rule fires; return everything that fired meanwhile."""
    bad, seen = Producer(producer_config(broker.kafka)), set[str]()
    deadline = time.monotonic() + within
    while "NexovaDeadLettersGrowing" not in seen and time.monotonic() < deadline:
        for number in range(20):
            bad.produce(READINGS, b"no reading", f"bad-{number}")
        bad.flush(30)
        seen |= observe(url, within=1, until=lambda now: "NexovaDeadLettersGrowing" in now)
    return seen


@pytest.mark.long
def test_each_trouble_fires_its_own_rule_in_time_and_nothing_else(tmp_path: Path) -> None:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path / "models"), path=tmp_path / "models")
    # versions of an hour ago: an old model is a trouble of its own
    minutes = int((datetime.now(UTC) - START).total_seconds() // 60) - 60
    builder.put("anomaly", anomaly_files(scores=(0.0, 0.1, 0.2)), minutes=minutes)  # noise that flags nothing
    builder.put("maintenance", risk_files(always=0.0), minutes=minutes)
    with running_tansu() as broker, workers(broker, tmp_path) as group, ExitStack() as plant:
        create_topics(broker.kafka)
        worker = group.start()
        group.wait_ready(seconds=180)
        targets = {"processor": worker.port} | plant.enter_context(api_and_forwarder(broker, tmp_path))
        with simulator(broker, worker, tmp_path):
            url = plant.enter_context(running_prometheus(tmp_path, targets, faster_rules()))
            jobs = {f"nexova-{name}" for name in targets}
            # until the first scrape nothing is known of a process, which is an alarm by itself at this pace
            observe(url, within=PATIENCE, until=lambda now: not now and scraped(url) == jobs)
            assert observe(url, within=15, until=bool) == set(), "a healthy plant is quiet"
            assert scraped(url) == jobs

            assert flood(broker, url, within=in_time("NexovaDeadLettersGrowing")) == {"NexovaDeadLettersGrowing"}
            over = observe(url, within=in_time("NexovaDeadLettersGrowing"), until=lambda now: not now)
            assert over <= {"NexovaDeadLettersGrowing"}

            damaged = builder.put("maintenance", risk_files(), minutes=minutes + 5)
            (damaged / "model.onnx").write_bytes(b"cut")
            assert announcement("maintenance", builder.repository, broker.kafka) is None
            assert observe(url, within=in_time("NexovaModelLoadFailed"), until=bool) == {"NexovaModelLoadFailed"}
        # the model's alert lasts for a while, and the machines fall silent
        silent = observe(url, within=in_time("NexovaNoReadings"), until=lambda now: now == {"NexovaNoReadings"})
        assert silent == {"NexovaModelLoadFailed", "NexovaNoReadings"}

        worker.kill()
        gone = {"NexovaServiceDown", "NexovaServiceMissing"}
        dead = observe(url, within=in_time("NexovaServiceDown"), until=lambda now: now == gone)
        assert dead - {"NexovaNoReadings"} == gone
