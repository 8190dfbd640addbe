"""A real Prometheus that scrapes processes of ours."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from runtime.children import child_process, free_port
from tests.deploy.checks import debian_program


@contextmanager
def running_prometheus(folder: Path, targets: Mapping[str, int], rules: Mapping[str, str]) -> Iterator[str]:
    """The address of a Prometheus in `folder`; targets: port by process; rules: text by file name."""
    port = free_port()
    for name, text in rules.items():
        (folder / name).write_text(text, encoding="utf-8")
    document = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / name) for name in rules],
        "scrape_configs": [
            {"job_name": f"nexova-{name}", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
            for name, target in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [
        str(debian_program("prometheus")), f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with child_process("Prometheus", command, log=folder / "prometheus.log") as child:
        child.wait_until(lambda: answers(port, "/-/ready"), timeout_seconds=60)
        yield f"http://127.0.0.1:{port}"


def answers(port: int, path: str = "/metrics") -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(url: str, path: str, **parameters: str) -> list[dict[str, Any]]:
    """The alerts, targets, or result of a query that Prometheus answers with."""
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    with urllib.request.urlopen(f"{url}/api/v1/{path}{query}", timeout=30) as answer:  # noqa: S310  our own Prometheus
        data = json.load(answer)["data"]
    found: list[dict[str, Any]] = data[next(key for key in ("alerts", "activeTargets", "result") if key in data)]
    return found
