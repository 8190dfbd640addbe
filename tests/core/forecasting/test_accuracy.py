"""Forecasts against what came: by day of the horizon, and against the seasonal median."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.forecasting.accuracy import COLUMNS, LONGEST, ForecastAccuracy, score_of

ORIGIN = 490_032  # midnight: day sums begin here
NAN = float("nan")


def issued(
    accuracy: ForecastAccuracy,
    origin: int,
    value: float,
    *,
    width: float = 2.0,
    champion: float | None = None,
    median: float = 40.0,
) -> None:
    flat = np.full(LONGEST, value)
    accuracy.issue(
        origin,
        value=flat,
        lower=flat - width,
        upper=flat + width,
        champion=flat if champion is None else np.full(LONGEST, champion),
        median=np.full(LONGEST, median),
    )


def test_an_hour_is_compared_with_every_forecast_that_spoke_of_it() -> None:
    accuracy = ForecastAccuracy()
    for origin in (ORIGIN, ORIGIN + 1, ORIGIN + 30):
        issued(accuracy, origin, 10.0)
    added = accuracy.mature(ORIGIN + 31, 13.0)
    assert added[:, COLUMNS.points].tolist() == [1, 2, 0]
    assert added[:, COLUMNS.error] == pytest.approx([3, 6, 0], abs=1e-3)
    assert accuracy.mature(ORIGIN + 100, 13.0)[:, COLUMNS.points].tolist() == [0, 0, 1]


def test_scores_are_wape_coverage_and_winkler() -> None:
    accuracy = ForecastAccuracy()
    issued(accuracy, ORIGIN, 10.0)
    total = accuracy.mature(ORIGIN, 11.0) + accuracy.mature(ORIGIN + 1, 15.0)
    score = score_of(total[0])
    assert score.points == 2
    assert score.wape == pytest.approx(6 / 26, abs=1e-3)
    assert score.coverage == 0.5
    # widths of 4, and 3 beyond the bound once: 2 / 0.2 for each of them
    assert score.interval_score == pytest.approx((4 + 4 + 30) / 2, abs=1e-2)
    assert score_of(np.zeros(len(COLUMNS))).wape is None


def test_an_hour_that_was_not_measured_judges_nobody_and_is_over() -> None:
    accuracy = ForecastAccuracy()
    issued(accuracy, ORIGIN, 10.0)
    assert not accuracy.mature(ORIGIN, NAN).any()
    assert not accuracy.sums
    assert accuracy.mature(ORIGIN + 1, 10.0)[0, COLUMNS.points] == 1


def test_a_forecast_is_forgotten_when_its_last_hour_is_over() -> None:
    accuracy = ForecastAccuracy()
    issued(accuracy, ORIGIN, 10.0)
    accuracy.mature(ORIGIN + LONGEST - 2, 10.0)
    assert accuracy.origins.tolist() == [ORIGIN]
    accuracy.mature(ORIGIN + LONGEST - 1, 10.0)
    assert accuracy.origins.tolist() == []


def a_course(
    accuracy: ForecastAccuracy, *, days: int, champion: float, actual: float, median: float, first: int = 0
) -> None:
    for day in range(first, first + days):
        issued(accuracy, ORIGIN + 24 * day, actual, champion=champion, median=median)
        for hour in range(24):
            accuracy.mature(ORIGIN + 24 * day + hour, actual)


def test_a_champion_that_is_worse_than_the_median_loses_its_place_and_wins_it_back() -> None:
    accuracy = ForecastAccuracy()
    a_course(accuracy, days=1, champion=14, actual=10, median=11)
    assert not accuracy.decide(days=7)  # a day is too short to tell
    a_course(accuracy, days=3, champion=14, actual=10, median=11, first=1)
    assert accuracy.decide(days=7)
    a_course(accuracy, days=3, champion=10.5, actual=10, median=11, first=4)
    assert accuracy.decide(days=7)
    a_course(accuracy, days=7, champion=10.5, actual=10, median=11, first=7)
    assert not accuracy.decide(days=7)


def test_hardly_worse_is_not_worse() -> None:
    accuracy = ForecastAccuracy()
    a_course(accuracy, days=7, champion=11.03, actual=10, median=11)
    assert not accuracy.decide(days=7)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1e5)), max_size=20), st.lists(st.integers(0, 250), max_size=20)
)
def test_packed_and_unpacked_it_goes_on_as_before(forecasts: list[tuple[int, float]], hours: list[int]) -> None:
    straight, other = ForecastAccuracy(), ForecastAccuracy()
    for origin, value in sorted(forecasts):
        for accuracy in (straight, other):
            issued(accuracy, ORIGIN + origin, value)
    for hour in sorted(set(hours)):
        first = straight.mature(ORIGIN + hour, 50.0)
        other = ForecastAccuracy.unpack(other.pack())
        np.testing.assert_array_equal(first, other.mature(ORIGIN + hour, 50.0))
    assert straight.decide(days=7) == other.decide(days=7)
    assert straight.scores(days=7) == other.scores(days=7)
