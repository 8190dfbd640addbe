import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import start_http_server

from deploy.dashboards.__main__ import main, render
from runtime.metrics import ApiMetrics, ForwarderMetrics, ProcessorMetrics, process_registry
from tests.deploy.checks import ROOT, debian_program, exercise, run

FILES = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
SETS = (ApiMetrics, ForwarderMetrics, ProcessorMetrics)
CATALOGUE = [metric for each in SETS for metric in each.catalogue()]
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
WORDS = {"sum", "min", "max", "rate", "increase", "by", "histogram_quantile", "and", "or", "unless", "count", "time"}


def boards() -> list[dict[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in FILES]


def panels() -> list[dict[str, Any]]:
    return [panel for board in boards() for panel in board["panels"] if panel["type"] != "row"]


def targets() -> list[dict[str, Any]]:
    return [target for panel in panels() for target in panel["targets"]]


def expressions(interval: str) -> list[str]:
    return [target["expr"].replace("$__rate_interval", interval) for target in targets()]


def test_there_is_a_dashboard_for_each_question() -> None:
    assert [file.stem for file in FILES] == ["alerts", "fleet", "forecasts", "machines", "models", "stream"]
    assert len({board["uid"] for board in boards()}) == len(FILES)


def test_the_committed_dashboards_are_what_the_code_renders() -> None:
    assert set(render()) == set(FILES)
    for path, text in render().items():
        assert path.read_text(encoding="utf-8") == text, "run: python -m deploy.dashboards write"


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: python -m deploy.dashboards write" in capsys.readouterr().err


def test_every_panel_says_what_to_look_for_and_asks_the_provisioned_source() -> None:
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "nexova-prometheus", panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert all(references), panel["title"]
        assert len(set(references)) == len(references), panel["title"]


def test_panels_have_their_own_ids_and_places_that_do_not_overlap() -> None:
    for everything in (board["panels"] for board in boards()):
        cells = [
            (x, y)
            for place in (panel["gridPos"] for panel in everything)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]

        assert len({panel["id"] for panel in everything}) == len(everything)
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) == 23


def test_prometheus_can_parse_every_query(promtool: Path, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(expressions("5m"))]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")

    checked = run(promtool, "check", "rules", file)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_queries_name_metrics_of_the_catalogue_only() -> None:
    known = {metric.name for metric in CATALOGUE} | PROCESS
    known |= {f"{metric.name}_bucket" for metric in CATALOGUE if metric.buckets}
    named: set[str] = set()
    for expr in expressions("5m"):
        bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)", "", expr)
        named |= set(re.findall(r"[a-z_]{2,}", bare)) - WORDS

    assert named <= known


def test_the_dashboards_leave_no_metric_of_the_processor_unseen() -> None:
    shown = " ".join(expressions("5m"))
    elsewhere = {"nexova_batch_readings"}  # a tuning figure; docs/metrics.md lists it

    unseen = {metric.name for metric in ProcessorMetrics.catalogue() if metric.name not in shown}

    assert unseen == elsewhere


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], list[Any]]]:
    """A real Prometheus that scrapes an exercised processor; call it with a query for the resulting series."""
    registry = process_registry()
    sets = [each(registry) for each in SETS]
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    (tmp_path / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "200ms"},
                "scrape_configs": [
                    {
                        "job_name": "nexova-processor",
                        "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}],
                    }
                ],
            }
        ),
        encoding="utf-8",
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen(
        [
            debian_program("prometheus"),
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={address}",
        ],
        stderr=subprocess.DEVNULL,
    )

    def ask(query: str) -> list[Any]:
        for metrics in sets:
            exercise(metrics)
        parameters = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{parameters}", timeout=5) as answer:
            result: list[Any] = json.load(answer)["data"]["result"]
        return result

    try:
        yield ask
    finally:
        process.terminate()
        process.wait(timeout=20)
        server.shutdown()
        server.server_close()
        thread.join()


def test_every_query_finds_data_in_a_real_prometheus(prometheus: Callable[[str], list[Any]]) -> None:
    waiting = set(expressions("2s"))
    deadline = time.monotonic() + 40

    while waiting and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # it may not be up yet
            waiting -= {query for query in waiting if prometheus(query)}
        time.sleep(0.1)

    assert not waiting
