"""`nexova feedback` on a broker of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.kafka import create_topics
from runtime.send import send_all
from schemas.alerts import Alert, AlertModel
from schemas.feedback import Feedback
from schemas.topics import ALERTS, CATALOGUE, FEEDBACK
from tests.brokers import Broker, running_tansu
from tests.cli.command import nexova
from tests.e2e.workers import read_all

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALERT = Alert(
    alert_id="0123456789abcdef0123",
    machine_id="press-01",
    kind="limit",
    severity="critical",
    state="opened",
    opened_at=NOON,
    updated_at=NOON,
    peak_score=1.0,
    threshold=0.5,
    readings=4,
    signals=(),
    summary="press-01: temperature is 150 °C, above its critical limit of 120 °C.",
    model=AlertModel(name="plant", version="1", level="rule"),
    confidence=1.0,
)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with running_tansu() as broker:
        create_topics(broker.kafka, CATALOGUE)
        send_all(broker.kafka, ALERTS, [(ALERT.alert_id, ALERT)])
        yield broker


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["false-alarm", "--note", "the sensor was being calibrated"], "false_alarm"),
        (["shelved", "--until", "2026-03-02T06:00:00Z"], "snoozed"),
        (["new-normal"], "new_normal"),
    ],
)
def test_a_statement_stands_on_its_topic_under_the_alerts_machine(
    broker: Broker, tmp_path: Path, arguments: list[str], kind: str
) -> None:
    done = nexova(
        "feedback",
        ALERT.alert_id,
        *arguments,
        "--author",
        "ada",
        folder=tmp_path,
        variables={"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{arguments[0]} recorded for press-01: {ALERT.summary}\n"
    said = [(key, Feedback.model_validate_json(value)) for key, value in read_all(broker, FEEDBACK) if value]
    key, statement = next(one for one in said if one[1].kind == kind)
    assert key == b"press-01"
    assert (statement.alert_id, statement.author) == (ALERT.alert_id, "ada")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ffffffffffffffffffff", "confirmed"], "is not on nexova.alerts"),
        ([ALERT.alert_id, "shelved"], "shelved needs --until"),
        ([ALERT.alert_id, "confirmed", "--until", "2026-03-02T06:00:00Z"], "confirmed has no end"),
        ([ALERT.alert_id, "nonsense"], "nonsense"),
    ],
)
def test_what_cannot_be_said_is_one_line_and_exit_code_2(
    broker: Broker, tmp_path: Path, arguments: list[str], words: str
) -> None:
    variables = {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    done = nexova("feedback", *arguments, folder=tmp_path, variables=variables)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
