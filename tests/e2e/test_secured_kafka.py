"""A real Kafka with TLS, passwords, client certificates and an authorizer: the rights that are printed, and refusals.

From a reading to the receiver of its alert everything runs with what `nexova topics acl` prints and nothing more. Where
any of it is missing, one line says so.
"""

import json
import os
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from cli.main import run
from runtime.children import Child, child_process, free_port
from runtime.granted import missing_rights
from runtime.kafka import create_topics, readers_of
from runtime.models.repository import ModelRepository
from runtime.rights import RIGHTS, Acl, acls_of
from runtime.settings import KafkaSettings, load_settings
from schemas.topics import ALERTS, MODELS
from tests.e2e.workers import eventually, read_all
from tests.forwarder.receivers import Received, http_receiver
from tests.model_repository import ModelRepositoryBuilder, anomaly_files
from tests.secured_kafka import Authority, SecuredKafka, secured_kafka

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

GROUP = KafkaSettings().group


def printed(process: str, principal: str, capfd: pytest.CaptureFixture[str]) -> list[Acl]:
    """The rights in the commands that `nexova topics acl` prints for this user."""
    capfd.readouterr()
    assert run(["topics", "acl", process, "--principal", principal]) == 0
    kinds = {"--topic": "topic", "--group": "group", "--transactional-id": "transactionalId"}
    found = []
    for line in capfd.readouterr().out.splitlines():
        words = shlex.split(line)
        assert words[words.index("--allow-principal") + 1] == principal
        (option,) = kinds.keys() & set(words)
        operations = tuple(after for word, after in pairwise(words) if word == "--operation")
        prefixed = "prefixed" in words
        name = words[words.index(option) + 1]
        found.append(Acl(kind=kinds[option], name=name, prefixed=prefixed, operations=operations))  # type: ignore[arg-type]
    return found


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as running:
        create_topics(running.open.kafka)
        yield running


@pytest.fixture(scope="module")
def granted(kafka: SecuredKafka) -> SecuredKafka:
    for process in RIGHTS:
        rights = list(acls_of(process, group=GROUP, readers=readers_of(kafka.open.kafka)))
        kafka.grant(f"User:nexova-{process}", rights)
        kafka.grant(f"User:CN=nexova-{process}", rights)
    return kafka


def program(name: str, folder: Path, environment: dict[str, str], *words: str) -> AbstractContextManager[Child]:
    variables = dict(os.environ) | {"MODEL_PATH": str(folder / "models")} | environment
    command = [sys.executable, "-m", "nexova", *words]
    return child_process(name, command, log=folder / f"{name}.log", environment=variables)


