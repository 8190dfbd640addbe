"""A device's wrong clock is found by when its readings come, and does nothing to its neighbours.

ours      12:00 12:01 12:02 12:03 12:04 12:05 12:06
device    12:50 12:51 12:52 12:53 12:04 12:05 12:06
finding               O                       R
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerting.clock_watch import clock_findings
from core.assess import assess
from core.batch import Stray
from core.feedback import take_feedback
from core.models import Models
from core.state.fleet import FleetState
from schemas.alerts import Alert
from schemas.feedback import Feedback
from tests.builders import PUMP, START, a_batch, a_plant, a_reading
from tests.core.streams import restored, saved

PLANT = a_plant()
MINUTE: Final = 60.0
HOUR: Final = 3600.0
OTHERS: Final = ("pump-02", "pump-03")

Clock = Callable[[int], float]
"""By how many seconds a device is ahead of us in a minute."""


def right(_: int) -> float:
    return -0.5


def by(seconds: float, *, until: int = 10**6, since: int = 0) -> Clock:
    return lambda minute: seconds if since <= minute < until else -0.5


def heard(
    clocks: Mapping[str, Clock],
    *,
    minutes: Sequence[int] = range(20),
    state: FleetState | None = None,
    our_delay: float = 0.0,
) -> tuple[list[tuple[int, Alert]], FleetState]:
    """Every machine sends once a minute; return the findings, each with its minute, and the state.

    our_delay: by how much we are behind with reading, s.
    """
    state = FleetState(PLANT) if state is None else state
    found: list[tuple[int, Alert]] = []
    for minute in minutes:
        rows = [a_reading(name, at=MINUTE * minute + clock(minute)) for name, clock in clocks.items()]
        strays = [
            Stray(machine_id=row.machine_id, timestamp=START + row.at, offset=minute) for row in rows if row.at < -1e8
        ]
        batch = a_batch(*(row for row in rows if row.at >= -1e8), plant=PLANT, first_offset=10 * minute)
        assessment = assess(batch, state=state, models=Models(), plant=PLANT)
        now = START + MINUTE * minute + our_delay
        alerts = clock_findings(assessment.scores.batch, strays, arrived_at=now, state=assessment.state, plant=PLANT)
        found += [(minute, alert) for alert in alerts]
    return found, state


def neighbours(clock: Clock) -> dict[str, Clock]:
    return {PUMP: clock, **dict.fromkeys(OTHERS, right)}


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (50 * MINUTE, "50 min ahead of ours; set it."),
        (-50 * MINUTE, "50 min behind ours; set it."),
        (HOUR - 1, "60 min ahead of ours; set it, and look at its time zone and daylight-saving time"),
        (-HOUR, "60 min behind ours; set it, and look at its time zone and daylight-saving time"),
        (-100 * 24 * HOUR, "100 days behind ours; set it."),
    ],
)
def test_one_alert_names_the_device_and_how_far_it_is_off(ahead: float, words: str) -> None:
    [(minute, alert)], _ = heard(neighbours(by(ahead)))
    assert minute == 2
    assert (alert.machine_id, alert.kind, alert.state, alert.model.name) == (PUMP, "sensor_fault", "opened", "clock")
    assert alert.signals[0].sensor == "clock"
    assert alert.signals[0].actual == pytest.approx(ahead)
    assert alert.summary.startswith(f"{PUMP}: its device's clock is {words}")


def test_the_alert_resolves_once_the_clock_is_right() -> None:
    [(_, opened), (minute, resolved)], state = heard(neighbours(by(50 * MINUTE, until=10)))
    assert minute == 12
    assert (resolved.state, resolved.alert_id) == ("resolved", opened.alert_id)
    assert not state.clock_runs


def test_a_device_that_jumps_to_1970_and_back_is_found_although_its_readings_are_refused() -> None:
    [(first, opened), (last, resolved)], _ = heard(neighbours(by(-START, since=5, until=15)))
    assert (first, opened.state, last, resolved.state) == (7, "opened", 17, "resolved")
    assert "20454 days behind ours" in opened.summary


def test_a_clock_that_is_set_wrong_by_another_time_is_said_once_more() -> None:
    findings, _ = heard(neighbours(lambda minute: 50 * MINUTE if minute < 10 else -20 * MINUTE))
    assert [(minute, alert.state) for minute, alert in findings] == [(2, "opened"), (12, "updated")]
    assert "20 min behind" in findings[-1][1].summary


def test_a_device_alone_in_its_partition_can_be_ahead_of_us_but_not_behind() -> None:
    [(_, alert)], _ = heard({PUMP: by(50 * MINUTE)})
    assert "ahead" in alert.summary
    assert heard({PUMP: by(-50 * MINUTE)})[0] == []


@given(delay=st.floats(0, 100 * HOUR))
def test_a_worker_that_is_behind_blames_no_device(delay: float) -> None:
    assert heard(dict.fromkeys((PUMP, *OTHERS), right), our_delay=delay, minutes=range(6))[0] == []


def test_a_worker_whose_own_clock_is_behind_blames_no_device() -> None:
    assert heard(dict.fromkeys((PUMP, *OTHERS), right), our_delay=-30 * MINUTE)[0] == []


def test_a_buffer_that_is_sent_late_is_no_wrong_clock() -> None:
    # an hour without a network, then ten readings a minute until all is there
    assert heard(neighbours(lambda minute: min(0.0, -HOUR + 10 * MINUTE * minute)))[0] == []


def test_one_wrong_time_is_no_wrong_clock() -> None:
    assert heard(neighbours(lambda minute: 50 * MINUTE if minute % 4 == 0 else 0.0))[0] == []


def test_an_open_alert_outlives_a_restart() -> None:
    [(_, opened)], state = heard(neighbours(by(50 * MINUTE)))
    state = restored(saved(state), plant=PLANT)
    [(_, resolved)], _ = heard(neighbours(right), minutes=range(20, 30), state=state)
    assert (resolved.state, resolved.alert_id) == ("resolved", opened.alert_id)


def test_a_false_alarm_closes_the_alert_and_keeps_it_closed_for_an_hour() -> None:
    [(_, opened)], state = heard(neighbours(by(-50 * MINUTE)))
    said = Feedback(
        machine_id=PUMP, kind="false_alarm", alert_id=opened.alert_id, at=opened.opened_at, author="on-call"
    )
    outcome = take_feedback(state, said, partition=0, offset=0)
    assert [alert.state for alert in outcome.alerts] == ["resolved"]
    assert heard(neighbours(by(-50 * MINUTE)), minutes=range(20, 40), state=state)[0] == []


def test_a_device_an_hour_ahead_leaves_the_hours_of_its_neighbours_alone() -> None:
    state, windows = FleetState(PLANT), []
    for minute in range(180):
        at = MINUTE * minute
        batch = a_batch(a_reading(PUMP, at=at), a_reading(OTHERS[0], at=at + 3599), plant=PLANT, first_offset=minute)
        assessment = assess(batch, state=state, models=Models(), plant=PLANT)
        windows += assessment.energy_windows
    own = [window for window in windows if window.machine_id == PUMP]
    assert [(window.start.hour, window.revision, window.final) for window in own] == [(0, 0, True), (1, 0, True)]
    assert all(window.completeness == pytest.approx(1.0, abs=0.02) for window in own)
