"""Every query of every dashboard beside a running demo, with a forwarder on its broker.

Prometheus scrapes the demo's worker and API and the forwarder. What a demo cannot show is named with its reason.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.children import child_process, free_port
from tests.cli.command import environment
from tests.deploy.checks import ROOT
from tests.deploy.live import answers, ask, running_prometheus
from tests.forwarder.receivers import Received, http_receiver

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

NOT_IN_A_DEMO = {
    "nexova_health_checks_failed": "the panel shows failing checks, and a demo is well",
    "nexova_model_fallbacks_total": "counted from a first refused model on, and a demo's models are whole",
    "nexova_model_rollbacks_total": "the panel shows rollbacks, and no version of a demo is rolled back",
}
"""Metrics without data in a demo, and why."""
PATIENCE = 150.0


def queries() -> Iterator[tuple[str, str]]:
    """Title of the panel and expression of each query."""
    for file in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                yield panel["title"], target["expr"].replace("$__rate_interval", "30s")


def variables_of(command: str, parent: int) -> dict[str, str]:
    """The environment of the process of ours with that command below `parent`, empty until it is there."""
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if folder.name.isdigit() and b"nexova" in words and command.encode() in words and below(folder, parent):
                entries = (folder / "environ").read_bytes().decode().split("\0")
                return dict(entry.split("=", 1) for entry in entries if "=" in entry)
        except OSError:  # it has just ended
            continue
    return {}


def below(process: Path, parent: int) -> bool:
    number = int(process.name)
    while number > 1:
        if number == parent:
            return True
        number = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def test_every_query_brings_data_beside_a_running_demo(tmp_path: Path) -> None:
    with ExitStack() as plant:
        demo = plant.enter_context(
            child_process(
                "demo",
                [sys.executable, "-m", "nexova", "demo", "--days", "2", "--duration", "300"],
                log=tmp_path / "demo.log",
                environment=environment(NEXOVA_API__PORT=str(free_port())),
                grace_seconds=30,
            )
        )
        pid = demo.process.pid
        demo.wait_until(lambda: bool(variables_of("serve", pid)), timeout_seconds=120)
        demo.wait_until(lambda: bool(variables_of("process", pid)), timeout_seconds=120)
        server = variables_of("serve", pid)
        receiver, pages = free_port(), free_port()
        plant.enter_context(http_receiver(receiver, Received()))
        words = ["forward", "--to", "webhook", "--url", f"http://127.0.0.1:{receiver}/hook"]
        forwarder = plant.enter_context(
            child_process(
                "forwarder",
                [sys.executable, "-m", "nexova", *words],
                log=tmp_path / "forwarder.log",
                environment=server | {"NEXOVA_FORWARDER__WEB_PORT": str(pages), "PATH": os.environ["PATH"]},
            )
        )
        ports = {
            "processor": int(variables_of("process", pid)["NEXOVA_PROCESSOR__WEB_PORT"]),
            "api": int(server["NEXOVA_API__PORT"]),
            "forwarder": pages,
        }
        for port in ports.values():
            forwarder.wait_until(lambda port=port: answers(port), timeout_seconds=120)  # type: ignore[misc]
        url = plant.enter_context(running_prometheus(tmp_path, ports, {}))

        waiting = list(queries())
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and any(named(query) is None for _, query in waiting):
            waiting = [(title, query) for title, query in waiting if not ask(url, "query", query=query)]
            time.sleep(1)

    lacking = [f"{title}: {query}" for title, query in waiting if named(query) is None]
    assert not lacking, "\n".join(lacking)


def named(query: str) -> str | None:
    """The metric of a query that a demo has no data for, if it is named."""
    return next((metric for metric in NOT_IN_A_DEMO if metric in query), None)
