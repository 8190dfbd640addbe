"""The examples, run as their README says, on a broker with alerts and energy in it."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from confluent_kafka import Producer

from runtime.children import child_process
from runtime.kafka import create_topics, producer_config
from runtime.topic_export import export_topic
from schemas.energy import EnergyWindow
from schemas.topics import ALERTS, ENERGY
from tests.api.servers import running_server
from tests.brokers import Broker, running_tansu, unavailable
from tests.deploy.checks import ROOT
from tests.forwarder.alerts import START, an_alert, publish

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with running_tansu() as running:
        create_topics(running.kafka)
        publish(
            running, [an_alert("press-01"), an_alert("press-01", state="resolved", minute=30), an_alert("press-02")]
        )
        producer = Producer(producer_config(running.kafka))
        for hour in range(30):
            window = EnergyWindow(
                machine_id="press-01", start=START + timedelta(hours=hour), end=START + timedelta(hours=hour + 1),
                energy_kwh=50.0 + hour, mean_power_kw=50.0, peak_power_kw=60.0, production=None, readings=60,
                expected_readings=60.0, completeness=1.0, revision=0, final=True,
            )  # fmt: skip
            producer.produce(ENERGY, window.encode(), window.key)
        assert producer.flush(30) == 0
        yield running


@pytest.fixture(scope="module")
def exported(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook") / "exported"
    for topic in (ALERTS, ENERGY):
        export_topic(broker.kafka, topic, str(folder))
    return folder


def test_the_python_consumer_prints_every_change_and_is_short(broker: Broker, tmp_path: Path) -> None:
    program = EXAMPLES / "alerts.py"
    assert len(program.read_text(encoding="utf-8").splitlines()) <= 24

    with child_process(
        "alerts.py", [sys.executable, str(program), broker.bootstrap_servers], log=tmp_path / "log"
    ) as child:
        child.wait_until(lambda: child.log.read_text().count("press-0") >= 3, timeout_seconds=60)

    assert "warning resolved press-01: vibration 7.1 mm/s instead of 2.3." in child.log.read_text()


def test_the_node_consumer_follows_the_event_stream(broker: Broker, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        unavailable("no Node; install it (Debian: apt-get install nodejs)")
    with (
        running_server(kafka={"bootstrap_servers": broker.bootstrap_servers}, model_path=str(tmp_path)) as server,
        child_process(
            "alerts.mjs", [str(node), str(EXAMPLES / "alerts.mjs"), server.url], log=tmp_path / "log"
        ) as child,
    ):

        def heard() -> bool:
            # a stream begins with what comes after it was opened
            publish(broker, [an_alert("press-03", state="updated")])
            return child.logged("press-03")

        child.wait_until(heard, timeout_seconds=60)


def test_the_sql_counts_alerts_by_machine_and_day(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported.parent)

    found = duckdb.sql((EXAMPLES / "alerts.sql").read_text(encoding="utf-8")).fetchall()

    assert {row[0]: (row[2], row[4]) for row in found}["press-01"] == (1, 30.0)


def test_the_notebook_draws_a_machines_week(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "EXPORTED", str(exported))
    notebook = json.loads((EXAMPLES / "week.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102  our own notebook

    drawn = (exported / "week.svg").read_text()
    assert "press-01" in drawn
    assert drawn.count("<line") == 1
    assert drawn.count(",") >= 30
