import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from confluent_kafka import Producer

from core.assess import assess
from core.batch import ReadingBatch
from core.models import Models
from core.state.fleet import FleetState
from runtime.kafka import create_topics, producer_config
from runtime.plants import load_plant
from schemas.feedback import Feedback
from schemas.topics import (
    ALERTS,
    CATALOGUE,
    ENERGY,
    FEEDBACK,
    FORECASTS,
    MACHINES,
    READINGS,
    RECOMMENDATIONS,
    SCORES,
    Topic,
)
from tests.api.live_data import NOON, Event, a_forecast, a_status, a_window, advice, an_alert, events, publish
from tests.api.servers import EXAMPLE, Server, running_server
from tests.brokers import Broker, running_apache_kafka, running_tansu
from tests.e2e.workers import eventually, read_all

Serve = Callable[..., Server]


@pytest.fixture(scope="module", params=["tansu", "apache"])
def plant_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker with all topics and a small plant's messages; the tests only add to them."""
    with running_tansu() if request.param == "tansu" else running_apache_kafka() as broker:
        create_topics(broker.kafka)
        machines = ["press-01", "press-02", "pump-01"]
        publish(broker, MACHINES, [(name, a_status(name)) for name in machines])
        publish(broker, MACHINES, [("pump-01", a_status("pump-01", condition="off", alerts_open=1))])
        publish(broker, RECOMMENDATIONS, [("press-01", advice()), ("pump-01", advice("pump-01", risk_level=2.7))])
        publish(broker, ENERGY, [(a_window(hour=hour).key, a_window(hour=hour)) for hour in (1, 0, 2)])
        publish(broker, ENERGY, [(a_window().key, a_window(revision=1, energy_kwh=57.0))])
        publish(broker, FORECASTS, [("press-01", a_forecast())])
        publish(broker, ALERTS, [(f"alert-{n:04}", an_alert(n, minutes=n)) for n in range(1, 8)])
        publish(broker, ALERTS, [("alert-0003", an_alert(3, minutes=3, state="resolved", resolved_at=NOON))])
        publish(broker, ALERTS, [("broken", b'{"alert_id": 5}')])
        reading = {"machine_id": "press-01", "timestamp": "2026-03-01T12:00:00Z", "power": 55.0}
        publish(broker, READINGS, [("press-01", json.dumps(reading | {"power": float(n)}).encode()) for n in range(5)])
        publish(broker, READINGS, [("press-01", json.dumps([reading, reading | {"machine_id": "x"}]).encode())])
        score = {"machine_id": "press-01", "timestamp": "2026-03-01T12:00:00Z", "anomaly_score": 0.3}
        publish(broker, SCORES, [("press-01", json.dumps(score).encode())])
        yield broker


@pytest.fixture(scope="module")
def live(plant_broker: Broker) -> Iterator[Server]:
    with running_server(kafka={"bootstrap_servers": plant_broker.bootstrap_servers}) as server:
        wait_ready(server)
        yield server


def wait_ready(server: Server) -> None:
    eventually(lambda: server.get("/ready").status_code == 200, seconds=60, what="the view is complete")


def served(serve: Serve, broker: Broker, **settings: object) -> Server:
    server = serve(kafka={"bootstrap_servers": broker.bootstrap_servers}, **settings)
    wait_ready(server)
    return server


def test_machines_are_listed_by_name_and_filtered(live: Server) -> None:
    body = live.get("/machines").json()
    assert [one["machine_id"] for one in body["machines"]] == ["press-01", "press-02", "pump-01"]
    assert (body["total"], body["next"], body["stale"]) == (3, None, False)
    found = {
        query: [one["machine_id"] for one in live.get(f"/machines?{query}").json()["machines"]]
        for query in ("condition=off", "machine_type=press", "alerting=true", "limit=1&after=press-01")
    }
    assert found == {
        "condition=off": ["pump-01"],
        "machine_type=press": ["press-01", "press-02"],
        "alerting=true": ["pump-01"],
        "limit=1&after=press-01": ["press-02"],
    }


