"""What is kept of known-future inputs, and what a forecast gets of them."""

import numpy as np
import pytest

from core.forecasting.engine import KnownInputs
from core.forecasting.engine.inputs import MOST_INPUTS
from core.forecasting.fit import FitRequest, fit
from core.forecasting.input_table import AHEAD_HOURS, InputHours
from core.forecasting.names import WITH_INPUTS
from tests.core.forecasting.plants import a_planned_plant

NOW = 490_000
WEEK = 168


def test_hours_are_kept_by_machine_and_name_and_a_later_plan_replaces_an_earlier_one() -> None:
    hours = InputHours(keep_hours=WEEK)
    assert hours.put("a", "production", NOW - 2, np.array([1.0, 2.0, 3.0]), now=NOW) is None
    assert hours.put("a", "production", NOW, np.array([7.0, np.nan, 9.0]), now=NOW) is None
    assert hours.put("a", "heat", NOW + 1, np.array([5.0]), now=NOW) is None
    found = hours.of("a", NOW - 3, NOW + 3)
    assert found is not None
    assert found.names == ("heat", "production")
    np.testing.assert_array_equal(found.values[1], [np.nan, 1, 2, 7, np.nan, 9])
    np.testing.assert_array_equal(found.values[0], [np.nan] * 4 + [5, np.nan])
    assert hours.of("b", NOW, NOW + 1) is None
    assert hours.of("a", NOW + 50, NOW + 60) is None


def test_a_plan_before_another_one_joins_it() -> None:
    hours = InputHours(keep_hours=WEEK)
    hours.put("a", "x", NOW, np.ones(2), now=NOW)
    hours.put("a", "x", NOW - 3, np.zeros(2), now=NOW)
    found = hours.of("a", NOW - 3, NOW + 2)
    assert found is not None
    np.testing.assert_array_equal(found.values[0], [0, 0, np.nan, 1, 1])


def test_the_past_is_kept_as_long_as_hours_are_and_the_future_for_a_year() -> None:
    hours = InputHours(keep_hours=WEEK)
    hours.put("a", "x", NOW - 3 * WEEK, np.ones(3 * WEEK + 1), now=NOW)
    found = hours.of("a", NOW - 2 * WEEK, NOW)
    assert found is not None
    assert int(np.isfinite(found.values).sum()) == WEEK
    assert "no hour" in (hours.put("a", "x", NOW + AHEAD_HOURS, np.ones(2), now=NOW) or "")
    assert "no hour" in (hours.put("a", "x", NOW - 5 * WEEK, np.ones(2), now=NOW) or "")


def test_no_more_inputs_than_can_be_used() -> None:
    hours = InputHours(keep_hours=WEEK)
    for number in range(MOST_INPUTS):
        assert hours.put("a", f"x{number}", NOW, np.ones(1), now=NOW) is None
    assert "as many as can be used" in (hours.put("a", "more", NOW, np.ones(1), now=NOW) or "")
    assert hours.put("a", "x0", NOW, np.zeros(1), now=NOW) is None


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_fit_sees_the_plan_on_the_clock_of_its_plant(zone: str) -> None:
    series, plan = a_planned_plant(days=100)
    known = series.until(series.end - 72)
    request = FitRequest(
        first_hour=known.first_hour,
        values=known.values,
        horizon=48,
        zone=zone,
        region=None,
        bounds=(0.0, 1e4),
        memory=b"",
        inputs=KnownInputs(names=plan.names, first_hour=plan.first_hour, values=plan.values),
    )
    fitted = fit(request)
    assert set(fitted.compared) >= set(WITH_INPUTS)
    actual = series.at(known.end + np.arange(48))
    plain = fit(FitRequest(**{name: getattr(request, name) for name in FitRequest.__slots__} | {"inputs": None}))
    assert np.abs(fitted.value - actual).sum() < np.abs(plain.value - actual).sum()
