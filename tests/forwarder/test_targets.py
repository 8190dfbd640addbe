import json
from datetime import timedelta
from pathlib import Path

import pytest

from forwarder.changes import Notification
from forwarder.targets.alertmanager import as_alertmanager
from forwarder.targets.mail import compose
from forwarder.targets.webhook import as_cloudevent
from forwarder.targets.work_requests import read_plan, request_key
from forwarder.templates import NAMES, fill_json, read_template, values_of
from runtime.errors import UsageError
from tests.forwarder.alerts import START, a_change, an_alert


def test_alertmanagers_labels_do_not_change_while_the_alert_lives() -> None:
    opened = as_alertmanager(an_alert(), now=START)
    raised = as_alertmanager(an_alert(severity="critical", state="updated", minute=3), now=START)
    resolved = as_alertmanager(an_alert(state="resolved", minute=5), now=START)

    assert opened["labels"] == raised["labels"] == resolved["labels"]
    assert resolved["endsAt"] == (START + timedelta(minutes=5)).isoformat()


def test_a_cloudevent_has_what_the_specification_demands_and_the_trace() -> None:
    change = a_change()
    event = as_cloudevent(change)

    assert {"specversion", "id", "source", "type"} <= set(event)
    assert (event["specversion"], event["id"]) == ("1.0", change.position)
    assert "traceparent" not in event
    traced = as_cloudevent(type(change)(what="opened", alert=change.alert, position="p", traceparent="00-ab-cd-01"))
    assert traced["traceparent"] == "00-ab-cd-01"


def test_a_repeated_mail_has_the_same_id_and_a_resolution_refers_to_the_opening() -> None:
    def mail(what: str, position: str) -> object:
        one = Notification(group="g", changes=(a_change(what=what, position=position),))
        return compose(one, sender="a@example.com", recipients=["b@example.com"])

    first, again, resolved = mail("opened", "x/0/1"), mail("opened", "x/0/1"), mail("resolved", "x/0/9")
    assert first["Message-ID"] == again["Message-ID"] != resolved["Message-ID"]  # type: ignore[index]
    assert first["References"] == resolved["References"]  # type: ignore[index]


def test_what_a_sender_wrote_does_not_become_a_header() -> None:
    change = a_change(summary="hot\r\nBcc: everybody@example.com")
    message = compose(Notification(group="g", changes=(change,)), sender="a@example.com", recipients=["b@example.com"])

    assert message["Bcc"] is None


def test_what_is_filled_in_cannot_break_out_of_json() -> None:
    values = values_of(a_change(summary='he said "stop", {"admin": true}\n'))

    assert json.loads(fill_json('{"text": "${summary}"}', values))["text"] == values["summary"]


def test_a_template_may_name_what_there_is_and_nothing_else(tmp_path: Path) -> None:
    good, wrong = tmp_path / "good.json", tmp_path / "wrong.json"
    good.write_text(" ".join(f"${{{name}}}" for name in NAMES))
    wrong.write_text("${no_such_name}")

    assert set(values_of(a_change())) == set(NAMES)
    assert read_template(good)
    with pytest.raises(UsageError, match=r"no_such_name.*use one of what"):
        read_template(wrong)


def test_one_cause_is_a_machine_a_kind_and_a_leading_sensor() -> None:
    same = request_key(an_alert(alert_id="later", minute=60))

    assert request_key(an_alert()) == same
    assert request_key(an_alert("press-02")) != same
    assert request_key(an_alert(kind="limit")) != same


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("certainty = 2", "certainty"), ("= 3", "cannot be read"), ('[outcomes]\nx = ["no"]', "no kind of feedback")],
)
def test_a_wrong_plan_is_named_with_its_rule(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(text)

    with pytest.raises(UsageError, match=complaint):
        read_plan(file)
