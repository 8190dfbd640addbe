from math import inf

import numpy as np
import pytest

from core.arrays import DAY, WEEK
from core.forecasting.engine import Answer, Calendar, HourlySeries, Memory, forecast_next
from tests.core.forecasting.contract import Ask, ForecasterContract, assert_stands
from tests.core.forecasting.courses import MONDAY, ODD, a_series, a_week_of

NO_HOLIDAYS = Calendar()


def answered(series: HourlySeries, horizon: int, memory: Memory | None = None, **more: object) -> tuple[Answer, Memory]:
    return forecast_next(series, horizon=horizon, calendar=NO_HOLIDAYS, memory=memory, **more)  # type: ignore[arg-type]


class TestTheSystemsOwnAnswer(ForecasterContract):
    @pytest.fixture
    def ask(self) -> Ask:
        return lambda series, horizon: answered(series, horizon)[0]


class TestTheSystemsOwnAnswerWithoutAFit(ForecasterContract):
    @pytest.fixture
    def ask(self) -> Ask:
        return lambda series, horizon: answered(series, horizon, refit=False)[0]


@pytest.mark.parametrize("name", sorted(ODD))
def test_odd_input_stands_day_after_day(name: str) -> None:
    memory = None
    for missing in (98, 97, 74, 73, 49, 1, 0):
        series = a_series(ODD[name][: max(0, len(ODD[name]) - missing)])
        answer, memory = answered(series, 72, memory)
        assert_stands(answer, 72)
        memory = Memory.unpack(memory.pack())


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("nothing", "no_history"),
        ("nothing known", "no_history"),
        ("five hours", "level"),
        ("one day", "daily_median"),
        ("ten days", "daily_median"),
        ("three weeks", "blend"),
    ],
)
def test_who_answers_for_a_short_series_is_stated(name: str, model: str) -> None:
    assert answered(a_series(ODD[name]), 24)[0].model == model


def test_a_constant_series_stays_as_it_is_without_doubt() -> None:
    answer, _ = answered(a_series(ODD["constant"]), 72)
    assert answer.value == pytest.approx(np.full(72, 7.5))
    assert answer.upper - answer.lower == pytest.approx(np.zeros(72), abs=1e-6)


def test_a_series_that_was_heard_for_a_day_follows_its_type_scaled() -> None:
    week = a_week_of(7, noise=0)
    answer, _ = answered(a_series(2 * week[:DAY]), 48, cold_start=week)
    assert answer.model == "type_profile"
    assert answer.value == pytest.approx(2 * week[DAY : 3 * DAY])


def test_a_series_that_was_never_heard_is_its_type() -> None:
    week = a_week_of(7, noise=0)
    answer, _ = answered(a_series(np.array([])), 48, cold_start=week)
    assert (answer.value == week[:48]).all()
    assert (answer.lower < answer.value).all()


def test_negative_values_are_possible_where_the_bounds_say_so() -> None:
    answer, _ = answered(a_series(ODD["negative"]), 24, bounds=(-inf, inf))
    assert answer.value.max() < 0


def test_no_answer_leaves_what_is_possible() -> None:
    answer, _ = answered(a_series(a_week_of(60)), 72, bounds=(45.0, 70.0))
    assert (answer.lower.min(), answer.upper.max()) == (45.0, 70.0)


