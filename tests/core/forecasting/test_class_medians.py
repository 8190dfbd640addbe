"""Medians over the days of a class: what they are, that nothing looks ahead, and what a plant of unlike days gains."""

import numpy as np
import pytest

from core.arrays import DAY, Floats
from core.forecasting.engine import Calendar, HourlySeries
from core.forecasting.engine.backtest import daily_origins, replayed
from core.forecasting.engine.members import Pasts, predictions
from core.forecasting.names import CLASS_MEDIANS, MEMBERS, SEASONAL_MEDIAN
from tests.core.forecasting.courses import MONDAY, a_series, a_week_of
from tests.core.forecasting.plants import a_plant_of_unlike_days

NOTHING_FITTED = np.zeros((0, 0, 0), np.float32)


def class_medians(series: HourlySeries, origin: int, *, holidays: frozenset[int] = frozenset()) -> Floats:
    known = series.until(origin)
    pasts = Pasts.of(known, Calendar(holidays=holidays))
    said = predictions(pasts, NOTHING_FITTED, np.array([origin]), 72)[0]
    return said[[MEMBERS.index(name) for name in CLASS_MEDIANS]]


def test_working_days_are_pooled_and_saturdays_and_sundays_are_not() -> None:
    """Friday 0 h: of the next days one is a working day, then come a Saturday and a Sunday."""
    day = np.arange(20 * 7)
    values = np.where(day % 7 < 5, day, np.where(day % 7 == 5, 1000 + day, 2000 + day)).astype(np.float64)
    origin = MONDAY + (19 * 7 + 4) * DAY

    found = class_medians(a_series(np.repeat(values, DAY)), origin)

    for row, weeks in zip(found, (4, 16), strict=True):
        for place, (kind, count) in enumerate(((day % 7 < 5, 5 * weeks), (day % 7 == 5, weeks), (day % 7 == 6, weeks))):
            expected = np.median(values[: 19 * 7 + 4][kind[: 19 * 7 + 4]][-count:])
            assert row[place * DAY : (place + 1) * DAY] == pytest.approx(np.full(DAY, expected))


def test_a_holiday_is_a_sunday_ahead_and_behind() -> None:
    day = np.arange(10 * 7)
    values = np.where(day % 7 == 6, 5.0, 50.0)
    series = a_series(np.repeat(values, DAY))
    monday = MONDAY // DAY + 9 * 7

    assert class_medians(series, monday * DAY)[:, :DAY] == pytest.approx(50.0)
    assert class_medians(series, monday * DAY, holidays=frozenset({monday}))[:, :DAY] == pytest.approx(5.0)


def test_hours_after_an_origin_change_nothing_of_it() -> None:
    series = a_series(a_week_of(70))
    origin = series.first_hour + 50 * DAY + 5
    known = np.arange(70 * DAY) < 50 * DAY + 5
    changed = HourlySeries(first_hour=series.first_hour, values=np.where(known, series.values, 999.0))

    np.testing.assert_array_equal(class_medians(series, origin), class_medians(changed, origin))


def test_a_plant_whose_days_are_unlike_is_forecast_better_than_by_its_seasonal_median() -> None:
    """Four days of a type say little where each day is drawn anew; twenty of a class say more."""
    actual, selected, median = [], [], []
    for seed in (0, 1):
        series = a_plant_of_unlike_days(days=220, seed=seed)
        origins = daily_origins(series, horizon=72, count=50, step=DAY)
        answers = list(replayed(series, origins=origins, horizon=72, choose=lambda _: Calendar(), bounds=(0.0, np.inf)))
        actual.append(series.at(origins[:, None] + np.arange(72)))
        selected.append(np.stack([answer.value for answer in answers]))
        median.append(np.stack([answer.members[SEASONAL_MEDIAN] for answer in answers]))
    errors = [np.abs(np.array(one) - np.array(actual)).sum() for one in (selected, median)]
    assert errors[0] < 0.94 * errors[1]
