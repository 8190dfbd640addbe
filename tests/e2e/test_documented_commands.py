"""The commands of "start", "describe your plant" and "operate", executed one after another.

What is replaced: placeholders (VERSION, SERIES.csv, dates), and the length of the generated history. What is left out:
Docker and kubectl, which are not here, and `make demo`, which tests/packaging runs in a fresh clone.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.children import child_process, free_port
from runtime.models.repository import ModelRepository
from schemas.topics import HISTORY, READINGS
from tests.brokers import Broker
from tests.cli.command import environment, nexova
from tests.docs.commands import commands_of, replaced
from tests.e2e.workers import Workers, read_all, workers

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SHORTER = ("--days", "20", "--machines", "2")
"""Instead of 180 days of 8 machines."""
DAYS = 6
"""Days of readings that training from Kafka finds."""
OPERATE = ("Changing a model", "Forecasts", "Checks before a start and after a failure", "Capacity")


class Reader:
    """Somebody who types the commands of a page in a folder of their own."""

    def __init__(self, folder: Path, broker: Broker, group: Workers) -> None:
        self.folder, self.broker, self.group = folder, broker, group
        self.variables = {
            "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "NEXOVA_PROCESSOR__WEB_PORT": str(free_port()),
        }
        self.said: dict[str, str] = {}

    def types(self, command: list[str], *more: str) -> str:
        program, *words = command
        assert program == "nexova"
        done = nexova(*words, *more, folder=self.folder, variables=self.variables, seconds=300)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{self.group.logs()}"
        self.said[" ".join(words[:2])] = done.stdout
        return done.stdout


def start(reader: Reader) -> None:
    """Follow "start in five minutes" from the topics to the alerts."""
    demo, *rest = commands_of("index.md")
    assert demo == ["make", "demo", "DURATION=60"]
    for command in rest:
        if command == ["nexova", "process"]:
            reader.group.start()
            reader.group.wait_ready(seconds=180)
        elif command[1:3] == ["produce", "simulate"]:
            words = [sys.executable, "-m", *command]
            log = reader.folder / "simulator.log"
            with child_process("simulator", words, log=log, environment=environment(**reader.variables)) as simulator:
                simulator.wait_until(lambda: len(read_all(reader.broker, READINGS)) > 0, timeout_seconds=120)
        else:
            reader.types(command, *(SHORTER if command[1:3] == ["data", "generate"] else ()))


def operate(reader: Reader) -> None:
    """Follow "operate": another version, its way back, signatures, shadows, imported hours, examinations."""
    # readings to learn from, as the plant would have sent them
    history = ("--days", str(DAYS), "--duration", "0")
    reader.types(["nexova", "produce", "simulate", "--machines", "3", *history])
    since = (datetime.now(UTC) - timedelta(days=DAYS + 1)).isoformat()
    repository = ModelRepository(reader.folder / "models")
    (reader.folder / "SERIES.csv").write_text(
        "timestamp,value\n" + "".join(f"2026-03-02T{hour:02}:00:00Z,{10 + hour}\n" for hour in range(24))
    )
    # the trainer's models of the other section come first, so that there is a version to return to
    commands = list(commands_of("operations.md", *OPERATE))
    commands.sort(key=lambda command: command[1] != "train")
    for command in commands:
        others = [version for version in repository.versions("anomaly") if version != repository.current("anomaly")]
        words = {"VERSION": next(iter(others), "VERSION"), "2026-03-01T00:00:00Z": since}
        said = reader.types(replaced(command, words))
        if command[1:3] == ["models", "keygen"]:
            reader.variables |= dict(line.split("=", 1) for line in said.splitlines() if line.startswith("NEXOVA_"))
        elif command[1:3] == ["models", "verify"]:
            # the versions of the next sections are not signed, which trusted keys would refuse
            del reader.variables["NEXOVA_MODELS__TRUSTED_KEYS"]


def test_the_commands_of_start_and_operate_lead_where_they_say(fresh_apache_kafka: Broker, tmp_path: Path) -> None:
    with workers(fresh_apache_kafka, tmp_path) as group:
        reader = Reader(tmp_path, fresh_apache_kafka, group)
        start(reader)
        operate(reader)

        assert {"models report", "models rollback", "models verify", "history import", "capacity --machines"} <= set(
            reader.said
        )
        assert len(read_all(fresh_apache_kafka, HISTORY)) > 0
        assert all(worker.process.poll() is None for worker in group.started), group.logs()


def test_a_plant_is_described_from_its_data(fresh_tansu: Broker, tmp_path: Path) -> None:
    with workers(fresh_tansu, tmp_path) as group:
        reader = Reader(tmp_path, fresh_tansu, group)
        for command in commands_of("plant.md"):
            reader.types(command)

    assert "no rule is broken" in reader.said["plant check"]
    assert {"anomaly", "maintenance"} <= set(ModelRepository(tmp_path / "models").names())
