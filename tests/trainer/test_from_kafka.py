"""Training from what the brokers have: readings, alerts, and what people said of them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Producer

from cli.main import run
from core.plant import Plant
from runtime.errors import UsageError
from runtime.kafka import create_topics, producer_config
from runtime.models.repository import ModelRepository
from runtime.plants import shipped_plants
from schemas.topics import ALERTS, FEEDBACK, READINGS
from tests.brokers import Broker, running_apache_kafka, running_tansu
from tests.trainer.test_cleaning import an_alert, feedback
from trainer.candidate import no_progress
from trainer.from_kafka import datasets_from_kafka, learnable
from trainer.kafka_history import read_history

ROWS_A_MESSAGE = 96


def publish(broker: Broker, topic: str, messages: Iterable[tuple[str, bytes]]) -> None:
    producer = Producer(producer_config(broker.kafka))
    for key, value in messages:
        producer.produce(topic, value, key)
    assert producer.flush(60) == 0


def as_messages(table: pd.DataFrame, plant: Plant) -> list[tuple[str, bytes]]:
    """Arrays of readings of one machine each."""
    found = []
    for machine_id, rows in table.groupby("machine_id", sort=False):
        columns = {name: rows[name].to_numpy() for name in plant.sensor_names}
        readings: list[dict[str, Any]] = [
            {"machine_id": machine_id, "timestamp": at.isoformat()}
            | {name: None if np.isnan(column[row]) else float(column[row]) for name, column in columns.items()}
            for row, at in enumerate(rows["timestamp"])
        ]
        cuts = range(0, len(readings), ROWS_A_MESSAGE)
        found += [(str(machine_id), json.dumps(readings[cut : cut + ROWS_A_MESSAGE]).encode()) for cut in cuts]
    return found


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A broker with the readings of `table`, one message twice, one that is no reading, and what was said of them."""

    broker: Broker
    begin: datetime
    readings: int
    plant_file: Path

    def train(self, models: Path, what: str, *options: str) -> int:
        where = ["--models", str(models), "--plant", str(self.plant_file), "--json"]
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", self.broker.bootstrap_servers)
            return run(["train", what, "--from-kafka", *where, *options])


