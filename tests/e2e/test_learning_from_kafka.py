"""A plant that learns from itself: readings, alerts and what people said of both, from Kafka to promoted versions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cli.main import run
from core.plant import Plant
from producer.generator import IndustrialDataGenerator
from runtime.kafka import create_topics
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant, shipped_plants
from schemas.alerts import Alert
from schemas.feedback import Feedback, FeedbackKind
from schemas.models import ModelPromoted
from schemas.topics import ALERTS, FEEDBACK, MODELS, READINGS
from tests.brokers import Broker, running_tansu
from tests.e2e.workers import publish, read_all
from tests.trainer.test_cleaning import an_alert
from tests.trainer.test_from_kafka import as_messages
from trainer.cleaning import MAINTENANCE_HOURS

pytestmark = pytest.mark.long

HALF_HOUR = timedelta(minutes=30)
WARM_UP = 400


@pytest.fixture(scope="module")
def plant_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default plant, with a warm-up that suits readings half an hour apart."""
    file = tmp_path_factory.mktemp("plant") / "plant.toml"
    lines = shipped_plants()["default"].read_text().splitlines()
    changed = f"warm_up_readings = {WARM_UP}"
    file.write_text("\n".join(changed if line.startswith("warm_up_readings") else line for line in lines))
    return file


@pytest.fixture(scope="module")
def plant(plant_file: Path) -> Plant:
    return load_plant(plant_file)


@pytest.fixture(scope="module")
def table(plant: Plant) -> pd.DataFrame:
    """Ninety days of six machines every half hour."""
    return IndustrialDataGenerator(seed=2, plant=plant).generate_energy_timeseries(90, "30min", 6)


@dataclass(frozen=True, kw_only=True)
class Works:
    """Work on a machine, from its first reading in maintenance to its last; failed: when it had failed just before."""

    machine_id: str
    begin: datetime
    end: datetime
    failed: datetime | None


def works_of(table: pd.DataFrame) -> Iterator[Works]:
    for machine_id, rows in table.groupby("machine_id"):
        working = rows["condition"].eq("maintenance")
        number = (working & ~working.shift(fill_value=False)).cumsum()
        for _, spell in rows[working].groupby(number[working]):
            before = rows[rows["timestamp"] < spell["timestamp"].iloc[0]].iloc[-1:]
            hours = before["hours_to_failure"].sum() if before["hours_to_failure"].notna().any() else None
            failed = None if hours is None or hours > 1 else before["timestamp"].iloc[0] + pd.Timedelta(hours=hours)
            yield Works(
                machine_id=str(machine_id),
                begin=spell["timestamp"].iloc[0].to_pydatetime(),
                end=spell["timestamp"].iloc[-1].to_pydatetime(),
                failed=None if failed is None else failed.to_pydatetime(),
            )


def alerts_of(table: pd.DataFrame) -> Iterator[tuple[str, Alert]]:
    """An alert for each episode of a fault, with the kind of the fault."""
    for machine_id, rows in table.groupby("machine_id"):
        faulty = rows["anomaly"].eq(1)
        number = (faulty & ~faulty.shift(fill_value=False)).cumsum()
        for place, episode in rows[faulty].groupby(number[faulty]):
            begin, end = episode["timestamp"].iloc[0].to_pydatetime(), episode["timestamp"].iloc[-1].to_pydatetime()
            moments: dict[str, Any] = {"opened_at": begin, "updated_at": end, "resolved_at": end, "state": "resolved"}
            alert = an_alert(0, machine_id=str(machine_id), alert_id=f"{machine_id}-{place}", **moments)
            yield str(episode["anomaly_kind"].iloc[0]), alert


def statement(kind: FeedbackKind, machine_id: str, at: datetime, alert_id: str | None = None) -> Feedback:
    return Feedback(machine_id=machine_id, kind=kind, at=at, alert_id=alert_id)


def train(broker: Broker, models: Path, plant_file: Path, what: str, *options: str) -> int:
    where = ["--models", str(models), "--plant", str(plant_file)]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        return run(["train", what, "--from-kafka", *where, *options])


def send(broker: Broker, topic: str, said: list[Alert] | list[Feedback]) -> None:
    publish(broker, [(one.machine_id, one.encode()) for one in said], topic=topic)


