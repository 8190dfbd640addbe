"""The console's pages over HTTP, as a browser without scripts sees them."""

import csv
import io
import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import pytest

from api.live.records import read_record
from runtime.logging import AUDIT
from runtime.topic_reader import Record
from schemas.feedback import Feedback
from schemas.topics import ALERTS, FEEDBACK, MACHINES
from tests.api.live_data import a_status, publish
from tests.api.servers import Server, running_server
from tests.brokers import Broker
from tests.console.conftest import OPERATOR, OWN, READER, entry, signed_in
from tests.console.plant_story import HOSTILE, HOSTILE_NOTE, NAMES, an_episode, this_moment
from tests.e2e.workers import eventually, read_all

PAGES = (
    "/",
    "/?layout=table",
    "/console/machines/press-01",
    "/console/machines/press-01?span=day",
    "/console/alerts",
    "/console/alerts?group=all&sort=newest",
    "/console/alerts/episode-006",
    "/console/forecasts",
    "/console/models",
    "/console/sign-in",
)


@pytest.fixture(scope="module")
def guarded(plant_broker: Broker) -> Iterator[Server]:
    tokens = ", ".join([entry("viewer", "read", READER), entry("shift-lead", "operate", OPERATOR)])
    with running_server(kafka={"bootstrap_servers": plant_broker.bootstrap_servers}, api={"tokens": tokens}) as server:
        eventually(lambda: server.get("/ready").status_code == 200, seconds=40, what="the view is complete")
        yield server


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_complete_small_and_asks_for_nothing_from_elsewhere(console: Server, path: str) -> None:
    answer = console.get(path)
    assert answer.status_code == 200
    page = answer.text
    links = re.findall(r'(?:href|src|action)="([^"]+)"', page)
    assert all(link.startswith(("/", "#")) for link in links)
    assert not re.search(r'style="|onclick=|<script>|javascript:', page)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assets = {link.replace("&amp;", "&") for link in links if link.startswith(("/console/assets/", "/assets/"))}
    size = len(answer.content) + sum(len(console.get(link).content) for link in assets)
    assert size < 300_000
    assert {console.get(link).status_code for link in assets} == {200}


@pytest.mark.parametrize("path", PAGES[:8])
def test_every_link_of_a_page_leads_somewhere(console: Server, path: str) -> None:
    links = set(re.findall(r'<a [^>]*?href="(/[^"#]*)"', console.get(path).text))
    wrong = [link for link in links if console.get(link.replace("&amp;", "&")).status_code != 200]
    assert not wrong


def test_the_worst_open_alerts_come_first_and_the_machines_with_them(console: Server) -> None:
    page = console.get("/").text
    machines = re.findall(r'<bdi class="name">([^<]+)</bdi>', page)
    assert machines[:4] == ["press-01", "pump-01", "press-03", "pump-02"], "open alerts, by severity and age"
    assert machines[4:] == ["press-01", "pump-01", "press-03", "pump-02", *sorted(set(NAMES) - set(machines[:4]))]


def test_machines_are_filtered_by_text_type_condition_and_alerts(console: Server) -> None:
    def shown(query: str) -> list[str]:
        return sorted(
            re.findall(r'<li class="tile[^"]*"><a href="/console/machines/([^"]+)"', console.get(f"/?{query}").text)
        )

    assert shown("q=PUMP") == ["pump-01", "pump-02"]
    assert shown("machine_type=compressor") == ["compressor-01", "compressor-02"]
    assert shown("condition=off") == ["compressor-02"]
    assert shown("alerting=true&machine_type=press") == ["press-01", "press-03"]
    assert "No machine matches this filter" in console.get("/?q=nothing-like-that").text


def test_a_page_in_german_has_german_numbers_and_words(console: Server) -> None:
    page = console.get("/", headers={"Accept-Language": "de-DE,de;q=0.9"}).text
    assert '<html lang="de"' in page
    assert "Offene Alarme" in page
    assert "0,90" in page


def test_language_and_colours_are_remembered(console: Server) -> None:
    with httpx.Client(base_url=console.url, timeout=30) as client:
        assert client.post("/console/choose", data={"language": "de", "then": "/"}, headers=OWN).status_code == 303
        assert client.post("/console/choose", data={"theme": "dark", "then": "/"}, headers=OWN).status_code == 303
        page = client.get("/").text
    assert '<html lang="de" data-theme="dark">' in page


def test_what_is_not_known_is_said_with_a_way_on(console: Server) -> None:
    for path in ("/console/machines/nobody", "/console/alerts/nothing"):
        answer = console.get(path)
        assert answer.status_code == 404
        assert "Back to the fleet" in answer.text


