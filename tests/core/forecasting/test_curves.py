import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.forecasting.curves import Curve, hour_of_week
from core.forecasting.engine import HourlySeries

MONDAY = int(np.datetime64("2026-01-05T00", "h").astype(np.int64))
FLAT_YEAR = np.zeros(366)


def a_curve(*, level: float = 10.0, slope: float = 0.0) -> Curve:
    """By day 5 more than at night."""
    week = np.tile(np.where((np.arange(24) >= 8) & (np.arange(24) < 20), 5.0, 0.0), 7)
    return Curve(start=MONDAY, level=level, slope=slope, week=week, year=FLAT_YEAR)


@pytest.mark.parametrize(("moment", "hour"), [("1970-01-01T00", 72), ("2026-01-05T00", 0), ("2026-01-11T23", 167)])
def test_weeks_begin_on_monday(moment: str, hour: int) -> None:
    assert hour_of_week(np.array(np.datetime64(moment, "h").astype(np.int64))) == hour


def test_a_year_begins_in_january_whether_or_not_it_has_a_29th_of_february() -> None:
    curve = Curve(start=0, level=0.0, slope=0.0, week=np.zeros(168), year=np.arange(366.0))
    moments = np.array(["2024-01-01T05", "2024-12-31T05", "2026-01-01T05", "2026-12-31T05"], "datetime64[h]")
    assert curve.at(moments.astype(np.int64)).tolist() == [0, 365, 0, 364]


def test_a_forecast_continues_from_where_the_last_week_was() -> None:
    curve = a_curve()
    hours = MONDAY + np.arange(14 * 24)
    higher = HourlySeries(first_hour=MONDAY, values=curve.at(hours) + 3.0)
    ahead = higher.end + np.arange(24)
    np.testing.assert_allclose(curve.predict(higher, 24), curve.at(ahead) + 3.0)


def test_a_series_of_which_nothing_is_known_lately_gets_the_curve_as_it_is() -> None:
    curve = a_curve()
    silent = HourlySeries(first_hour=MONDAY, values=np.full(400, np.nan))
    np.testing.assert_allclose(curve.predict(silent, 24), curve.at(silent.end + np.arange(24)))


@given(st.floats(-50, 50), st.integers(1, 72))
def test_what_is_added_to_a_series_is_added_to_its_forecast(shift: float, horizon: int) -> None:
    curve = a_curve(slope=0.01)
    values = np.random.default_rng(1).normal(20, 3, 400)
    plain = curve.predict(HourlySeries(first_hour=MONDAY, values=values), horizon)
    moved = curve.predict(HourlySeries(first_hour=MONDAY, values=values + shift), horizon)
    np.testing.assert_allclose(moved, plain + shift, atol=1e-9)