def test_what_a_plant_told_becomes_versions_that_run_and_say_what_they_did_not_learn_from(
    table: pd.DataFrame, plant: Plant, plant_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    works = list(works_of(table))
    failures = [work for work in works if work.failed is not None]
    assert len(failures) > 10
    assert len(works) > len(failures), "some work was done before anything failed"
    alerts = list(alerts_of(table))
    # so short that no rule but this one takes their readings out
    unjudged = {alert.alert_id for kind, alert in alerts if kind == "spike"}
    feedback = [statement("maintenance_done", work.machine_id, work.end) for work in works]
    feedback += [statement("failure", work.machine_id, work.failed) for work in failures if work.failed]
    feedback += [
        statement("confirmed", alert.machine_id, alert.opened_at, alert.alert_id)
        for _, alert in alerts
        if alert.alert_id not in unjudged
    ]
    with running_tansu() as broker:
        create_topics(broker.kafka)
        publish(broker, as_messages(table, plant), topic=READINGS)
        send(broker, ALERTS, [alert for _, alert in alerts])
        send(broker, FEEDBACK, feedback)
        assert train(broker, tmp_path, plant_file, "all", "--json") == 0
        report = json.loads(capfd.readouterr().out)
        promoted = [ModelPromoted.model_validate_json(value or b"") for _, value in read_all(broker, MODELS)]

    assert report["notes"] == []
    versions = {name: item["version"] for name, item in report["models"].items()}
    assert set(versions) == {"anomaly", "maintenance", "forecast"}
    assert all(item["promoted"] and item["announced"] for item in report["models"].values())
    assert {one.name: one.version for one in promoted} == versions
    assert {name: ModelRepository(tmp_path).current(name) for name in versions} == versions

    at, machine = table["timestamp"], table["machine_id"]
    broken, maintained, silenced = (pd.Series(data=False, index=table.index) for _ in range(3))
    for work in works:
        own = machine.eq(work.machine_id)
        if work.failed is not None:
            broken |= own & at.between(work.failed, work.end)
        maintained |= own & at.between(work.end - timedelta(hours=MAINTENANCE_HOURS), work.end)
    for _, alert in alerts:
        if alert.alert_id in unjudged and alert.resolved_at is not None:
            silenced |= machine.eq(alert.machine_id) & at.between(alert.opened_at, alert.resolved_at)
    for item in report["models"].values():
        excluded = item["rows_excluded"]
        assert excluded["between a failure and its repair"] == broken.sum() > 0
        assert excluded["during maintenance"] == (maintained & ~broken).sum() > 0
        assert excluded["in an alert that nobody judged"] == (silenced & ~broken & ~maintained).sum() > 0
        assert excluded["sensor stuck"] > 0
    assert report["models"]["maintenance"]["rows_excluded"]["what follows is not known yet"] > 0

    # what was confirmed is what it is measured on, and the forest finds it
    manifest = ModelRepository(tmp_path).load("anomaly", versions["anomaly"]).manifest
    assert "measured_on" not in manifest.parameters
    assert report["metrics"]["anomaly"]["auc"] > 0.95
    assert report["metrics"]["recommendation"]["r2"] > 0.6


def test_a_fault_that_nobody_judged_teaches_nothing(
    table: pd.DataFrame, plant: Plant, plant_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The forest is the same, to the byte, as if its readings had never come; without the alert it is another."""
    early = table[table["timestamp"] < table["timestamp"].min() + pd.Timedelta(days=40)]
    begin = early["timestamp"].min() + pd.Timedelta(days=15)
    hot = early["machine_id"].eq("pump-01") & early["timestamp"].between(begin, begin + pd.Timedelta(days=2))
    poisoned = early.assign(temperature=early["temperature"].where(~hot, early["temperature"] + 25))
    moments = [early.loc[hot, "timestamp"].iloc[place].to_pydatetime() for place in (0, -1)]
    alert = an_alert(
        0, machine_id="pump-01", opened_at=moments[0], updated_at=moments[1], resolved_at=moments[1], state="resolved"
    )
    files = {}
    for name, readings, said in (
        ("told", poisoned, [alert]),
        ("never came", early[~hot], []),
        ("taken for normal", poisoned, []),
    ):
        with running_tansu() as broker:
            create_topics(broker.kafka)
            publish(broker, as_messages(readings, plant), topic=READINGS)
            send(broker, ALERTS, said)
            assert train(broker, tmp_path / name, plant_file, "anomaly", "--json", "--no-announce") == 0
        item = json.loads(capfd.readouterr().out)["models"]["anomaly"]
        files[name] = ModelRepository(tmp_path / name).load("anomaly", item["version"]).manifest.files
        if name == "told":
            assert item["rows_excluded"]["in an alert that nobody judged"] == hot.sum()
    for file in ("model.onnx", "model.json"):
        assert files["told"][file] == files["never came"][file] != files["taken for normal"][file]
