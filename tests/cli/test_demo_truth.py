"""The arithmetic of the demo's report, with drawn timelines: what counts as alerted, false, and first."""

import pytest

from cli.demo.truth import Opening, false_alerts, outcomes, percentile, seconds_to_first_alert
from producer.faults import InjectedFault

GRACE = 5.0


def a_fault(start: float, end: float, machine: str = "press-01") -> InjectedFault:
    return InjectedFault(machine_id=machine, kind="drift", start=start, end=end, sensors=("vibration",))


def an_opening(
    at: float, until: float = float("inf"), *, machine: str = "press-01", kind: str = "anomaly", delay: float = 0.1
) -> Opening:
    return Opening(
        alert_id=f"{machine}-{kind}-{at}",
        machine_id=machine,
        kind=kind,
        again=False,
        at=at,
        published_at=at + delay,
        until=until,
    )


@pytest.mark.parametrize(
    ("opening", "alerted"),
    [
        #             fault      10 ████████ 20 ░░░░ 25
        (an_opening(12, 18), True),  # inside
        (an_opening(10, 10.5), True),  # as it starts
        (an_opening(24, 40), True),  # in the grace after it
        (an_opening(25, 40), True),  # at the end of the grace
        (an_opening(25.1, 40), False),  # after the grace
        (an_opening(2, 11), True),  # open since before, into it
        (an_opening(2, 9.9), False),  # over before
        (an_opening(2), True),  # open since before, and never resolved
        (an_opening(12, 18, machine="press-02"), False),  # at another machine
        (an_opening(12, 18, kind="limit"), True),
        (an_opening(12, 18, kind="sensor_fault"), True),
        (an_opening(12, 18, kind="silent"), False),  # silence says nothing about a sensor
    ],
)
def test_a_fault_is_alerted_when_an_alert_of_its_machine_is_open_during_it(*, opening: Opening, alerted: bool) -> None:
    (outcome,) = outcomes([a_fault(10, 20)], [opening], grace=GRACE)
    assert (outcome.opening is not None) == alerted


def test_how_quick_an_alert_was_is_told_by_the_one_that_the_fault_opened() -> None:
    (outcome,) = outcomes([a_fault(10, 20)], [an_opening(2, 11), an_opening(13, 22)], grace=GRACE)
    assert outcome.opening is not None
    assert (outcome.opening.at, outcome.seconds_to_alert) == (13, 3)


def test_an_alert_that_was_open_before_the_fault_tells_nothing_about_speed() -> None:
    (outcome,) = outcomes([a_fault(10, 20)], [an_opening(2, 22)], grace=GRACE)
    assert outcome.opening is not None
    assert outcome.seconds_to_alert is None


@pytest.mark.parametrize(
    ("opening", "false"),
    [
        # live        5 ──────────────────────────────── 60 ░░░░ 65
        # fault            10 ████████ 20 ░░░░ 25
        (an_opening(7), True),  # before the fault
        (an_opening(12), False),
        (an_opening(25), False),  # in the grace
        (an_opening(26), True),  # after it
        (an_opening(12, machine="press-02"), True),  # nobody hurt that machine
        (an_opening(12, kind="silent"), False),
        (an_opening(30, kind="silent"), True),  # every kind can be false
        (an_opening(3), False),  # in the history, where faults are not injected by the demo
        (an_opening(64), True),
        (an_opening(66), False),  # after the live phase
    ],
)
def test_an_alert_is_false_when_no_fault_explains_its_opening(*, opening: Opening, false: bool) -> None:
    found = false_alerts([a_fault(10, 20)], [opening], live=(5, 60), grace=GRACE)
    assert bool(found) == false


def test_the_first_alert_is_timed_from_the_first_fault_to_its_publication() -> None:
    faults = [a_fault(30, 40, "press-02"), a_fault(10, 20)]
    openings = [an_opening(8), an_opening(33, machine="press-02"), an_opening(14, delay=0.25)]
    assert seconds_to_first_alert(faults, openings, grace=GRACE) == pytest.approx(4.25)


def test_a_false_alert_is_not_the_first_alert() -> None:
    openings = [an_opening(12, machine="press-07"), an_opening(50)]
    assert seconds_to_first_alert([a_fault(10, 20)], openings, grace=GRACE) is None


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([3.0], 0.99, 3.0), ([4.0, 1.0, 2.0, 3.0], 0.5, 2.0), (list(range(1, 101)), 0.99, 99)],
)
def test_a_percentile_is_the_value_that_the_share_does_not_exceed(
    values: list[float], share: float, expected: float | None
) -> None:
    assert percentile(values, share) == expected
