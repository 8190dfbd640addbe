"""The plant as a sum: complete hours only, intervals between apart and together, and the limit that it may cross."""

from datetime import UTC, datetime

import numpy as np
import pytest

from core.alerting.forecast_breach import breach_alert, probability_above
from core.forecasting.plant_total import Total, learned, summed
from core.issued_forecast import IssuedForecast
from schemas.alerts import Alert, AlertModel

HOUR = 490_032


def a_course(value: float, *, width: float = 3.0, origin: int = HOUR, hours: int = 4) -> IssuedForecast:
    flat = np.full(hours, value)
    return IssuedForecast(origin=origin, value=flat, lower=flat - width, upper=flat + width, model="blend")


def a_total(**hours: list[float | None]) -> Total:
    total = Total()
    for machine_id, values in hours.items():
        for number, value in enumerate(values):
            if value is not None:
                total.take_hour(machine_id, HOUR + number, value)
    return total


def test_an_hour_counts_when_every_machine_is_known() -> None:
    assert a_total(a=[1, 2, 3], b=[10, 20, None]).complete_hours() == [(HOUR, 11), (HOUR + 1, 22)]


def test_an_hour_that_one_does_not_bring_is_given_up_when_the_others_are_far_ahead() -> None:
    found = a_total(a=[1, 2, 3, 4, 5, 6], b=[10]).complete_hours()
    assert [hour - HOUR for hour, _ in found] == [0, 1, 2]
    np.testing.assert_array_equal([value for _, value in found], [11, np.nan, np.nan])


def test_a_machine_that_is_gone_for_a_day_belongs_to_the_plant_no_more() -> None:
    found = dict(a_total(a=[1.0] * 40, b=[10.0]).complete_hours())
    assert np.isnan(found[HOUR + 24])
    assert found[HOUR + 25] == 1


def test_an_hour_that_was_hardly_measured_makes_no_sum() -> None:
    [(_, value)] = a_total(a=[1.0], b=[float("nan")]).complete_hours()
    assert np.isnan(value)


def test_values_add_up_and_intervals_lie_between_apart_and_together() -> None:
    members = [a_course(10, width=3), a_course(20, width=4)]
    assert summed(members, together=0).value.tolist() == [30] * 4
    widths = [summed(members, together=together).upper[0] - 30 for together in (0.0, 0.5, 1.0)]
    assert widths == pytest.approx([5, 6, 7])
    assert (summed([a_course(1, width=1), a_course(2, width=2)], together=2).lower >= 0).all()


def test_only_hours_count_that_all_members_speak_of() -> None:
    course = summed([a_course(10), a_course(20, origin=HOUR - 1)], together=0)
    assert (course.origin, course.value.tolist()) == (HOUR, [30, 30, 30])


def test_a_machine_that_stopped_is_left_out_and_one_that_is_late_is_waited_for() -> None:
    total = Total()
    total.take_forecast("a", a_course(10))
    total.take_forecast("b", a_course(20, origin=HOUR - 1))
    total.take_forecast("gone", a_course(30, origin=HOUR - 7, hours=72))
    assert not total.is_complete()
    assert [member.value[0] for member in total.members()] == [10, 20]
    total.take_forecast("b", a_course(21))
    total.take_forecast("b", a_course(20, origin=HOUR - 1))
    assert total.is_complete()
    assert [member.value[0] for member in total.members()] == [10, 21]


def test_the_interval_of_the_sum_learns_to_cover_what_it_promises() -> None:
    """Members whose errors are half the same: in the long run a fifth of the hours lies outside."""
    random = np.random.default_rng(3)
    together, missed = 0.0, []
    for _ in range(6000):
        errors = random.normal(0, 1) + random.normal(0, 1, 8)
        course = summed([a_course(100, width=1.2816 * 2**0.5, hours=1)] * 8, together=together)
        inside = course.lower[0] <= 800 + errors.sum() <= course.upper[0]
        missed.append(not inside)
        together = learned(together, points=1, covered=float(inside))
    assert np.mean(missed[1000:]) == pytest.approx(0.2, abs=0.02)
    assert 0.3 < together < 1


def test_a_machine_that_was_measured_and_has_no_forecast_yet_is_waited_for() -> None:
    total = a_total(a=[1.0], b=[2.0])
    total.take_forecast("a", a_course(10, origin=HOUR + 1))
    assert not total.is_complete()
    total.take_forecast("b", a_course(20, origin=HOUR + 1))
    assert total.is_complete()
    assert not Total().is_complete()


LIMIT = 100.0


def outputs(course: IssuedForecast, known: Alert | None = None) -> Alert | None:
    model = AlertModel(name="sum", version="1", level="rule")
    return breach_alert(course, limit=LIMIT, plant_name="works", timezone="Europe/Berlin", model=model, known=known)


def test_a_course_below_the_limit_says_nothing() -> None:
    assert outputs(a_course(90, width=9)) is None


def test_an_upper_bound_above_the_limit_opens_an_alert_with_hour_and_probability() -> None:
    flat = np.array([90.0, 95.0, 90.0, 90.0])
    alert = outputs(IssuedForecast(origin=HOUR, value=flat, lower=flat - 10, upper=flat + 10, model="sum"))
    assert alert is not None
    assert (alert.kind, alert.state, alert.severity, alert.machine_id) == (
        "forecast_breach",
        "opened",
        "warning",
        "works",
    )
    assert alert.opened_at == datetime.fromtimestamp(HOUR * 3600, UTC)
    # half a bound away: a normal distribution of which a tenth lies above the bound
    assert alert.confidence == pytest.approx(0.261, abs=0.001)
    assert alert.summary == (
        "works: 95 kW are forecast for 2025-11-26 02:00 CET, up to 105 kW, against a limit of 100 kW; probability 26%."
    )


def test_the_alert_goes_on_with_the_next_forecast_and_is_resolved_by_one_below() -> None:
    first = outputs(a_course(95, width=10))
    second = outputs(a_course(110, width=10, origin=HOUR + 1), first)
    assert first is not None
    assert second is not None
    assert (second.state, second.severity, second.alert_id) == ("updated", "critical", first.alert_id)
    assert second.peak_score > 0.5
    last = outputs(a_course(50, width=10, origin=HOUR + 2), second)
    assert last is not None
    assert (last.state, last.alert_id, last.resolved_at) == ("resolved", first.alert_id, last.updated_at)
    assert outputs(a_course(50, width=10, origin=HOUR + 3), last) is None


def test_a_certain_forecast_is_certain() -> None:
    assert [probability_above(100, value, value) for value in (99.0, 101.0)] == [0, 1]
