from math import inf

import numpy as np
import pytest

from core.arrays import DAY, Floats
from core.forecasting.engine import Calendar, HourlySeries
from core.forecasting.engine.backtest import daily_origins, naive, replayed, with_intervals
from core.forecasting.engine.recognition import recognised
from core.forecasting.engine.scoring import scored
from tests.core.forecasting.courses import MONDAY, a_series, a_week_of

ORIGINS = 12


def replay(values: Floats) -> list[Floats]:
    """Value, lower and upper of each of the last origins of a series of 75 days, as (3, 24)."""
    series = a_series(values)
    origins = MONDAY + DAY * np.arange(75 - ORIGINS, 75)
    answers = replayed(series, origins=origins, horizon=24, choose=lambda _: Calendar(), bounds=(0.0, inf))
    return [np.stack([answer.value, answer.lower, answer.upper]) for answer in answers]


@pytest.mark.parametrize("changed", [1, 5, ORIGINS - 1])
def test_what_comes_after_an_origin_changes_none_of_the_answers_until_then(changed: int) -> None:
    values = a_week_of(75)
    other = values.copy()
    other[(75 - ORIGINS + changed) * DAY :] *= np.linspace(3, -8, (ORIGINS - changed) * DAY)
    one, two = replay(values), replay(other)
    same = [bool((a == b).all()) for a, b in zip(one, two, strict=True)]
    assert same[: changed + 1] == [True] * (changed + 1)
    assert not all(same) or changed == ORIGINS - 1


def test_the_last_origins_are_those_whose_horizon_fits() -> None:
    series = HourlySeries(first_hour=7, values=np.zeros(40 * DAY + 5))
    origins = daily_origins(series, horizon=72, count=3, step=24)
    assert origins.tolist() == [series.end - 72 - 48, series.end - 72 - 24, series.end - 72]


@pytest.mark.parametrize(("days", "found"), [(3, 0), (4, 1), (7, 4), (90, 30)])
def test_a_day_must_lie_before_an_origin(days: int, found: int) -> None:
    series = HourlySeries(first_hour=0, values=np.zeros(days * DAY))
    assert len(daily_origins(series, horizon=72, count=30, step=24)) == found


def test_the_naive_forecast_knows_only_what_was_before() -> None:
    series = a_series(np.arange(100.0))
    assert naive(series, origins=np.array([MONDAY + 50]), horizon=5, season=2).tolist() == [[48, 49, 48, 49, 48]]


def test_intervals_of_a_model_without_any_cover_what_they_promise() -> None:
    random = np.random.default_rng(4)
    actual = random.normal(100, 10, (200, 24))
    value = np.full_like(actual, 100.0)
    courses = with_intervals(
        value, actual, origins=MONDAY + DAY * np.arange(200), calendar=Calendar(), bounds=(-inf, inf)
    )
    assert np.isnan(courses.lower[0]).all()
    inside = (courses.lower <= actual) & (actual <= courses.upper)
    assert 0.77 < inside[20:].mean() < 0.83


def test_the_selections_intervals_cover_what_they_promise() -> None:
    values = a_week_of(260, seed=5)
    origins = MONDAY + DAY * np.arange(100, 257)
    answers = replayed(a_series(values), origins=origins, horizon=72, choose=lambda _: Calendar(), bounds=(0.0, inf))
    actual = a_series(values).at(origins[:, None] + np.arange(72))
    inside = [(answer.lower <= came) & (came <= answer.upper) for answer, came in zip(answers, actual, strict=True)]
    assert 0.77 < np.mean(inside) < 0.83


def test_scores_of_a_small_example() -> None:
    actual = np.array([10.0, 20.0, 0.0, np.nan])
    found = scored(
        actual, np.array([12.0, 16.0, 1.0, 5.0]), np.array([9.0, 17.0, 0.0, 0.0]), np.array([13.0, 18.0, 2.0, 9.0])
    )
    assert found.hours == 3
    assert found.wape == pytest.approx(7 / 30)
    assert found.mape == pytest.approx((0.2 + 0.2) / 2)
    assert found.rmse == pytest.approx(np.sqrt((4 + 16 + 1) / 3))
    assert found.cv_rmse == pytest.approx(np.sqrt(7) / 10)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.width == pytest.approx((4 + 1 + 2) / 3)
    assert found.winkler == pytest.approx((4 + 1 + 10 * 2 + 2) / 3)


def test_scores_of_nothing_are_none_and_of_zeros_no_division() -> None:
    nothing, zeros = np.full(3, np.nan), np.zeros(3)
    assert scored(nothing, zeros, zeros, zeros).wape is None
    found = scored(zeros, zeros, zeros, zeros)
    assert (found.wape, found.mape, found.rmse, found.coverage) == (None, None, 0.0, 1.0)


def test_a_plant_that_rests_on_holidays_tells_whose_they_are() -> None:
    values = a_week_of(200, noise=1)
    first = MONDAY // DAY
    mine = frozenset(first + day for day in (37, 74, 100, 141, 170))
    for day in mine:
        values[(day - first) * DAY :][:DAY] = values[:DAY].min()
    theirs = frozenset(day + 1 for day in mine)
    assert recognised(a_series(values), {"theirs": theirs, "mine": mine}) == "mine"
    assert recognised(a_series(a_week_of(200)), {"theirs": theirs, "mine": mine}) is None