def test_a_machine_comes_with_its_open_alerts_and_its_advice(live: Server) -> None:
    body = live.get("/machines/press-01").json()
    assert body["condition"] == "running"
    assert "alert-0003" not in [alert["alert_id"] for alert in body["alerts"]]
    assert body["recommendation"]["band"] == "plan"
    assert live.get("/machines/press-02").json()["recommendation"] is None


def test_readings_and_scores_of_a_machine_are_its_newest(live: Server) -> None:
    def powers() -> list[float]:
        return [one["power"] for one in live.get("/machines/press-01/readings").json()["readings"]]

    eventually(lambda: len(powers()) == 6, seconds=60, what="six readings")
    assert powers() == [0.0, 1.0, 2.0, 3.0, 4.0, 55.0]
    eventually(
        lambda: [one["anomaly_score"] for one in live.get("/machines/press-01/scores").json()["scores"]] == [0.3],
        seconds=60,
        what="the score",
    )


def test_energy_comes_in_order_and_in_its_newest_revision(live: Server) -> None:
    windows = live.get("/machines/press-01/energy").json()["windows"]
    assert [(one["energy_kwh"], one["revision"]) for one in windows] == [(57.0, 1), (55.0, 0), (55.0, 0)]


def test_alerts_are_paged_newest_first_without_gap_or_repetition(live: Server) -> None:
    seen: list[str] = []
    after = None
    while True:
        query = {"limit": "3", "opened_until": "2026-03-01T13:00:00Z"} | ({"after": after} if after else {})
        body = live.get("/alerts", params=query).json()
        seen += [alert["alert_id"] for alert in body["alerts"]]
        after = body["next"]
        if after is None:
            break
    assert seen == [f"alert-{number:04}" for number in range(7, 0, -1)]
    assert body["total"] == 7


def test_alerts_are_filtered(live: Server) -> None:
    resolved = live.get("/alerts?state=resolved").json()["alerts"]
    assert [alert["alert_id"] for alert in resolved] == ["alert-0003"]
    assert live.get("/alerts?machine_id=pump-01").json()["total"] == 0
    assert live.get("/alerts?severity=critical").json()["total"] == 0


def test_advice_comes_highest_risk_first(live: Server) -> None:
    body = live.get("/recommendations").json()
    assert [one["machine_id"] for one in body["recommendations"]] == ["pump-01", "press-01"]
    assert live.get("/recommendations?band=urgent").json()["total"] == 0


def test_pages_of_advice_go_on_where_the_one_before_ended(live: Server) -> None:
    first = live.get("/recommendations?limit=1").json()
    second = live.get("/recommendations", params={"limit": 1, "after": first["next"]}).json()
    assert [one["machine_id"] for page in (first, second) for one in page["recommendations"]] == ["pump-01", "press-01"]
    assert second["next"] is None
    assert live.get("/recommendations?after=banana").status_code == 422


def test_the_forecast_of_a_series_is_the_newest(live: Server) -> None:
    assert live.get("/forecasts").json()["series"] == ["press-01"]
    assert live.get("/forecasts/press-01").json()["model"] == "seasonal_median"


@pytest.mark.parametrize("path", ["/machines/x", "/machines/x/energy", "/alerts/x", "/forecasts/x"])
def test_what_nobody_knows_is_404_with_a_remedy(live: Server, path: str) -> None:
    answer = live.get(path)
    assert answer.status_code == 404
    assert "'x' is not known; GET " in answer.json()["detail"]


@pytest.mark.parametrize(
    "query", ["limit=0", "after=banana", "kind=odd", "opened_from=yesterday", "opened_from=2026-03-01T00:00:00"]
)
def test_a_filter_that_means_nothing_is_refused(live: Server, query: str) -> None:
    assert live.get(f"/alerts?{query}").status_code == 422


