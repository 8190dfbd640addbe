"""Alerts at many machines at once become one alert of the plant."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerting.fleet import FleetWatch
from core.alerting.messages import RULE, alert_id
from core.plant import FleetPolicy
from schemas.alerts import Alert, Signal

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_alert(machine: int, *, at: float = 0.0, **changes: Any) -> Alert:
    """An alert of a pump that opens `at` seconds after noon."""
    opened_at = NOON + timedelta(seconds=at)
    machine_id = f"pump-{machine:02d}"
    fields: dict[str, Any] = {
        "alert_id": alert_id(machine_id, "anomaly", opened_at),
        "machine_id": machine_id,
        "kind": "anomaly",
        "severity": "warning",
        "state": "opened",
        "opened_at": opened_at,
        "updated_at": opened_at,
        "peak_score": 0.7,
        "threshold": 0.5,
        "readings": 4,
        "signals": (Signal(sensor="power", actual=1.0, expected=40.0, deviation=-9.0, contribution=0.9),),
        "summary": "power is low",
        "model": RULE,
        "confidence": 1.0,
    }
    return Alert.model_validate(fields | changes)


def resolved(alert: Alert, *, at: float) -> Alert:
    instant = NOON + timedelta(seconds=at)
    return alert.model_copy(update={"state": "resolved", "updated_at": instant, "resolved_at": instant})


def a_watch(machines: int = 8, **policy: Any) -> FleetWatch:
    return FleetWatch(
        plant_name="works",
        policy=FleetPolicy(**policy),
        machines={f"pump-{number:02d}" for number in range(machines)},
    )


def test_a_dip_at_half_of_the_machines_is_one_alert_that_names_its_members() -> None:
    watch = a_watch(machines=8)
    members = [an_alert(number, at=10.0 * number) for number in range(4)]
    said = [watch.take(member) for member in members]
    assert said[:3] == [None, None, None]
    fleet = said[3]
    assert fleet is not None
    assert fleet.kind == "fleet"
    assert fleet.machine_id == "works"
    assert fleet.members == tuple(member.alert_id for member in members)
    assert fleet.opened_at == NOON
    assert fleet.signals[0].sensor == "power"
    assert fleet.summary == (
        "works: 4 alerts at 4 machines since 2026-03-01 12:00:00 UTC, probable common cause, mostly power: "
        "pump-00, pump-01, pump-02, pump-03."
    )


def test_a_later_member_joins_and_the_last_one_that_resolves_ends_it() -> None:
    watch = a_watch(machines=4, minimum_machines=2)
    first, second, third = (an_alert(number, at=20.0 * number) for number in range(3))
    watch.take(first)
    opened = watch.take(second)
    assert opened is not None
    joined = watch.take(third)
    assert joined is not None
    assert (joined.state, joined.alert_id) == ("updated", opened.alert_id)
    assert joined.members == (first.alert_id, second.alert_id, third.alert_id)
    assert watch.take(resolved(first, at=100)) is None
    assert watch.take(resolved(third, at=110)) is None
    ended = watch.take(resolved(second, at=120))
    assert ended is not None
    assert (ended.state, ended.resolved_at) == ("resolved", NOON + timedelta(seconds=120))
    assert watch.current is None


@pytest.mark.parametrize(
    ("openings", "policy", "kind_of_event"),
    [
        pytest.param([0, 10, 20], {"share": 0.5}, None, id="three of eight machines are not half of them"),
        pytest.param([0, 400, 800, 1200], {}, None, id="openings that are far apart have no common cause"),
        pytest.param([0, 10, 20, 30], {}, "common cause", id="four of eight within minutes have"),
        pytest.param([0, 10], {"minimum_machines": 2, "share": 0.25}, "common cause", id="the plant file decides"),
        pytest.param([0, 10, 20], {"flood_openings": 3}, "alarm flood", id="many at once are a flood"),
        pytest.param([0, 10, 20, 30], {"enabled": False}, None, id="it can be switched off"),
    ],
)
def test_when_alerts_are_one_event(openings: list[float], policy: dict[str, Any], kind_of_event: str | None) -> None:
    watch = a_watch(**policy)
    said = [watch.take(an_alert(number, at=at)) for number, at in enumerate(openings)]
    fleet = next((alert for alert in said if alert is not None), None)
    assert (fleet is None) == (kind_of_event is None)
    assert fleet is None or str(kind_of_event) in fleet.summary


def test_alerts_of_one_machine_are_no_fleet() -> None:
    watch = a_watch(machines=1, minimum_machines=2)
    assert [watch.take(an_alert(0, at=at, kind=kind)) for at, kind in ((0, "anomaly"), (5, "limit"))] == [None, None]


def test_the_plants_own_alerts_are_no_members() -> None:
    watch = a_watch(machines=2, minimum_machines=2)
    assert watch.take(an_alert(0, kind="forecast_breach")) is None
    assert watch.take(an_alert(1)) is None


@given(order=st.permutations(range(7)))
def test_the_next_owner_of_the_plant_knows_the_same_from_the_topic_in_whatever_order_it_is_read(
    order: list[int],
) -> None:
    members = [an_alert(number, at=10.0 * number) for number in range(6)]
    first = a_watch(machines=6)
    said = [alert for alert in map(first.take, members) if alert is not None]
    messages = [*members, said[-1]]
    second = a_watch(machines=6)
    second.catching_up = True
    assert [second.take(messages[place]) for place in order] == [None] * 7
    assert second.settle() is None, "what the first owner said is not said again"
    ends = [second.take(resolved(member, at=100 + number)) for number, member in enumerate(members)]
    assert [alert.alert_id for alert in ends if alert is not None and alert.state == "resolved"] == [said[0].alert_id]


def test_what_the_last_owner_did_not_say_any_more_is_said_by_the_next() -> None:
    watch = a_watch(machines=4)
    watch.catching_up = True
    for number in range(3):
        watch.take(an_alert(number))
    opened = watch.settle()
    assert opened is not None
    assert (opened.state, len(opened.members)) == ("opened", 3)
    assert watch.settle() is None


def test_a_second_cause_joins_while_the_alert_of_the_first_is_open() -> None:
    watch = a_watch(machines=8)
    for number in range(4):
        watch.take(an_alert(number))
    later = [an_alert(number, at=900.0) for number in range(4, 8)]
    said = [watch.take(alert) for alert in later]
    assert said[:3] == [None] * 3, "three of eight machines are no common cause"
    assert said[3] is not None
    assert said[3].state == "updated"
    assert set(said[3].members) >= {alert.alert_id for alert in later}


def test_members_that_joined_while_nobody_owned_the_plant_are_named_by_the_next_owner() -> None:
    members = [an_alert(number) for number in range(5)]
    first = a_watch(machines=6)
    said = [alert for alert in map(first.take, members[:3]) if alert is not None]
    second = a_watch(machines=6)
    second.catching_up = True
    for message in (*members[:3], said[-1], *members[3:]):
        second.take(message)
    grown = second.settle()
    assert grown is not None
    assert (grown.alert_id, grown.state) == (said[0].alert_id, "updated")
    assert set(grown.members) == {member.alert_id for member in members}


def test_a_fleet_alert_whose_members_ended_while_nobody_owned_the_plant_is_resolved() -> None:
    members = [an_alert(number) for number in range(3)]
    first = a_watch(machines=4)
    said = [alert for alert in map(first.take, members) if alert is not None]
    second = a_watch(machines=4)
    second.catching_up = True
    for message in (said[-1], *(resolved(member, at=60) for member in members)):
        second.take(message)
    ended = second.settle()
    assert ended is not None
    assert (ended.alert_id, ended.state) == (said[0].alert_id, "resolved")


@given(echoes=st.lists(st.booleans(), min_size=40, max_size=40))
def test_the_fleet_alerts_own_messages_change_nothing_whenever_they_are_read(echoes: list[bool]) -> None:
    """All at one instant, as of machines that report once a minute: the messages cannot be told apart by their time."""
    members = [an_alert(number) for number in range(12)]
    watch = a_watch(machines=12)
    written: list[Alert] = []
    to_read = list(members)
    ends = [resolved(member, at=60) for member in members]
    echoed = 0
    for echo_first in echoes:
        if echo_first and echoed < len(written):
            said, echoed = watch.take(written[echoed]), echoed + 1
        elif to_read:
            said = watch.take(to_read.pop(0))
        else:
            break
        written += [said] if said is not None else []
    for member in to_read:
        written += [said] if (said := watch.take(member)) is not None else []
    assert set(written[-1].members) == {member.alert_id for member in members}
    last = [said for end in ends if (said := watch.take(end)) is not None]
    assert [said.state for said in last] == ["resolved"]
    for message in written[echoed:]:
        assert watch.take(message) is None
    assert watch.current is None, "a message that comes back late opens no alert again"