def nexova(folder: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    variables = dict(os.environ) | {"MODEL_PATH": str(folder / "models")} | environment
    command = [sys.executable, "-m", "nexova", *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=150)


def answer(port: int, path: str) -> object:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as found:
            return json.load(found)
    except OSError:
        return {}


def too_hot(file: Path) -> Path:
    """A day of four machines, every minute; one of them is far too hot at the end."""
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    rows = ["machine_id,timestamp,power,temperature,vibration,runtime,production"]
    for minute in range(900):
        for machine in range(4):
            hot = 110 if machine == 0 and minute > 880 else 60 + (minute * 7 + machine) % 5
            at = (begin + timedelta(minutes=minute)).isoformat()
            rows.append(f"m-{machine},{at},{40 + minute % 3},{hot},{2 + minute % 2 / 10},{minute / 60:.3f},300")
    file.write_text("\n".join(rows) + "\n")
    return file


def test_from_a_reading_to_the_receiver_of_its_alert_with_the_printed_rights(
    granted: SecuredKafka, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for process in RIGHTS:  # what is printed is what was granted
        expected = acls_of(process, group=GROUP, readers=readers_of(granted.open.kafka))
        assert printed(process, f"User:nexova-{process}", capfd) == list(expected)
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path / "models"), path=tmp_path / "models")
    received, hook, api, worker, pages = Received(), *(free_port() for _ in range(4))
    forward = ["forward", "--to", "webhook", "--url", f"http://127.0.0.1:{hook}/hook", "--group-wait", "0.2"]
    with (
        http_receiver(hook, received),
        program("processor", tmp_path, granted.sasl("processor"), "process", "--port", str(worker)) as processing,
        program("api", tmp_path, granted.mutual_tls("api"), "serve", "--port", str(api)) as serving,
        program("forwarder", tmp_path, granted.sasl("forwarder", NEXOVA_FORWARDER__WEB_PORT=str(pages)), *forward),
    ):
        sent = nexova(
            tmp_path, granted.mutual_tls("producer"),
            "produce", "replay", str(too_hot(tmp_path / "hot.csv")), "--speed", "max",
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        processing.wait_until(lambda: bool(read_all(granted.open, ALERTS)), timeout_seconds=120)
        serving.wait_until(lambda: "m-0" in json.dumps(answer(api, "/alerts")), timeout_seconds=120)
        eventually(
            lambda: "m-0" in json.dumps(received.bodies),
            seconds=120,
            what=lambda: (tmp_path / "forwarder.log").read_text()[-2000:],
        )
        learned = nexova(tmp_path, granted.mutual_tls("trainer"), "train", "anomaly", "--from-kafka")
        assert "of 2880 rows are too few" in learned.stderr  # all were read, of machines in warm-up
        version = builder.publish("anomaly", anomaly_files()).name
        promoted = nexova(tmp_path, granted.mutual_tls("trainer"), "models", "promote", "anomaly", version)
        assert promoted.stderr == ""
        assert read_all(granted.open, MODELS)
        for child in (processing, serving):
            child.check()
    for name in ("processor", "api", "forwarder"):
        log = (tmp_path / f"{name}.log").read_text()
        assert "authorization failed" not in log.lower(), log
        assert "Traceback" not in log, log
        assert "-secret" not in log, log


@pytest.mark.parametrize("process", sorted(RIGHTS))
def test_each_right_on_a_topic_that_is_taken_away_is_named(process: str, granted: SecuredKafka) -> None:
    environment = granted.sasl(process)
    fields = {
        name.removeprefix("NEXOVA_KAFKA__").lower(): value
        for name, value in environment.items()
        if name.startswith("NEXOVA_KAFKA__")
    }
    kafka = load_settings(_env_file=None, kafka=fields).kafka
    user = f"User:nexova-{process}"
    rights = [(topic, "Read") for topic in RIGHTS[process].reads]
    rights += [(topic, "Write") for topic in RIGHTS[process].writes]
    # a broker hears of changed rights a moment later
    eventually(
        lambda: missing_rights(kafka, process) == [], seconds=60, what=lambda: str(missing_rights(kafka, process))
    )
    for topic, operation in rights:
        granted.take_away(user, "topic", topic, operation)
    expected = {(topic, operation.lower()) for topic, operation in rights}

    def named() -> set[tuple[str, str]]:
        return {(topic, word) for topic, words in missing_rights(kafka, process) for word in words.split(" and ")}

    eventually(lambda: named() == expected, seconds=60, what=lambda: f"{named()} for {expected}")
    granted.grant(user, list(acls_of(process, group=GROUP, readers=readers_of(kafka))))
    eventually(
        lambda: missing_rights(kafka, process) == [], seconds=60, what=lambda: str(missing_rights(kafka, process))
    )


@pytest.mark.parametrize(
    ("right", "complaint"),
    [
        (("topic", "nexova.alerts", "Write"), "user 'nexova-processor' may not write nexova.alerts"),
        (("group", GROUP, "Read"), f"our user may not read with group {GROUP}"),
        (("transactionalId", f"{GROUP}-", None), f"transactional ids such as {GROUP}-"),
    ],
)
def test_a_worker_without_a_right_ends_with_one_line_that_names_it_and_the_remedy(
    right: tuple[str, str, str | None], complaint: str, granted: SecuredKafka, tmp_path: Path
) -> None:
    user = "User:nexova-processor"
    rights = list(acls_of("processor", group=GROUP, readers=readers_of(granted.open.kafka)))
    granted.grant(user, rights)
    granted.take_away(user, *right)
    try:
        done = nexova(tmp_path, granted.sasl("processor"), "process", "--port", str(free_port()))
    finally:
        granted.grant(user, rights)

    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert complaint in last, done.stderr
    assert "nexova topics acl" in last, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


@pytest.fixture(scope="module")
def certified(kafka: SecuredKafka) -> SecuredKafka:
    """The broker with certificates of a stranger and of an expired client beside those of processes."""
    Authority.create(kafka.folder, "other").issue("stranger")
    kafka.authority.issue("expired", days=-1)
    return kafka


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"SASL_PASSWORD": "wrong-secret"}, "check NEXOVA_KAFKA__SASL_USERNAME, NEXOVA_KAFKA__SASL_PASSWORD"),
        ({"SASL_USERNAME": "nobody"}, "refused user 'nobody'"),
        ({"SSL_CA_FILE": "none.pem"}, "none.pem cannot be read"),
        ({"SSL_CA_FILE": "nexova-api.key"}, "check NEXOVA_KAFKA__SSL_"),
        ({"SSL_CA_FILE": "other.pem"}, "check NEXOVA_KAFKA__SSL_CA_FILE"),
        ({"SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "NEXOVA_KAFKA__SECURITY_PROTOCOL"),
    ],
)
def test_wrong_passwords_and_authorities_are_one_line_with_their_setting(
    changes: dict[str, str], complaint: str, certified: SecuredKafka, tmp_path: Path
) -> None:
    environment = certified.sasl("api", MAX_RETRIES="0")
    for name, value in changes.items():
        environment[f"NEXOVA_KAFKA__{name}"] = str(certified.folder / value) if name == "SSL_CA_FILE" else value
    refused_in_one_line(nexova(tmp_path, environment, "topics", "list"), complaint)


@pytest.mark.parametrize(
    ("client", "complaint"),
    [
        ("stranger", "stranger.pem: check its end and issuer"),
        ("expired", "expired.pem: check its end and issuer"),
        (None, "the broker demands a certificate: set NEXOVA_KAFKA__SSL_CERTIFICATE_FILE"),
    ],
)
def test_a_client_certificate_that_is_refused_or_missing_is_one_line_with_its_setting(
    client: str | None, complaint: str, certified: SecuredKafka, tmp_path: Path
) -> None:
    environment = certified.mutual_tls("api", MAX_RETRIES="0") | {
        "NEXOVA_KAFKA__SSL_CERTIFICATE_FILE": "" if client is None else str(certified.folder / f"{client}.pem"),
        "NEXOVA_KAFKA__SSL_KEY_FILE": "" if client is None else str(certified.folder / f"{client}.key"),
    }
    refused_in_one_line(nexova(tmp_path, environment, "topics", "list"), complaint)


def refused_in_one_line(done: subprocess.CompletedProcess[str], complaint: str) -> None:
    assert done.returncode in {1, 2}, done.stderr
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "secret" not in done.stderr