@pytest.fixture(scope="module", params=[running_tansu, running_apache_kafka])
def filled(
    request: pytest.FixtureRequest, table: pd.DataFrame, plant: Plant, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    file = tmp_path_factory.mktemp("plant") / "plant.toml"
    lines = shipped_plants()["default"].read_text().splitlines()
    file.write_text("\n".join("warm_up_readings = 400" if one.startswith("warm_up_readings") else one for one in lines))
    begin: datetime = table["timestamp"].min().to_pydatetime()
    machines = sorted(table["machine_id"].unique())

    def from_day(opened: float, resolved: float) -> dict[str, Any]:
        moments = {"opened_at": opened, "updated_at": opened, "resolved_at": resolved}
        return {name: begin + timedelta(days=day) for name, day in moments.items()} | {"state": "resolved"}

    unjudged = an_alert(1, machine_id=machines[0], **from_day(20, 21))
    wrong = an_alert(2, machine_id=machines[1], **from_day(30, 30.5))
    done = feedback("maintenance_done", 0, machine_id=machines[2]).model_copy(update={"at": begin + timedelta(days=12)})
    with request.param() as broker:
        create_topics(broker.kafka)
        messages = as_messages(table, plant)
        publish(broker, READINGS, [*messages, messages[0], (machines[0], b"no reading")])
        publish(broker, ALERTS, [(one.machine_id, one.encode()) for one in (unjudged, wrong)])
        statements = (feedback("false_alarm", 1, wrong, machine_id=machines[1]), done)
        publish(broker, FEEDBACK, [(one.machine_id, one.encode()) for one in statements])
        yield Filled(broker=broker, begin=begin, readings=len(table) + ROWS_A_MESSAGE, plant_file=file)


def test_a_version_is_trained_and_states_what_was_left_out_and_why(
    filled: Filled, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert filled.train(tmp_path, "all") == 0
    report = json.loads(capfd.readouterr().out)
    assert any("maintenance: not trained, because no failure was reported" in note for note in report["notes"])
    assert "maintenance" not in report["models"]
    version = report["models"]["anomaly"]
    assert (version["promoted"], version["announced"]) == (True, True)
    manifest = ModelRepository(tmp_path).load("anomaly", version["version"]).manifest
    excluded = manifest.rows_excluded
    assert excluded == version["rows_excluded"]
    # half-hourly readings, both ends included; a few of them are left out for another reason
    assert excluded["in an alert that nobody judged"] == pytest.approx(49, abs=12)
    assert excluded["during maintenance"] == pytest.approx(9, abs=2)
    assert excluded["given twice"] == ROWS_A_MESSAGE
    assert excluded["no readings, or without a believable time"] == 1
    assert all(excluded[reason] > 0 for reason in ("sensor stuck", "machine off", "warming up"))
    # with faults put in, because nobody confirmed an anomaly
    assert manifest.parameters["measured_on"]
    assert manifest.metrics["auc"] is not None


def test_a_later_version_is_trained_since_a_moment_and_judged_on_what_its_own_history_holds_out(
    filled: Filled, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    since = filled.begin + timedelta(days=6)
    assert filled.train(tmp_path, "anomaly") == 0
    first = json.loads(capfd.readouterr().out)["models"]["anomaly"]
    assert filled.train(tmp_path, "anomaly", "--since", since.isoformat(), "--seed", "7") == 0
    second = json.loads(capfd.readouterr().out)["models"]["anomaly"]
    manifest = ModelRepository(tmp_path).load("anomaly", second["version"]).manifest
    assert manifest.gate is not None
    assert manifest.gate.champion == first["version"]
    assert set(manifest.gate.compared) == {"auc", "f1"}
    assert manifest.trained_on.start >= since
    assert manifest.rows_used < first["rows_used"]


def test_only_the_newest_readings_are_kept(filled: Filled, table: pd.DataFrame, plant: Plant) -> None:
    history = read_history(filled.broker.kafka, plant=plant, since=None, most=3_000, progress=no_progress)
    assert (len(history.batch), history.too_old) == (3_000, filled.readings - 3_000)
    oldest = table["timestamp"].sort_values().iloc[-3_000]
    assert history.batch.timestamps.min() >= oldest.timestamp()


def test_what_people_did_not_report_cannot_be_learned(filled: Filled, plant: Plant) -> None:
    data = datasets_from_kafka(filled.broker.kafka, plant=plant, since=None, progress=no_progress)
    assert learnable(("anomaly", "maintenance"), data)[0] == ("anomaly",)
    with pytest.raises(UsageError, match=r"maintenance: no failure was reported on nexova\.feedback"):
        learnable(("maintenance",), data)


def test_too_few_readings_are_refused_and_leave_nothing_behind(
    filled: Filled, table: pd.DataFrame, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    late = (table["timestamp"].max() - pd.Timedelta(days=1)).isoformat()
    assert filled.train(tmp_path / "models", "anomaly", "--since", late) == 2
    error = capfd.readouterr().err
    assert "readings to learn from, 2,000 are needed (left out:" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_what_arrives_while_it_is_read_is_left_for_the_next_time(
    filled: Filled, table: pd.DataFrame, plant: Plant
) -> None:
    """The last test of the module: it adds to what the broker has."""
    late = table.assign(timestamp=table["timestamp"] + pd.Timedelta(days=60)).iloc[:2_000]
    arrived: list[float] = []

    def more(_step: str, share: float) -> None:
        if not arrived:
            publish(filled.broker, READINGS, as_messages(late, plant))
        arrived.append(share)

    history = read_history(filled.broker.kafka, plant=plant, since=None, progress=more)
    assert len(history.batch) == filled.readings
    assert arrived == sorted(arrived)
    assert arrived[-1] == 1
    again = read_history(filled.broker.kafka, plant=plant, since=None, progress=no_progress)
    assert len(again.batch) == filled.readings + len(late)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--data DIR or --from-kafka says what to learn from, and neither is given"),
        (["--from-kafka", "--data", "."], "and both are given"),
        (["--from-kafka", "--since", "yesterday"], "--since yesterday: "),
        (["--from-kafka", "--since", "2026-03-01T00:00:00"], "has no zone"),
        (["--data", ".", "--since", "2026-03-01T00:00:00Z"], "goes with --from-kafka"),
    ],
)
def test_a_source_that_is_not_clear_is_the_users_mistake(
    arguments: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *arguments]) == 2
    error = capfd.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_no_broker_is_a_failure(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")
    assert run(["train", "--from-kafka"]) == 1
    assert "no Kafka broker answered at 127.0.0.1:9" in capfd.readouterr().err