def test_the_alert_page_shows_why_what_was_said_before_and_what_else_happened(console: Server) -> None:
    page = console.get("/console/alerts/episode-006").text
    for words in ("82 %", "forklift hit the frame", "episode-001"):
        assert words in page
    assert "false alarm · " in page.replace("<bdi>", "")
    assert "/console/alerts/episode-007" in page, "at the same time elsewhere"


def test_a_fleet_alert_is_shown_once_with_its_members(serve: Callable[..., Server]) -> None:
    server, now = serve(), this_moment()
    view = server.app.state.services.live.view
    members = [an_episode(80 + number, f"press-0{number}", now, alert_id=f"member-{number}") for number in range(3)]
    fleet = an_episode(
        90,
        "default",
        now,
        alert_id="of-all",
        kind="fleet",
        signals=(),
        severity="critical",
        members=tuple(one.alert_id for one in members),
        summary="3 of 4 machines raise alerts within 5 min.",
    )
    for offset, alert in enumerate([*members, fleet, an_episode(91, "mill-01", now, alert_id="alone")]):
        record = read_record(
            Record(topic=ALERTS, partition=0, offset=offset, written_at=0.0, key=b"", value=alert.encode())
        )
        assert record is not None
        view.apply(record)
    page = server.get("/").text
    first = page.index('href="/console/alerts/of-all"')
    assert first < page.index("3 alerts of machines") < page.index('href="/console/alerts/member-0"')
    assert "/console/machines/default" not in page, "a plant is no machine"
    assert "1 critical, 1 warning" in page, "members are not counted again"
    ids = re.findall(r'data-row="([^"]+)"', server.get("/console/alerts").text)
    assert ids[:4] == ["of-all", "member-0", "member-1", "member-2"]
    assert all(one.alert_id in server.get("/console/alerts/of-all").text for one in members)
    assert "3 of 4 machines" in server.get("/console/alerts/member-1").text


def test_what_keeps_alerts_quiet_is_named_with_its_end(serve: Callable[..., Server], tmp_path: Path) -> None:
    now = this_moment()
    text = Path("plants/default.toml").read_text(encoding="utf-8")
    window = (
        f"[[alerts.maintenance]]\nmachines = ['press-*']\nstart = {(now - timedelta(hours=1)).isoformat()}\n"
        f"end = {(now + timedelta(hours=2)).isoformat()}\ncomment = 'bearing <b>change</b>'\n"
    )
    (tmp_path / "plant.toml").write_text(f"{text}\n{window}", encoding="utf-8")
    page = serve(plant_file=tmp_path / "plant.toml").get("/console/alerts").text
    for words in ("What keeps alerts quiet now", "press-*", "maintenance window", "bearing &lt;b&gt;change"):
        assert words in page


