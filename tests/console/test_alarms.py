import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.console.alarms import AlarmRow, alarm_figures, as_csv, at_the_same_time, grouped, similar, urgency
from schemas.feedback import Feedback
from tests.console.plant_story import an_episode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(
    number: int = 1,
    machine_id: str = "press-01",
    *,
    minutes: float = 5,
    statements: tuple[Feedback, ...] = (),
    **changes: object,
) -> AlarmRow:
    return AlarmRow(
        alert=an_episode(number, machine_id, NOW - timedelta(minutes=minutes), **changes), feedback=statements, now=NOW
    )


def statement(kind: str, *, minutes: float = 1, **changes: object) -> Feedback:
    return Feedback.model_validate(
        {"machine_id": "press-01", "kind": kind, "at": NOW - timedelta(minutes=minutes), **changes}
    )


def over(number: int, *, begun: float, lasted: float, **changes: object) -> AlarmRow:
    end = NOW - timedelta(minutes=begun - lasted)
    return row(number, minutes=begun, state="resolved", resolved_at=end, **changes)


def test_what_needs_somebody_comes_first() -> None:
    """Open before over, unanswered before answered, grave before light, new before old."""
    wanted = [
        row(1, severity="critical"),
        row(2, minutes=2),
        row(3, minutes=9),
        row(4, severity="critical", statements=(statement("acknowledged"),)),
        row(5, severity="critical", statements=(statement("snoozed", until=NOW + timedelta(hours=1)),)),
        over(6, begun=20, lasted=5),
    ]
    shuffled = sorted(wanted, key=lambda one: -int(one.alert.alert_id[-3:]))
    assert [one.alert.alert_id for one in sorted(shuffled, key=urgency)] == [one.alert.alert_id for one in wanted]


@pytest.mark.parametrize(
    ("alert", "group"),
    [
        (row(), "open"),
        (row(minutes=25 * 60), "stale"),
        (over(1, begun=9, lasted=3), "over"),
        (row(statements=(statement("snoozed", until=NOW + timedelta(hours=1)),)), "shelved"),
        (row(statements=(statement("snoozed", minutes=90, until=NOW - timedelta(minutes=30)),)), "open"),
    ],
)
def test_each_alert_has_its_place(alert: AlarmRow, group: str) -> None:
    assert alert.group == group


def test_the_verdict_is_the_last_judgement_and_not_the_last_word() -> None:
    found = row(statements=(statement("false_alarm"), statement("confirmed"), statement("acknowledged"))).verdict
    assert found is not None
    assert found.kind == "confirmed"


def test_similar_alerts_are_earlier_ones_of_the_same_signal() -> None:
    this = row(1, minutes=5)
    before, other_signal, other_machine, later = (
        over(2, begun=600, lasted=5),
        over(3, begun=500, lasted=5, sensor="power"),
        row(4, "pump-01", minutes=400),
        row(5, minutes=1),
    )
    assert similar([this, before, other_signal, other_machine, later], this) == [before]
    assert at_the_same_time([this, row(6, "pump-01", minutes=12), row(7, "pump-02", minutes=60)], this) == [
        row(6, "pump-01", minutes=12)
    ]


def test_a_machine_s_alerts_are_one_group() -> None:
    rows = [row(1), row(2, "pump-01"), row(3)]
    assert [[one.alert.alert_id for one in group] for group in grouped(rows)] == [
        ["episode-001", "episode-003"],
        ["episode-002"],
    ]


def test_a_fleet_alert_stands_once_before_its_members() -> None:
    fleet = row(9, "plant", kind="fleet", members=("episode-002", "episode-003"))
    rows = [row(1), row(2, "pump-01"), fleet, row(3)]
    assert [[one.alert.alert_id for one in group] for group in grouped(rows)] == [
        ["episode-001"],
        ["episode-009", "episode-002", "episode-003"],
    ]


def test_what_was_withdrawn_does_not_stand() -> None:
    shelved = statement("snoozed", minutes=3, until=NOW + timedelta(hours=1))
    assert row(statements=(shelved,)).group == "shelved"
    assert row(statements=(shelved, statement("withdrawn", minutes=2))).group == "open"
    again = statement("snoozed", minutes=1, until=NOW + timedelta(hours=2))
    assert row(statements=(shelved, statement("withdrawn", minutes=2), again)).shelved_until == again.until


def test_the_figures_are_those_of_the_last_day() -> None:
    """
    minutes before now   1500      60    50   40   30     5   now
    alerts               [1][2----------------------------    1 is over before the day begins
                                   [3---]    [4-]     [5--
    """
    rows = [
        over(1, begun=1600, lasted=50),
        row(2, minutes=1500, severity="info"),
        over(3, begun=60, lasted=20, severity="critical"),
        over(4, begun=40, lasted=10, severity="info"),
        row(5, minutes=5, severity="info", statements=(statement("acknowledged"),)),
    ]
    found = alarm_figures(rows, NOW)
    assert (found.count, found.active, found.unacknowledged) == (3, 2, 1)
    assert found.maximum_active == 2
    assert found.current_rate == 6.0, "one in the last ten minutes"
    assert found.average_rate == 3 / 24
    assert found.maximum_rate == 6.0
    assert found.re_alarms == 2, "4 came within an hour of 3, and 5 of 4"
    assert found.shares == {"critical": pytest.approx(1 / 3), "warning": 0.0, "info": pytest.approx(2 / 3)}
    assert found.worst == [("press-01", 3)]


def test_a_day_without_alerts_has_figures_too() -> None:
    found = alarm_figures([], NOW)
    assert (found.count, found.maximum_active, found.average_rate, found.shares["critical"]) == (0, 0, 0.0, 0.0)


@given(st.text(max_size=30), st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n"]))
def test_no_cell_of_the_export_is_a_formula_and_none_is_lost(text: str, first: str) -> None:
    # the wire cannot carry half of a surrogate pair, and a spreadsheet knows no NUL
    text = (first + text).encode("utf-8", "ignore").decode().replace("\0", "")
    exported = as_csv(
        [row(machine_id=text or "x", summary=text or "x", statements=(statement("confirmed", comment=text),))]
    )
    header, cells = list(csv.reader(io.StringIO(exported, newline="")))
    assert len(header) == len(cells)
    assert not any(cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} for cell in cells if cell)
    shown = dict(zip(header, cells, strict=True))
    assert shown["comment"].removeprefix("'") == text.removeprefix("'")
