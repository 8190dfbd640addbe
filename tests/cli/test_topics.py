import json
import shlex

import pytest

from cli.main import run
from runtime.children import free_port
from runtime.rights import RIGHTS
from schemas.topics import CATALOGUE
from tests.brokers import Broker

NAMES = [topic.name for topic in CATALOGUE]


@pytest.fixture(autouse=True)
def _two_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__PARTITIONS", "2")


def test_topics_are_created_once_and_listed_after(
    fresh_broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", fresh_broker.bootstrap_servers)
    assert run(["topics", "list", "--json"]) == 0
    missing = json.loads(capsys.readouterr().out)
    assert [(topic["name"], topic["partitions"]) for topic in missing] == [(name, 0) for name in NAMES]
    assert run(["topics", "create", "--json"]) == 0
    assert all(topic["created"] for topic in json.loads(capsys.readouterr().out))
    assert run(["topics", "create"]) == 0
    assert run(["topics", "list"]) == 0
    listed = capsys.readouterr().out
    for name in NAMES:
        assert f"{name} " in listed
    assert "created" not in listed
    assert "missing" not in listed


def test_topics_with_other_partitions_are_a_failure_that_names_them(
    fresh_tansu: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", fresh_tansu.bootstrap_servers)
    assert run(["topics", "create"]) == 0
    monkeypatch.setenv("NEXOVA_KAFKA__PARTITIONS", "4")
    assert run(["topics", "create"]) == 1
    captured = capsys.readouterr()
    assert "nexova.readings has 2 partitions, not 4" in captured.err
    assert captured.err.count("\n") == 1


def test_without_a_broker_it_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("MAX_RETRIES", "0")
    assert run(["topics", "create"]) == 1
    captured = capsys.readouterr()
    assert "no Kafka broker answered" in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("process", sorted(RIGHTS))
def test_the_least_rights_of_a_process_are_commands_for_kafka_acls(
    process: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["topics", "acl", process, "--principal", "User:CN={process}"]) == 0
    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    named = {command[command.index("--topic") + 1] for command in commands if "--topic" in command}
    assert {*RIGHTS[process].reads, *RIGHTS[process].writes} <= named
    for command in commands:
        assert command[command.index("--allow-principal") + 1] == f"User:CN={process}"
    assert any("--transactional-id" in command for command in commands) == (process == "processor")
    assert not any(operation in command for command in commands for operation in ("All", "Delete", "Alter"))


def test_rights_of_an_unknown_process_name_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topics", "acl", "procesor"]) == 2
    assert "must be one of producer, processor, trainer, api, forwarder" in capsys.readouterr().err
