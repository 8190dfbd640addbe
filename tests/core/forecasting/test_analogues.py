"""Medians of what followed similar states: exact where states repeat, causal, and what a plant that idles needs."""

import numpy as np
import pytest

from core.arrays import DAY, Floats
from core.forecasting.engine import Calendar
from core.forecasting.engine.analogues import analogue_medians
from core.forecasting.engine.backtest import daily_origins, replayed
from core.forecasting.engine.features import Past
from core.forecasting.engine.series import HourlySeries
from core.forecasting.names import ANALOGUES, MEMBERS, SEASONAL_MEDIAN
from tests.core.forecasting.courses import a_series, a_week_of
from tests.core.forecasting.plants import an_idling_plant


def medians(series: HourlySeries, origin: int, steps: int = 48) -> Floats:
    found: Floats = analogue_medians(Past.of(series, Calendar()), series, np.array([origin]), steps)[0]
    return found


def test_what_repeats_itself_is_foreseen_and_nothing_is_said_of_less_than_four_weeks() -> None:
    week = a_week_of(7, noise=0)
    series = a_series(np.tile(week, 8))
    for row in medians(series, series.end):
        assert row == pytest.approx(week[:48])
    assert np.isnan(medians(series, series.first_hour + 27 * DAY)).all()


def test_a_plant_that_alternates_idle_and_busy_days_is_seen_by_its_last_day() -> None:
    """Weekdays say nothing of it: 2 does not divide 7."""
    busy = np.repeat(np.arange(91) % 2, DAY)
    series = a_series(5.0 + 95.0 * busy)
    found = medians(series.until(series.end - DAY), series.end - DAY, DAY)
    assert found == pytest.approx(np.tile(series.values[-DAY:], (len(ANALOGUES), 1)))


def test_hours_after_an_origin_change_nothing_of_it() -> None:
    series = a_series(a_week_of(70))
    origin = series.first_hour + 50 * DAY + 5
    changed = HourlySeries(
        first_hour=series.first_hour, values=np.where(np.arange(70 * DAY) < 50 * DAY + 5, series.values, 999.0)
    )
    np.testing.assert_array_equal(medians(series, origin), medians(changed, origin))


def test_a_plant_with_idle_and_busy_days_is_forecast_better_than_by_its_seasonal_median() -> None:
    actual, selected, median = [], [], []
    for seed in (0, 1):
        series = an_idling_plant(seed=seed)
        origins = daily_origins(series, horizon=72, count=50, step=DAY)
        answers = list(replayed(series, origins=origins, horizon=72, choose=lambda _: Calendar(), bounds=(0.0, np.inf)))
        actual.append(series.at(origins[:, None] + np.arange(72)))
        selected.append(np.stack([answer.value for answer in answers]))
        median.append(np.stack([answer.members[SEASONAL_MEDIAN] for answer in answers]))
        assert tuple(answers[-1].members) == MEMBERS
    errors = [np.abs(np.array(one) - np.array(actual)).sum() for one in (selected, median)]
    assert errors[0] < 0.94 * errors[1]
