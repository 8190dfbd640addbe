"""`nexova feedback`: feedback on an alert from the terminal."""

import getpass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import ValidationError

from runtime.errors import UsageError
from runtime.kafka import wait_for_broker
from runtime.send import send_all
from runtime.settings import KafkaSettings, load_settings
from runtime.topic_reader import read_to_end
from schemas.alerts import Alert
from schemas.feedback import Feedback, FeedbackKind
from schemas.topics import ALERTS, FEEDBACK


class Verb(StrEnum):
    """Kinds of feedback, as named on the command line."""

    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    FALSE_ALARM = "false-alarm"
    EXPECTED = "expected"
    NEW_NORMAL = "new-normal"
    SHELVED = "shelved"
    MAINTENANCE_DONE = "maintenance-done"
    FAILURE = "failure"
    WITHDRAWN = "withdrawn"

    @property
    def kind(self) -> FeedbackKind:
        """Kind of the feedback message."""
        kind: FeedbackKind = "snoozed" if self is Verb.SHELVED else self.value.replace("-", "_")  # type: ignore[assignment]
        return kind


def feedback(
    alert_id: Annotated[str, typer.Argument(help="Id of the alert, as `nexova tail alerts --json` shows it.")],
    verb: Annotated[Verb, typer.Argument(help="Kind of feedback.")],
    *,
    note: Annotated[str | None, typer.Option(help="Reason or remedy, shown to other users.")] = None,
    until: Annotated[
        datetime | None,
        typer.Option(help="End of shelving or of an expected condition, in UTC.", formats=["%Y-%m-%dT%H:%M:%SZ"]),
    ] = None,
    author: Annotated[str | None, typer.Option(help="Your name; default: the user's.")] = None,
) -> None:
    """Give feedback on an alert: false alarm, shelving, expected condition, maintenance done.

    `withdrawn` revokes shelving and raised thresholds of the alert's machine.
    """
    if (verb is Verb.SHELVED) != (until is not None) and verb is not Verb.EXPECTED:
        rule = "needs --until, the end of the shelving" if verb is Verb.SHELVED else "has no end"
        raise UsageError(f"{verb.value} {rule}; --until goes with shelved and expected")
    settings = load_settings()
    wait_for_broker(settings.kafka, max_retries=settings.max_retries)
    alert = find_alert(settings.kafka, alert_id)
    statement = Feedback(
        machine_id=alert.machine_id,
        kind=verb.kind,
        at=datetime.now(UTC),
        alert_id=alert_id,
        until=None if until is None else until.replace(tzinfo=UTC),
        author=author or getpass.getuser(),
        comment=note,
    )
    send_all(settings.kafka, FEEDBACK, [(alert.machine_id, statement)])
    typer.echo(f"{verb.value} recorded for {alert.machine_id}: {alert.summary}")


def find_alert(kafka: KafkaSettings, alert_id: str) -> Alert:
    """Return the newest message of an alert.

    Raises:
        UsageError: no alert has that id.
        BrokerUnavailable, TopicMissing: the topic cannot be read.
    """
    found: Alert | None = None
    for records, _ in read_to_end(kafka, ALERTS):
        for record in records:
            if record.key == alert_id.encode() and record.value is not None:
                try:
                    found = Alert.model_validate_json(record.value)
                except ValidationError:
                    continue
    if found is None:
        raise UsageError(f"alert {alert_id!r} is not on {ALERTS}; `nexova tail alerts --json` lists the ids")
    return found
