"""What every forecaster keeps, whoever it is; each is tried by a subclass that gives `forecaster`."""

from collections.abc import Callable

import numpy as np
import pytest

from core.arrays import DAY
from core.forecasting.engine import Answer, HourlySeries
from tests.core.forecasting.courses import ODD, a_series, a_week_of

Ask = Callable[[HourlySeries, int], Answer]


def assert_stands(answer: Answer, horizon: int, *, low: float = 0.0) -> None:
    for course in (answer.lower, answer.value, answer.upper):
        assert course.shape == (horizon,)
        assert np.isfinite(course).all()
        assert (course >= low).all()
    assert (answer.lower <= answer.value).all()
    assert (answer.value <= answer.upper).all()
    assert answer.model


class ForecasterContract:
    @pytest.mark.parametrize("name", sorted(ODD))
    def test_odd_input_gets_an_answer_that_is_never_negative(self, ask: Ask, name: str) -> None:
        assert_stands(ask(a_series(ODD[name]), 72), 72)

    @pytest.mark.parametrize("horizon", [1, 24, 50, 200])
    def test_any_horizon_will_do(self, ask: Ask, horizon: int) -> None:
        assert_stands(ask(a_series(a_week_of(40)), horizon), horizon)

    def test_the_same_question_has_the_same_answer(self, ask: Ask) -> None:
        one, other = (ask(a_series(a_week_of(60)), 48) for _ in range(2))
        assert [one.model, *one.value, *one.lower, *one.upper] == [
            other.model,
            *other.value,
            *other.lower,
            *other.upper,
        ]

    def test_what_repeats_itself_is_foreseen(self, ask: Ask) -> None:
        week = a_week_of(7, noise=0)
        answer = ask(a_series(np.tile(week, 10)), 72)
        assert answer.value == pytest.approx(week[:72], rel=0.05)

    @pytest.mark.parametrize("phase", [1, 13, 23])
    def test_a_series_may_begin_at_any_hour(self, ask: Ask, phase: int) -> None:
        week = a_week_of(7, noise=0)
        answer = ask(a_series(np.tile(week, 10)[phase:-5], phase=phase), 24)
        assert answer.value == pytest.approx(np.tile(week, 2)[7 * DAY - 5 :][:24], rel=0.05)