def test_an_answer_goes_to_the_topic_and_onto_the_page(console: Server, plant_broker: Broker) -> None:
    answer = console.post(
        "/console/answer",
        data={
            "alert_id": "episode-007",
            "kind": "false_alarm",
            "comment": "<b>door</b> open",
            "then": "/console/alerts/episode-007",
        },
        headers=OWN,
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/alerts/episode-007?done=false_alarm")
    page = console.get(answer.headers["location"]).text
    assert "Recorded: false alarm." in page
    assert "&lt;b&gt;door&lt;/b&gt; open" in page
    written = [Feedback.model_validate_json(value) for _, value in read_all(plant_broker, FEEDBACK) if value]
    assert [(one.kind, one.author) for one in written if one.alert_id == "episode-007"] == [("false_alarm", "local")]


def test_several_alerts_are_acknowledged_at_once(console: Server) -> None:
    data = {"alert_id": ["episode-003", "episode-005"], "kind": "acknowledged", "then": "/console/alerts?group=over"}
    answer = console.post("/console/answer", data=data, headers=OWN)
    assert answer.headers["location"] == "/console/alerts?group=over&done=many&count=2"
    assert "Recorded for 2 alerts" in console.get(answer.headers["location"]).text


def test_a_shelved_alert_leaves_the_open_list_until_it_comes_back(console: Server) -> None:
    data = {"alert_id": "episode-008", "kind": "snoozed", "hours": "8", "then": "/console/alerts"}
    console.post("/console/answer", data=data, headers=OWN)
    assert "episode-008" not in console.get("/console/alerts?group=open").text
    assert "episode-008" in console.get("/console/alerts?group=shelved").text


def test_a_shelving_ends_when_the_plant_says_so_and_can_be_withdrawn(console: Server, plant_broker: Broker) -> None:
    path, tomorrow = "/console/alerts/episode-013", this_moment() + timedelta(days=1)
    alert = an_episode(13, "compressor-01", this_moment() - timedelta(minutes=3))
    publish(plant_broker, ALERTS, [(alert.alert_id, alert)])
    eventually(lambda: console.get(path).status_code == 200, seconds=60, what="the alert is there")
    answer = {"alert_id": alert.alert_id, "kind": "snoozed", "until": f"{tomorrow:%Y-%m-%dT%H:%M}", "then": path}
    page = console.get(console.post("/console/answer", data=answer, headers=OWN).headers["location"]).text
    assert "Recorded: shelved." in page
    assert "Shelved until" in page
    assert alert.alert_id in console.get("/console/alerts?group=shelved").text
    withdrawal = {"alert_id": alert.alert_id, "kind": "withdrawn", "then": path}
    page = console.get(console.post("/console/answer", data=withdrawal, headers=OWN).headers["location"]).text
    assert "Recorded: answers withdrawn." in page
    assert "Shelved until" not in page
    assert alert.alert_id in console.get("/console/alerts?group=open").text
    said = [Feedback.model_validate_json(value) for _, value in read_all(plant_broker, FEEDBACK) if value]
    own = [one for one in said if one.alert_id == alert.alert_id]
    assert [one.kind for one in own] == ["snoozed", "withdrawn"]
    zone = ZoneInfo(console.app.state.services.plant.timezone)
    assert own[0].until == tomorrow.replace(second=0, tzinfo=zone), "an end without a zone is in the plant's"


@pytest.mark.parametrize("kind", ["expected", "new_normal", "maintenance_done"])
def test_an_answer_that_closes_says_so_until_the_alert_is_closed(
    console: Server, plant_broker: Broker, kind: str
) -> None:
    alert = an_episode(14, "press-02", this_moment() - timedelta(minutes=4), alert_id=f"closed-by-{kind}")
    publish(plant_broker, ALERTS, [(alert.alert_id, alert)])
    path = f"/console/alerts/{alert.alert_id}"
    eventually(lambda: console.get(path).status_code == 200, seconds=60, what="the alert is there")
    data = {"alert_id": alert.alert_id, "kind": kind, "comment": "bearing changed", "then": path}
    page = console.get(console.post("/console/answer", data=data, headers=OWN).headers["location"]).text
    assert "The processor closes the alert" in page
    assert "bearing changed" in page
    now = this_moment()
    closed = alert.model_copy(update={"state": "resolved", "updated_at": now, "resolved_at": now})
    publish(plant_broker, ALERTS, [(alert.alert_id, closed)])
    eventually(
        lambda: "The processor closes the alert" not in console.get(path).text, seconds=60, what="the alert is closed"
    )


@pytest.mark.parametrize(
    ("until", "why"), [("tomorrow", "is no time"), ("2999-01-01T00:00", "31 days"), ("2020-01-01T00:00", "is over")]
)
def test_a_shelving_needs_an_end_that_can_be_overseen(console: Server, until: str, why: str) -> None:
    data = {"alert_id": "episode-009", "kind": "snoozed", "until": until, "then": "/console/alerts"}
    answer = console.post("/console/answer", data=data, headers=OWN)
    assert why in console.get(answer.headers["location"]).text


def test_an_answer_that_cannot_be_recorded_says_why(console: Server) -> None:
    answer = console.post(
        "/console/answer", data={"alert_id": "nothing", "kind": "confirmed", "then": "/console/alerts"}, headers=OWN
    )
    assert "Not recorded: alert &#39;nothing&#39; is not known" in console.get(answer.headers["location"]).text


@pytest.mark.parametrize(
    "then", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "javascript:x"]
)
def test_nobody_is_sent_elsewhere(console: Server, then: str) -> None:
    answer = console.post("/console/choose", data={"theme": "dark", "then": then}, headers=OWN)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere.example"}])
def test_a_form_of_another_site_changes_nothing(console: Server, guarded: Server, headers: dict[str, str]) -> None:
    data = {"alert_id": "episode-006", "kind": "false_alarm", "then": "/"}
    assert console.post("/console/answer", data=data, headers=headers).status_code == 403
    with signed_in(guarded, OPERATOR) as client:
        assert client.post("/console/answer", data=data, headers=headers).status_code == 403
        refused = client.post("/alerts/episode-006/feedback", json={"kind": "false_alarm"}, headers=headers)
        assert refused.status_code == 403, "a cookie alone does not open the API to other sites either"


def test_strangers_are_asked_to_sign_in_and_come_back_where_they_were(guarded: Server) -> None:
    answer = guarded.get("/console/alerts/episode-006")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/console/sign-in?then={quote('/console/alerts/episode-006', safe='')}"
    page = guarded.get(answer.headers["location"]).text
    assert 'name="then" value="/console/alerts/episode-006"' in page
    assert "press-01" not in page


