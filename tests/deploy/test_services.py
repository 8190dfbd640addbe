"""The services of docker-compose.yml as plain processes, on the broker of its own Kafka service.

What the containers would do is done here with the same command lines and variables; only addresses, folders and ports
are replaced, and the generated history is shorter.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.children import child_process, free_port
from runtime.kafka import list_topics
from runtime.settings import KafkaSettings
from tests.deploy.checks import ROOT, run
from tests.deploy.compose_kafka import running_compose_kafka

pytestmark = pytest.mark.long

SHORTER = "--days 30"
SIMULATED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where the services run: what stands for their image, their volumes and their network."""

    folder: Path
    kafka: KafkaSettings
    services: Mapping[str, Any]

    def environment(self, service: str, **more: str) -> dict[str, str]:
        """The image's variables, then the service's, then `more`."""
        text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
        image = dict(re.findall(r"^ *(?:ENV )?([A-Z_]+)=(\S+)", text.rpartition("\nFROM ")[2], re.MULTILINE))
        mine = image | self.services[service]["environment"] | more
        mine["PATH"] = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {name: self.moved(value) for name, value in mine.items()}

    def command(self, service: str) -> list[str]:
        entry = self.services[service].get("entrypoint", ["nexova"])
        return [self.moved(word) for word in (*entry, *self.services[service]["command"])]

    def moved(self, text: str) -> str:
        """`text` with what exists only in a container replaced by what exists here."""
        text = re.sub(r"(?<![\w/])/(models|tmp/history|var/cache/nexova)\b", f"{self.folder}/\\1", text)
        return re.sub(r"kafka:19092|127\.0\.0\.1:9092", self.kafka.bootstrap_servers, text)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, stack: dict[str, Any]) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    for name in ("bin", "kafka", "models", "tmp"):
        (folder / name).mkdir()
    # compiled code of earlier runs is used again, as the volume of the containers does
    (folder / "var").symlink_to(_cache(), target_is_directory=True)
    nexova = folder / "bin" / "nexova"
    nexova.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m nexova "$@"\n')
    nexova.chmod(0o755)
    (folder / "bin" / "python").symlink_to(sys.executable)
    with running_compose_kafka(folder / "kafka") as kafka:
        yield Host(folder=folder, kafka=kafka, services=stack["services"])


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nexova" / "numba"
    (folder / "cache" / "nexova").mkdir(parents=True, exist_ok=True)
    return folder


def job(host: Host, service: str, *, replacing: Mapping[str, str] | None = None) -> None:
    """Run a service that is to complete."""
    command = host.command(service)
    for old, new in (replacing or {}).items():
        assert any(old in word for word in command)
        command = [word.replace(old, new) for word in command]
    done = subprocess.run(
        command,
        env=host.environment(service),
        cwd=host.folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_topics_job_makes_the_catalogue_and_may_be_run_again(host: Host) -> None:
    job(host, "topics")
    job(host, "topics")

    assert [state.problem for state in list_topics(host.kafka) if state.problem or not state.partitions] == []


def test_the_train_job_makes_models_once_and_leaves_them_alone_after_that(host: Host) -> None:
    job(host, "train", replacing={"data generate": f"data generate {SHORTER}"})
    registry = host.folder / "models" / "registry.jsonl"
    first = registry.read_bytes()
    assert b"anomaly" in first

    started = time.monotonic()
    job(host, "train")

    assert registry.read_bytes() == first
    assert time.monotonic() - started < 5


def test_two_processors_and_the_api_follow_the_simulator_and_stop_in_good_order(host: Host, promtool: Path) -> None:
    job(host, "topics")
    ports = (free_port(), free_port())
    with ExitStack() as running:
        processors = [
            running.enter_context(
                child_process(
                    f"processor {port}",
                    host.command("processor"),
                    log=host.folder / f"processor-{port}.log",
                    environment=host.environment("processor", NEXOVA_PROCESSOR__WEB_PORT=str(port)),
                    grace_seconds=30,
                )
            )
            for port in ports
        ]
        running.enter_context(
            child_process(
                "simulator",
                host.command("simulator"),
                log=host.folder / "simulator.log",
                environment=host.environment("simulator"),
            )
        )
        for processor, port in zip(processors, ports, strict=True):
            processor.wait_until(lambda port=port: healthy(host, port), timeout_seconds=120)  # type: ignore[misc]
            processor.wait_until(
                lambda port=port: total(port, "nexova_readings_accepted_total") > 0,  # type: ignore[misc]
                timeout_seconds=120,
            )
        port = free_port()
        api = running.enter_context(
            child_process(
                "api",
                host.command("api"),
                log=host.folder / "api.log",
                environment=host.environment("api", NEXOVA_API__PORT=str(port)),
            )
        )
        api.wait_until(lambda: healthy(host, port, service="api"), timeout_seconds=120)
        api.wait_until(lambda: machines_at(port) == SIMULATED, timeout_seconds=120)
        for port in ports:
            exposed = exposition(port)
            assert total(port, "nexova_healthy") == 1
            assert run(promtool, "check", "metrics", given=exposed).stderr == ""
        assert [processor.end(grace_seconds=30) for processor in processors] == [0, 0]


def healthy(host: Host, port: int, *, service: str = "processor") -> bool:
    """What the health check of the service says, with this process's own port in it."""
    check = [re.sub(r":(6066|8000)/", f":{port}/", word) for word in host.services[service]["healthcheck"]["test"][1:]]
    return subprocess.run(check, env=host.environment(service), capture_output=True, check=False).returncode == 0


def machines_at(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/machines", timeout=20) as answer:
        return len(json.load(answer)["machines"])


def exposition(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def total(port: int, name: str) -> float:
    try:
        families = text_string_to_metric_families(exposition(port))
    except (OSError, urllib.error.URLError):
        return 0.0
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)