def test_an_unreadable_message_is_left_out(live: Server) -> None:
    assert "broken" not in live.get("/alerts").text
    assert live.get("/health").json()["kafka"] == {"status": "up", "view": "complete"}


def test_feedback_is_on_the_topic_in_the_view_and_in_the_log_of_changes(
    live: Server, plant_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="nexova.audit")
    answer = live.post(
        "/alerts/alert-0002/feedback", json={"kind": "false_alarm", "comment": "cleaning", "author": "ana"}
    )
    assert answer.status_code == 201
    assert answer.json()["in_view"] is True
    said = live.get("/alerts/alert-0002").json()["feedback"]
    assert [(one["kind"], one["author"], one["comment"]) for one in said] == [("false_alarm", "ana", "cleaning")]
    messages = [Feedback.model_validate_json(value or b"") for _, value in read_all(plant_broker, FEEDBACK)]
    assert [one.comment for one in messages if one.alert_id == "alert-0002"] == ["cleaning"]
    assert ["alert-0002" in line and "by local" in line for line in caplog.messages] == [True]
    assert live.get("/alerts?acknowledged=true").json()["total"] >= 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"kind": "banana"}, "/kind"),
        ({"kind": "snoozed"}, "needs `until`"),
        ({"kind": "snoozed", "until": "2020-01-01T00:00:00Z"}, "is over already"),
        ({"kind": "confirmed", "until": "2099-01-01T00:00:00Z"}, "means nothing for confirmed"),
        ({"kind": "acknowledged", "comment": "x" * 2001}, "/comment"),
        ({"kind": "acknowledged", "mood": "bad"}, "/mood"),
    ],
)
def test_feedback_that_cannot_be_is_refused(live: Server, body: dict[str, str], words: str) -> None:
    answer = live.post("/alerts/alert-0001/feedback", json=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_a_snooze_has_an_end(live: Server) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert live.post("/alerts/alert-0001/feedback", json={"kind": "snoozed", "until": until}).status_code == 201


def test_feedback_on_an_alert_that_nobody_knows_is_404(live: Server) -> None:
    assert live.post("/alerts/x/feedback", json={"kind": "confirmed"}).status_code == 404


def test_an_alert_reaches_a_client_of_the_stream_within_two_seconds(live: Server, plant_broker: Broker) -> None:
    with events(live.url) as stream:
        assert next(stream).name == "position"
        begun = time.monotonic()
        publish(plant_broker, ALERTS, [("alert-0100", an_alert(100, minutes=100))])
        event = next(one for one in stream if one.name == "alert")
        assert time.monotonic() - begun < 2
    assert json.loads(event.data)["alert_id"] == "alert-0100"


def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(live: Server, plant_broker: Broker) -> None:
    def batch(first: int) -> list[tuple[str, object]]:
        return [
            (f"alert-{n:04}", an_alert(n, machine_id=f"press-{n % 9}", minutes=n)) for n in range(first, first + 40)
        ]

    seen: list[Event] = []
    last_id = None
    for first in (1000, 1040, 1080):
        if last_id is not None:
            publish(plant_broker, ALERTS, batch(first))  # while nobody listens
        with events(live.url, last_id=last_id) as stream:
            if last_id is None:
                seen.append(next(stream))
                publish(plant_broker, ALERTS, batch(first))
            # the line breaks in the middle of what there is
            wanted = first - 1000 + 30
            while sum(one.name == "alert" for one in seen) < wanted:
                seen.append(next(stream))
            last_id = seen[-1].id
    with events(live.url, last_id=last_id) as stream:
        while sum(one.name == "alert" for one in seen) < 120:
            seen.append(next(stream))
    found = [json.loads(one.data)["alert_id"] for one in seen if one.name == "alert"]
    assert sorted(found) == [f"alert-{n:04}" for n in range(1000, 1120)]


def test_a_client_may_come_back_to_another_server(live: Server, plant_broker: Broker, serve: Serve) -> None:
    with events(live.url) as stream:
        position = next(stream).id
    publish(plant_broker, ALERTS, [(f"alert-{n}", an_alert(n, minutes=n)) for n in range(2000, 2010)])
    other = served(serve, plant_broker)
    with events(other.url, last_id=position) as stream:
        found = [json.loads(next(stream).data)["alert_id"] for _ in range(10)]
    assert sorted(found) == [f"alert-{n}" for n in range(2000, 2010)]


def test_nothing_is_missed_between_a_list_and_the_stream(live: Server, plant_broker: Broker) -> None:
    position = live.get("/alerts").json()["position"]
    publish(plant_broker, ALERTS, [("alert-3000", an_alert(3000, minutes=3000))])
    eventually(lambda: live.get("/alerts/alert-3000").status_code == 200, seconds=60, what="the alert in the view")
    with events(live.url, since=position, topics="alert") as stream:
        assert json.loads(next(stream).data)["alert_id"] == "alert-3000"


def test_a_client_without_an_id_begins_now_and_one_that_asks_for_the_start_gets_all(live: Server) -> None:
    with events(live.url, last_id="", topics="forecast") as stream:
        assert next(stream).name == "position"
    with events(live.url, since="start", topics="forecast") as stream:
        assert next(stream).name == "forecast"


def test_a_position_that_means_nothing_is_answered_by_a_reset(live: Server) -> None:
    for nonsense in ("banana", "a.____________", "a." + "A" * 20, "a.f39_f38"):
        with events(live.url, last_id=nonsense) as stream:
            first = next(stream)
            if first.name != "reset":
                assert nonsense == "a." + "A" * 20  # zeros: all that is known comes
                continue
            assert "read the lists again" in first.data


def test_a_stream_of_one_machine_brings_only_that(live: Server, plant_broker: Broker) -> None:
    with events(live.url, machine_id="pump-01", topics="alert,machine") as stream:
        next(stream)
        publish(plant_broker, ALERTS, [("alert-4000", an_alert(4000, minutes=1))])
        publish(plant_broker, MACHINES, [("pump-01", a_status("pump-01", condition="off", alerts_open=1))])
        assert next(stream).name == "machine"


def test_a_stream_of_unknown_events_is_refused(live: Server) -> None:
    answer = live.get("/events?topics=alert,banana")
    assert answer.status_code == 422
    assert "'banana'" in answer.json()["detail"]


def test_there_are_no_more_streams_than_allowed(plant_broker: Broker, serve: Serve) -> None:
    server = served(serve, plant_broker, api={"most_streams": 1})
    with events(server.url) as stream:
        next(stream)
        answer = server.get("/events")
    assert answer.status_code == 503
    assert "NEXOVA_API__MOST_STREAMS" in answer.json()["detail"]


def test_a_machine_is_held_against_the_baseline_that_the_processor_has(plant_broker: Broker, serve: Serve) -> None:
    plant = load_plant(None)
    count = plant.warm_up_readings + 200
    random = np.random.default_rng(3)
    # a press that draws 30 kW where others draw 55
    values = random.normal([30.0, 40.0, 2.0, 100.0, 200.0], [0.5, 0.5, 0.05, 0.0, 3.0], (count, 5))
    now = time.time()
    batch = ReadingBatch.from_columns(["press-09"] * count, now + 60.0 * np.arange(count), values)
    state = assess(batch, state=FleetState(plant), models=Models(), plant=plant).state
    group = "test-group"
    changelog = Topic(
        name=f"{group}-machines-changelog",
        title="",
        key="",
        message=CATALOGUE[0].message,
        cleanup="compact",
        retention_hours=None,
        description="",
    )
    create_topics(plant_broker.kafka, [changelog])
    publish(plant_broker, MACHINES, [("press-09", a_status("press-09"))])
    server = serve(kafka={"bootstrap_servers": plant_broker.bootstrap_servers, "group": group})
    wait_ready(server)
    partition = server.app.state.services.live.view.machines["press-09"].partition
    producer = Producer(producer_config(plant_broker.kafka))
    for key, record in state.records_of(sorted(state.dirty)):
        producer.produce(changelog.name, record, key, partition)
    assert producer.flush(30) == 0

    usual = {"power": 30.0, "temperature": 40.0, "vibration": 2.0, "runtime": 100.0, "production": 200.0}

    def result(row: dict[str, float]) -> dict[str, object]:
        body = server.post("/anomaly", json={"data": [row], "machine_id": "press-09"}).json()
        return dict(body["results"][0])

    eventually(lambda: result(usual)["baseline"] == "machine", seconds=60, what="the baseline has arrived")
    assert result(usual)["is_anomaly"] is False
    assert result(usual | {"power": 55.0})["is_anomaly"] is True


def test_a_machine_that_still_learns_says_so(live: Server) -> None:
    body = live.post("/anomaly", json={"data": [EXAMPLE], "machine_id": "press-02"}).json()
    assert "has no baseline of its own yet" in body["warnings"][-1]


def test_rows_of_a_machine_that_nobody_knows_are_refused(live: Server) -> None:
    answer = live.post("/anomaly", json={"data": [EXAMPLE], "machine_id": "press-77"})
    assert answer.status_code == 404
    assert "leave out machine_id" in answer.json()["detail"]


def test_without_kafka_the_stateless_endpoints_go_on_and_health_says_so(server: Server) -> None:
    assert server.post("/anomaly", json={"data": [EXAMPLE]}).status_code == 200
    health = server.get("/health").json()
    assert (health["status"], health["kafka"]["status"], health["kafka"]["view"]) == ("degraded", "away", "loading")
    for path in ("/machines", "/alerts", "/ready"):
        answer = server.get(path)
        assert answer.status_code == 503, path
        assert answer.json()["type"] == "urn:nexova:problem:view-loading"
    assert server.post("/alerts/x/feedback", json={"kind": "confirmed"}).status_code == 503


def test_when_kafka_goes_the_view_stays_and_says_that_it_is_old(serve: Serve) -> None:
    with running_tansu() as broker:
        create_topics(broker.kafka)
        publish(broker, MACHINES, [("press-01", a_status())])
        publish(broker, ALERTS, [("alert-0001", an_alert())])
        server = served(serve, broker)
        assert server.get("/machines").json()["stale"] is False
    eventually(lambda: server.get("/machines").json()["stale"] is True, seconds=60, what="the view is known to be old")
    assert server.get("/machines").json()["total"] == 1
    assert server.get("/health").json()["kafka"]["status"] == "away"
    answer = server.post("/alerts/alert-0001/feedback", json={"kind": "confirmed"})
    assert answer.status_code == 503
    assert "nothing was recorded" in answer.json()["detail"]


def test_a_missing_topic_is_named(serve: Serve, fresh_tansu: Broker) -> None:
    server = serve(kafka={"bootstrap_servers": fresh_tansu.bootstrap_servers})
    eventually(
        lambda: "run `nexova topics create`" in server.get("/health").json()["kafka"].get("detail", ""),
        seconds=60,
        what="health names the missing topics",
    )
    create_topics(fresh_tansu.kafka)
    wait_ready(server)


def test_metrics_tell_of_requests_and_of_the_view(live: Server) -> None:
    assert live.get("/machines").status_code == 200
    text = live.get("/metrics").text
    assert 'nexova_api_requests_total{endpoint="/machines",status="2xx"}' in text
    assert 'nexova_api_view_items{kind="machines"}' in text
    assert "nexova_api_kafka_up 1.0" in text
    assert "nexova_api_alert_response_rate " in text
    assert "press-01" not in text
