from hypothesis import given
from hypothesis import strategies as st

from forwarder.changes import ORDER, Change, OpenAlerts, group, still_open
from forwarder.retries import Backoff
from schemas.alerts import Alert
from tests.forwarder.alerts import a_change, an_alert


def announced(alerts: list[Alert], least: str = "warning") -> list[str]:
    state = OpenAlerts()
    changes = [state.change(one, least=least, position=str(number)) for number, one in enumerate(alerts)]  # type: ignore[arg-type]
    return [change.what for change in changes if change is not None]


def test_updates_are_not_told_and_a_rise_is() -> None:
    story = [
        an_alert(),
        an_alert(state="updated", minute=1),
        an_alert(state="updated", minute=2, severity="critical"),
        an_alert(state="updated", minute=3, severity="warning"),
        an_alert(state="updated", minute=4, severity="critical"),
        an_alert(state="resolved", minute=5, severity="critical"),
    ]

    assert announced(story) == ["opened", "raised", "raised", "resolved"]


def test_what_stays_below_the_least_severity_is_never_told() -> None:
    assert announced([an_alert(severity="info"), an_alert(state="resolved", severity="info")]) == []


def test_an_alert_that_rises_to_the_least_severity_opens_then() -> None:
    assert announced([an_alert(severity="info"), an_alert(state="updated", severity="warning")]) == ["opened"]


def test_a_resolution_is_told_although_compaction_removed_the_opening() -> None:
    assert announced([an_alert(state="resolved")]) == ["resolved"]


def test_a_group_holds_the_newest_change_of_each_alert() -> None:
    first, second = a_change(position="a/0/1"), a_change(position="a/0/2", what="resolved", state="resolved")
    other = a_change("press-02", position="a/0/3")

    by_machine = group([first, other, second], "machine")

    assert [(one.group, [change.what for change in one.changes]) for one in by_machine] == [
        ("press-01", ["resolved"]),
        ("press-02", ["opened"]),
    ]
    assert [len(one.changes) for one in group([first, other, second], "none")] == [2]


SEVERITY = st.sampled_from(["info", "warning", "critical"])
STATE = st.sampled_from(["opened", "updated", "resolved"])
STORY = st.lists(
    st.builds(lambda severity, state: an_alert(severity=severity, state=state), SEVERITY, STATE), max_size=12
)


@given(story=STORY, cut=st.integers(0, 12))
def test_a_restart_anywhere_tells_the_same(story: list[Alert], cut: int) -> None:
    cut = min(cut, len(story))
    whole = OpenAlerts()
    expected = [whole.change(one, least="warning", position="p") for one in story]

    again = still_open(story[:cut], least="warning")
    rest = [again.change(one, least="warning", position="p") for one in story[cut:]]

    assert rest == expected[cut:]


@given(
    changes=st.lists(
        st.builds(lambda machine, what: a_change(machine, what=what), st.sampled_from("abc"), st.just("opened"))
    )
)
def test_grouping_loses_no_alert(changes: list[Change]) -> None:
    for by in ("machine", "kind", "none"):
        announced = {change.alert.alert_id for one in group(changes, by) for change in one.changes}  # type: ignore[arg-type]
        assert announced == {change.alert.alert_id for change in changes}


def test_the_worst_severity_of_a_notification_is_its_own() -> None:
    (one,) = group([a_change(severity="warning"), a_change("b", severity="critical")], "none")

    assert one.worst == max(("warning", "critical"), key=ORDER.__getitem__)


def test_waits_double_up_to_the_longest_and_a_receiver_may_ask_for_more() -> None:
    backoff = Backoff(first=1, longest=8)

    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 8, 8]
    backoff.reset()
    assert backoff.next(asked_seconds=5) == 5
    assert backoff.next(asked_seconds=500) == 8
