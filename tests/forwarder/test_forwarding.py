"""Alerts on a broker, the forwarder as a process, and a receiver that is killed and restarted: nothing is lost."""

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from forwarder.source import ends_of, read_until
from runtime.children import Child, child_process, free_port, port_answers
from runtime.kafka import consumer_config, create_topics
from schemas.dead_letters import DeadLetter
from schemas.feedback import Feedback
from schemas.topics import ALERTS, DEAD_LETTERS, FEEDBACK
from tests.brokers import Broker, running_tansu, unavailable
from tests.e2e.workers import eventually
from tests.forwarder.alerts import an_alert, publish
from tests.forwarder.receivers import Received, http_receiver, mail_receiver


@pytest.fixture
def broker() -> Iterator[Broker]:
    with running_tansu() as running:
        create_topics(running.kafka)
        yield running


@contextmanager
def forwarding(broker: Broker, folder: Path, *options: str) -> Iterator[Child]:
    environment = os.environ | {
        "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "NEXOVA_FORWARDER__WEB_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "nexova", "forward", "--group-wait", "0.2", "--refresh", "1", *options]
    with child_process("forwarder", command, log=folder / "forwarder.log", environment=environment) as child:
        yield child


def until(child: Child, condition: Callable[[], bool]) -> None:
    child.wait_until(condition, timeout_seconds=90)


def committed(broker: Broker, group: str) -> int:
    """How many alerts a group of forwarders has dealt with."""
    reader = Consumer(consumer_config(broker.kafka, group))
    try:
        partitions = reader.list_topics(ALERTS, timeout=20).topics[ALERTS].partitions
        places = [TopicPartition(ALERTS, partition) for partition in partitions]
        return sum(max(0, place.offset) for place in reader.committed(places, timeout=20))
    finally:
        reader.close()


def story(machines: range, state: str) -> list[Any]:
    return [an_alert(f"m-{number:02}", state=state, minute=number) for number in machines]


@pytest.mark.long
def test_a_webhook_that_is_away_and_a_forwarder_that_is_killed_lose_nothing(broker: Broker, tmp_path: Path) -> None:
    received, port = Received(), free_port()
    options = ("--to", "webhook", "--url", f"http://127.0.0.1:{port}/hook", "--timeout", "2")

    def seen(what: str) -> set[str]:
        return {
            change["alert"]["machine_id"]
            for body in received.bodies
            for change in body["changes"]
            if change["what"] == what
        }

    with forwarding(broker, tmp_path, *options) as forwarder:
        with http_receiver(port, received):
            publish(broker, story(range(5), "opened"))
            until(forwarder, lambda: len(seen("opened")) == 5)
        publish(broker, story(range(5, 10), "opened"))
        until(forwarder, lambda: forwarder.logged("not delivered"))
        forwarder.process.kill()
        forwarder.process.wait()
    publish(broker, story(range(10), "resolved"))
    with forwarding(broker, tmp_path, *options) as forwarder:
        until(forwarder, lambda: forwarder.logged("not delivered"))
        received.fail = [503, 429]
        with http_receiver(port, received):
            until(forwarder, lambda: len(seen("resolved")) == 10)

    # what opened and was resolved while the receiver was away is said once, as resolved
    assert seen("opened") >= {f"m-{number:02}" for number in range(5)}
    assert len(received.keys) == len(set(received.keys)), "a delivery that was repeated can be told by its key"


def test_what_a_receiver_refuses_for_good_becomes_a_dead_letter_and_the_rest_goes_on(
    broker: Broker, tmp_path: Path
) -> None:
    received, port = Received(fail=[422]), free_port()
    template = tmp_path / "body.json"
    template.write_text('{"text": "${summary}"}')
    with (
        http_receiver(port, received),
        forwarding(
            broker, tmp_path, "--to", "webhook", "--url", f"http://127.0.0.1:{port}/", "--template", str(template)
        ) as forwarder,
    ):
        publish(broker, [an_alert("refused")])
        until(forwarder, lambda: not received.fail)
        publish(broker, [an_alert("taken")])
        until(forwarder, lambda: bool(received.bodies))
        eventually(lambda: bool(ends_of(broker.kafka, DEAD_LETTERS)), seconds=60, what="a dead letter")

    assert received.bodies == [{"text": "taken: vibration 7.1 mm/s instead of 2.3."}]
    (message,) = read_until(broker.kafka, ends_of(broker.kafka, DEAD_LETTERS))
    letter = DeadLetter.model_validate_json(message.value() or b"")
    assert (letter.reason, letter.source.topic) == ("refused_by_receiver", "nexova.alerts")
    assert "422" in letter.detail


def test_cloudevents_arrive_as_a_batch(broker: Broker, tmp_path: Path) -> None:
    received, port = Received(), free_port()
    options = ("--to", "webhook", "--cloudevents", "--group-by", "none", "--url", f"http://127.0.0.1:{port}/")
    with http_receiver(port, received), forwarding(broker, tmp_path, *options) as forwarder:
        publish(broker, story(range(3), "opened"))
        until(forwarder, lambda: sum(len(body) for body in received.bodies) == 3)

    events = [event for body in received.bodies for event in body]
    assert {event["type"] for event in events} == {"io.nexova.alert.opened.v1"}
    assert len({event["id"] for event in events}) == 3


