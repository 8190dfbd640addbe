"""Forecasts against what came: by day of the horizon, and against the seasonal median."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.forecasting.accuracy import COLUMNS, LONGEST, Account, score_of

ORIGIN = 490_032  # midnight: day sums begin here
NAN = float("nan")


def issued(account: Account, origin: int, value: float, *, width: float = 2.0, champion: float | None = None) -> None:
    flat = np.full(LONGEST, value)
    account.issue(
        origin,
        value=flat,
        lower=flat - width,
        upper=flat + width,
        champion=flat if champion is None else np.full(LONGEST, champion),
    )


def test_an_hour_is_compared_with_every_forecast_that_spoke_of_it() -> None:
    account = Account()
    for origin in (ORIGIN, ORIGIN + 1, ORIGIN + 30):
        issued(account, origin, 10.0)
    added = account.mature(ORIGIN + 31, 13.0, NAN)
    assert added[:, COLUMNS.points].tolist() == [1, 2, 0]
    assert added[:, COLUMNS.error] == pytest.approx([3, 6, 0], abs=1e-3)
    assert account.mature(ORIGIN + 100, 13.0, NAN)[:, COLUMNS.points].tolist() == [0, 0, 1]


def test_scores_are_wape_coverage_and_winkler() -> None:
    account = Account()
    issued(account, ORIGIN, 10.0)
    total = account.mature(ORIGIN, 11.0, NAN) + account.mature(ORIGIN + 1, 15.0, NAN)
    score = score_of(total[0])
    assert score.points == 2
    assert score.wape == pytest.approx(6 / 26, abs=1e-3)
    assert score.coverage == 0.5
    # widths of 4, and 3 beyond the bound once: 2 / 0.2 for each of them
    assert score.interval_score == pytest.approx((4 + 4 + 30) / 2, abs=1e-2)
    assert score_of(np.zeros(len(COLUMNS))).wape is None


def test_an_hour_that_was_not_measured_judges_nobody_and_is_over() -> None:
    account = Account()
    issued(account, ORIGIN, 10.0)
    assert not account.mature(ORIGIN, NAN, 10.0).any()
    assert not account.sums
    assert account.mature(ORIGIN + 1, 10.0, NAN)[0, COLUMNS.points] == 1


def test_a_forecast_is_forgotten_when_its_last_hour_is_over() -> None:
    account = Account()
    issued(account, ORIGIN, 10.0)
    account.mature(ORIGIN + LONGEST - 2, 10.0, NAN)
    assert account.origins.tolist() == [ORIGIN]
    account.mature(ORIGIN + LONGEST - 1, 10.0, NAN)
    assert account.origins.tolist() == []


def a_course(account: Account, *, days: int, champion: float, actual: float, median: float, first: int = 0) -> None:
    for day in range(first, first + days):
        issued(account, ORIGIN + 24 * day, actual, champion=champion)
        for hour in range(24):
            account.mature(ORIGIN + 24 * day + hour, actual, median)


def test_a_champion_that_is_worse_than_the_median_loses_its_place_and_wins_it_back() -> None:
    account = Account()
    a_course(account, days=1, champion=14, actual=10, median=11)
    assert not account.decide(days=7)  # a day is too short to tell
    a_course(account, days=3, champion=14, actual=10, median=11, first=1)
    assert account.decide(days=7)
    a_course(account, days=3, champion=10.5, actual=10, median=11, first=4)
    assert account.decide(days=7)
    a_course(account, days=7, champion=10.5, actual=10, median=11, first=7)
    assert not account.decide(days=7)


def test_hardly_worse_is_not_worse() -> None:
    account = Account()
    a_course(account, days=7, champion=11.03, actual=10, median=11)
    assert not account.decide(days=7)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1e5)), max_size=20), st.lists(st.integers(0, 250), max_size=20)
)
def test_packed_and_unpacked_it_goes_on_as_before(forecasts: list[tuple[int, float]], hours: list[int]) -> None:
    straight, other = Account(), Account()
    for origin, value in sorted(forecasts):
        for account in (straight, other):
            issued(account, ORIGIN + origin, value)
    for hour in sorted(set(hours)):
        first = straight.mature(ORIGIN + hour, 50.0, 40.0)
        other = Account.unpack(other.pack())
        np.testing.assert_array_equal(first, other.mature(ORIGIN + hour, 50.0, 40.0))
    assert straight.decide(days=7) == other.decide(days=7)
    assert straight.scores(days=7) == other.scores(days=7)