def test_a_holiday_is_a_sunday() -> None:
    week = np.where(np.arange(WEEK) < 6 * DAY, 100.0, 10.0)
    series = a_series(np.tile(week, 10))
    holiday = Calendar(holidays=frozenset({series.end // DAY + 1}))
    answer, _ = forecast_next(series, horizon=72, calendar=holiday, memory=None)
    assert answer.value.reshape(3, DAY).mean(axis=1) == pytest.approx([100, 10, 100], abs=5)


def test_linear_members_see_what_the_median_cannot() -> None:
    random = np.random.default_rng(3)
    level = np.zeros(120)
    for day in range(1, 120):
        level[day] = 0.9 * level[day - 1] + random.normal(0, 10)
    values = a_week_of(120, noise=1) + np.repeat(level, DAY) + 60
    errors, memory = [], None
    for end in range(80 * DAY, 117 * DAY, DAY):
        answer, memory = answered(a_series(values[:end]), 24, memory)
        errors.append(np.abs(answer.value - values[end : end + DAY]).mean())
    assert answer.wape is not None
    assert answer.wape < 0.8 * answer.compared["seasonal_median"]
    assert np.mean(errors) < 0.8 * answer.compared["seasonal_median"] * values.mean()


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_new_level_is_followed_within_ten_days(factor: float) -> None:
    values = a_week_of(83)
    values[-13 * DAY :] *= factor
    answer, _ = answered(a_series(values[: -3 * DAY]), 72)
    assert np.abs(answer.value - values[-72:]).mean() < 0.5 * values[-72:].mean()


def test_a_week_old_fit_is_renewed_and_a_younger_one_is_kept() -> None:
    values = a_week_of(90)
    _, memory = answered(a_series(values[: 70 * DAY]), 24)
    assert memory.fitted_at == MONDAY + 70 * DAY
    _, kept = answered(a_series(values[: 76 * DAY]), 24, memory)
    assert kept.fitted_at == MONDAY + 70 * DAY
    _, renewed = answered(a_series(values[: 77 * DAY]), 24, memory)
    assert renewed.fitted_at == MONDAY + 77 * DAY
    _, published_after = answered(a_series(values[: 71 * DAY]), 24, memory, refit=True)
    assert published_after.fitted_at == MONDAY + 71 * DAY


def test_one_forecast_a_day_is_kept_and_judged_when_it_is_over() -> None:
    values = a_week_of(90)
    memory = None
    for end in range(70 * DAY, 72 * DAY):
        _, memory = answered(a_series(values[:end]), 24, memory)
    assert memory is not None
    assert memory.issued_at == (MONDAY + 71 * DAY,)
    assert memory.matured_at[-1] == MONDAY + 70 * DAY


def test_a_fit_serves_every_hour_of_the_day() -> None:
    values = a_week_of(130)
    _, memory = answered(a_series(values[: 100 * DAY]), 72)
    kept: list[float] = []
    anew: list[float] = []
    for end in range(101 * DAY + 5, 120 * DAY, 29):
        actual = values[end : end + 72]
        for refit, errors in ((False, kept), (True, anew)):
            answer, _ = answered(a_series(values[:end]), 72, memory, refit=refit)
            errors.append(float(np.abs(answer.value - actual).mean()))
    assert np.mean(kept) < 1.15 * np.mean(anew)


def test_a_longer_horizon_than_before_begins_anew() -> None:
    series = a_series(a_week_of(70))
    _, memory = answered(series, 24)
    answer, longer = answered(series, 72, memory)
    assert (memory.steps, longer.steps, len(answer.value)) == (24, 72, 72)


def test_a_memory_is_the_same_after_it_was_packed() -> None:
    values = a_week_of(75)
    _, memory = answered(a_series(values[:-DAY]), 72)
    kept = Memory.unpack(memory.pack())
    assert kept is not None
    assert kept.pack() == memory.pack()
    one, other = (answered(a_series(values), 72, each)[0] for each in (memory, kept))
    assert (one.value == other.value).all()
    assert len(memory.pack()) < 150_000


def test_a_memory_of_another_format_is_forgotten() -> None:
    _, memory = answered(a_series(a_week_of(20)), 24)
    assert Memory.unpack(memory.pack().replace(b"format\x01", b"format\x63")) is None


@pytest.mark.parametrize(
    "wrong", [{"horizon": 0}, {"horizon": 1, "bounds": (2.0, 1.0)}, {"horizon": 1, "cold_start": np.zeros(24)}]
)
def test_what_cannot_be_asked_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="horizon"):
        answered(a_series(a_week_of(20)), **wrong)  # type: ignore[arg-type]