def test_a_wrong_token_is_refused_and_not_repeated(guarded: Server) -> None:
    answer = guarded.post("/console/sign-in", data={"token": "wrong-one", "then": "/"}, headers=OWN)
    assert answer.status_code == 401
    assert "This token is not known here" in answer.text
    assert "wrong-one" not in answer.text


def test_the_token_is_kept_where_no_script_reaches_it_and_ends(guarded: Server) -> None:
    answer = guarded.post("/console/sign-in", data={"token": READER, "then": "/"}, headers=OWN)
    cookie = answer.headers["set-cookie"].lower()
    guarded.client.cookies.clear()
    for rule in ("httponly", "samesite=strict", "max-age=43200", "path=/"):
        assert rule in cookie


def test_scopes_decide_what_is_shown_and_what_is_done(guarded: Server) -> None:
    data = {"alert_id": "episode-006", "kind": "acknowledged", "then": "/"}
    with signed_in(guarded, READER) as client:
        page = client.get("/console/alerts/episode-006").text
        assert "Signed in as viewer (read)" in page
        assert "False alarm</button>" not in page
        assert client.post("/console/answer", data=data, headers=OWN).status_code == 403
    with signed_in(guarded, OPERATOR) as client:
        page = client.get("/console/alerts/episode-006").text
        assert "False alarm</button>" in page
        assert client.post("/console/answer", data=data, headers=OWN).status_code == 303
        assert client.post("/console/sign-out", headers=OWN).status_code == 303
        assert client.get("/").status_code == 303


@pytest.fixture(scope="module")
def hostile(plant_broker: Broker, console: Server) -> str:
    """A machine, an alert and notes that try to write into the page."""
    publish(plant_broker, MACHINES, [(HOSTILE, a_status(HOSTILE, timestamp=this_moment()))])
    alert = an_episode(66, HOSTILE, this_moment(), alert_id=f'a"{HOSTILE}', summary=f"=cmd|' /C calc'!A0\n{HOSTILE}")
    publish(plant_broker, ALERTS, [(alert.alert_id, alert)])
    note = Feedback(
        machine_id=HOSTILE,
        kind="confirmed",
        at=this_moment(),
        alert_id=alert.alert_id,
        author=HOSTILE,
        comment=HOSTILE_NOTE,
    )
    publish(plant_broker, FEEDBACK, [(HOSTILE, note)])
    eventually(
        lambda: (
            "episode" in console.get("/console/alerts").text and "&lt;script" in console.get("/console/alerts").text
        ),
        seconds=20,
        what="it is there",
    )
    return alert.alert_id


def test_hostile_names_are_text_everywhere(console: Server, hostile: str) -> None:
    machine = f"/console/machines/{quote(HOSTILE, safe='')}"
    alert = f"/console/alerts/{quote(hostile, safe='')}"
    for path in (machine, alert, "/", "/console/alerts?group=all", "/?layout=table"):
        answer = console.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text


def test_hostile_answers_are_one_line_of_the_log(
    console: Server, hostile: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"alert_id": hostile, "kind": "acknowledged", "comment": HOSTILE_NOTE, "then": "/console/alerts"}
    with caplog.at_level(logging.INFO, AUDIT):
        assert console.post("/console/answer", data=data, headers=OWN).status_code == 303
    lines = [one.getMessage() for one in caplog.records if one.name == AUDIT]
    assert lines
    assert not [line for line in lines if len(line.splitlines()) > 1 or "\u202e" in line]


def test_hostile_names_cannot_break_out_of_the_export(console: Server, hostile: str) -> None:
    rows = list(csv.DictReader(io.StringIO(console.get("/console/alerts.csv").text, newline="")))
    (row,) = [one for one in rows if one["alert_id"] == hostile]
    assert row["machine_id"] == HOSTILE
    assert row["summary"].startswith("'=cmd")
    assert row["comment"] == f"'{HOSTILE_NOTE}"


def test_two_thousand_machines_are_paged(serve: Callable[..., Server]) -> None:
    server = serve()
    view = server.app.state.services.live.view
    for number in range(2_000):
        name = f"machine-{number:04}"
        record = read_record(
            Record(
                topic=MACHINES,
                partition=0,
                offset=number,
                written_at=0.0,
                key=name.encode(),
                value=a_status(name).encode(),
            )
        )
        assert record is not None
        view.apply(record)
    first, last = server.get("/").text, server.get("/?page=34").text
    assert first.count('<li class="tile') == 60
    assert last.count('<li class="tile') == 20
    assert "Page 34 of 34" in last
    assert len(first) < 150_000
