import numpy as np
import pytest

from core.arrays import DAY
from core.forecasting.engine import Answer, Calendar, HourlySeries
from runtime.forecasting.prophet import forecast_by_prophet
from tests.core.forecasting.contract import Ask, ForecasterContract, assert_stands
from tests.core.forecasting.courses import ODD, a_series, a_week_of

# Prophet's own use of pandas, which is not ours to mend
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame:DeprecationWarning")


def answered(series: HourlySeries, horizon: int) -> Answer:
    return forecast_by_prophet(series, horizon=horizon, calendar=Calendar())


class TestProphet(ForecasterContract):
    @pytest.fixture
    def ask(self) -> Ask:
        return answered

    @pytest.mark.parametrize("name", ["all zero", "negative", "40 % missing"])
    def test_odd_input_gets_an_answer_that_is_never_negative(self, ask: Ask, name: str) -> None:
        assert_stands(ask(a_series(ODD[name]), 72), 72)

    @pytest.mark.parametrize("horizon", [1, 200])
    def test_any_horizon_will_do(self, ask: Ask, horizon: int) -> None:
        super().test_any_horizon_will_do(ask, horizon)

    @pytest.mark.xfail(strict=True, reason="its waves cannot follow the edges of a shift")
    def test_what_repeats_itself_is_foreseen(self, ask: Ask) -> None:
        super().test_what_repeats_itself_is_foreseen(ask)

    @pytest.mark.parametrize("phase", [13])
    @pytest.mark.xfail(strict=True, reason="its waves cannot follow the edges of a shift")
    def test_a_series_may_begin_at_any_hour(self, ask: Ask, phase: int) -> None:
        super().test_a_series_may_begin_at_any_hour(ask, phase)


def test_too_little_for_prophet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 are needed"):
        answered(a_series(ODD["five hours"]), 24)


def test_prophet_takes_holidays_into_account() -> None:
    values = a_week_of(60, noise=1)
    first = a_series(values).first_hour // DAY
    free = [first + day for day in (16, 30, 44, 61)]  # Wednesdays and a Friday
    for day in free[:-1]:
        values[(day - first) * DAY :][:DAY] = 40.0
    series = a_series(values)
    known = forecast_by_prophet(series, horizon=72, calendar=Calendar(holidays=frozenset(free)))
    days = known.value.reshape(3, DAY).mean(axis=1)
    assert days[1] < 0.8 * np.mean(answered(series, 72).value[DAY : 2 * DAY])