@pytest.mark.long
def test_mail_waits_for_its_server_and_comes_once(broker: Broker, tmp_path: Path) -> None:
    received, port = Received(), free_port()
    options = ("--to", "smtp", "--url", f"smtp://127.0.0.1:{port}", "--mail-to", "shift@example.com", "--timeout", "5")
    with forwarding(broker, tmp_path, *options) as forwarder:
        with mail_receiver(port, received):
            publish(broker, [an_alert()])
            until(forwarder, lambda: len(received.mails) == 1)
        publish(broker, [an_alert(state="resolved", minute=9)])
        until(forwarder, lambda: forwarder.logged("not delivered"))
        received.fail = [451]
        with mail_receiver(port, received):
            until(forwarder, lambda: len(received.mails) == 2)

    opened, resolved = received.mails
    assert opened["Subject"].startswith("[opened warning] press-01: vibration")
    assert resolved["Subject"].startswith("[resolved")
    assert resolved["References"] == opened["References"]


@pytest.mark.long
def test_a_real_alertmanager_shows_what_is_open_also_after_it_lost_its_memory(broker: Broker, tmp_path: Path) -> None:
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        unavailable(
            "no Alertmanager; install it (Debian: apt-get install --no-install-recommends prometheus-alertmanager)"
        )
    port = free_port()
    configuration = tmp_path / "alertmanager.yml"
    configuration.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")

    @contextmanager
    def alertmanager(life: int) -> Iterator[Child]:
        command = [
            str(program), f"--config.file={configuration}", f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=", f"--storage.path={tmp_path / str(life)}",
        ]  # fmt: skip
        with child_process("Alertmanager", command, log=tmp_path / f"alertmanager-{life}.log") as child:
            child.wait_until(lambda: port_answers(port), timeout_seconds=60)
            yield child

    def active() -> set[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/alerts?active=true", timeout=10) as answer:
            return {one["labels"]["machine_id"] for one in json.load(answer)}

    options = ("--to", "alertmanager", "--url", f"http://127.0.0.1:{port}", "--timeout", "5")
    with ExitStack() as stack:
        forwarder = stack.enter_context(forwarding(broker, tmp_path, *options))
        with alertmanager(1) as first:
            publish(broker, story(range(3), "opened"))
            until(forwarder, lambda: active() == {"m-00", "m-01", "m-02"})
            first.process.kill()
            first.process.wait()
        publish(broker, story(range(1), "resolved"))
        until(forwarder, lambda: forwarder.logged("not delivered"))
        with alertmanager(2):
            until(forwarder, lambda: active() == {"m-01", "m-02"})


@pytest.mark.long
def test_work_requests_are_one_a_machine_and_cause_and_their_closure_is_feedback(
    broker: Broker, tmp_path: Path
) -> None:
    received, port = Received(), free_port()
    plan = tmp_path / "plan.toml"
    plan.write_text('certainty = 0.9\n[assets]\npress-01 = { asset = "4711", location = "HALL-2" }\n')
    options = (
        *("--to", "cmms", "--url", f"http://127.0.0.1:{port}/requests", "--plan", str(plan), "--timeout", "2"),
        *("--min-severity", "warning"),
    )

    def statements() -> list[Feedback]:
        found = read_until(broker.kafka, ends_of(broker.kafka, FEEDBACK))
        return [Feedback.model_validate_json(message.value() or b"") for message in found]

    with forwarding(broker, tmp_path, *options) as forwarder:
        with http_receiver(port, received):
            publish(broker, [an_alert(), an_alert("unsure", confidence=0.5)])
            until(forwarder, lambda: len(received.requests) == 1)
            # the same cause again, as another alert
            publish(broker, [an_alert(alert_id="press-01-anomaly-2", minute=30), an_alert("press-02")])
            until(forwarder, lambda: len(received.requests) == 2)
        publish(broker, [an_alert("press-03")])
        until(forwarder, lambda: forwarder.logged("not delivered"))
        forwarder.process.kill()
        forwarder.process.wait()
    first = next(one for one in received.requests.values() if one["machine_id"] == "press-01")
    assert (first["asset"], first["functional_location"], first["cause"]) == ("4711", "HALL-2", "vibration")
    first |= {"state": "closed", "outcome": "repaired", "closed_at": "2026-03-02T08:00:00Z"}
    for _ in range(2):  # a second start finds that all is said
        with http_receiver(port, received), forwarding(broker, tmp_path, *options) as forwarder:
            until(forwarder, lambda: len(received.requests) == 3 and len(statements()) == 2)

    assert {(one.machine_id, one.kind, one.alert_id) for one in statements()} == {
        ("press-01", "maintenance_done", "press-01-anomaly-1"),
        ("press-01", "confirmed", "press-01-anomaly-1"),
    }
    assert sorted(one["machine_id"] for one in received.requests.values()) == ["press-01", "press-02", "press-03"]
