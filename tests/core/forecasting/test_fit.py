"""Forecasts on the plant's wall clock, in hours of UTC before and after."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from core.forecasting.engine import HourlySeries
from core.forecasting.fit import FitRequest, fit, on_the_wall_clock, usual_week
from core.plant.local_days import wall_hours

BERLIN = "Europe/Berlin"
WEEKS = 6


def hour_of(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) // 3600  # type: ignore[misc, arg-type]


def by_the_clock(first: int, count: int) -> np.ndarray:
    """Energy of a plant whose shifts follow the wall clock: the local hour of the day."""
    return (wall_hours(first, count, ZoneInfo(BERLIN)) % 24).astype(np.float64)


@pytest.mark.parametrize("night", [(2026, 3, 28, 20), (2026, 10, 24, 20), (2026, 10, 25, 1), (2026, 7, 1, 0)])
def test_shifts_that_follow_the_wall_clock_are_forecast_across_its_changes(night: tuple[int, ...]) -> None:
    origin = hour_of(*night)
    first = origin - 168 * WEEKS
    request = FitRequest(
        first_hour=first,
        values=by_the_clock(first, 168 * WEEKS),
        horizon=48,
        zone=BERLIN,
        region=None,
        bounds=(0.0, 100.0),
        memory=b"",
    )
    fitted = fit(request)
    assert fitted.value.shape == (48,)
    # the last hour of a spring forecast lies beyond the answer, which then repeats itself
    np.testing.assert_allclose(fitted.value[:47], by_the_clock(origin, 48)[:47], atol=0.3)
    assert (fitted.lower <= fitted.value).all()
    assert (fitted.value <= fitted.upper).all()
    again = fit(request)
    np.testing.assert_array_equal(again.value, fitted.value)
    assert again.memory == fitted.memory


def test_an_hour_that_is_there_twice_is_their_mean_and_one_that_is_skipped_is_missing() -> None:
    autumn, spring = hour_of(2026, 10, 24, 23), hour_of(2026, 3, 28, 23)
    twice = on_the_wall_clock(np.array([1.0, 2.0, 4.0, 5.0]), wall_hours(autumn, 4, ZoneInfo(BERLIN)))
    assert twice.values.tolist() == [1, 3, 5]
    skipped = on_the_wall_clock(np.array([1.0, 2.0, 4.0, 5.0]), wall_hours(spring, 4, ZoneInfo(BERLIN)))
    np.testing.assert_array_equal(skipped.values, [1, 2, np.nan, 4, 5])


def test_the_usual_week_begins_on_monday_and_fills_what_nobody_knows() -> None:
    monday = hour_of(2026, 1, 5)
    one = HourlySeries(first_hour=monday, values=np.arange(168.0))
    other = HourlySeries(first_hour=monday + 24, values=np.arange(24.0, 168.0) + 2)
    week = usual_week([one, other])
    assert week is not None
    assert week[:24].tolist() == list(range(24))
    assert week[24:].tolist() == [hour + 1 for hour in range(24, 168)]
    half = usual_week([HourlySeries(first_hour=monday, values=np.arange(24.0))])
    assert half is not None
    assert half[24:48].tolist() == list(range(24))
    assert usual_week([]) is None
    assert usual_week([HourlySeries(first_hour=monday, values=np.full(5, np.nan))]) is None
