import logging
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import UsageError
from runtime.forecasting.answers import forecast, parse_frequency, seasons_of
from runtime.models.model_inference import ModelInference


@pytest.fixture
def unpromoted(tmp_path: Path) -> ModelInference:
    return ModelInference(tmp_path / "none")


def test_readings_are_given_by_place_or_by_name(unpromoted: ModelInference) -> None:
    by_place = unpromoted.detect_anomalies(100, 45, 2, 1.0, 5.0)
    by_name = unpromoted.detect_anomalies(power=100, temperature=45, vibration=2, runtime=1.0, production=5.0)
    assert by_place == by_name
    assert (by_place["is_anomaly"], by_place["model"]) == (False, "fallback")


def test_columns_may_be_series_with_gaps(unpromoted: ModelInference) -> None:
    found = unpromoted.detect_anomalies(temperature=[45, None, 130], power=[50, 51, 52])
    assert [one["is_anomaly"] for one in found] == [False, False, True]


def test_advice_is_that_after_the_last_reading(unpromoted: ModelInference) -> None:
    answer = unpromoted.recommend_maintenance(temperature=[45, 130])
    assert (answer["band"], answer["urgent"], answer["model"]) == ("urgent", True, "fallback")


@pytest.mark.parametrize("columns", [{"heat": 5}, {"power": [1, 2], "temperature": [1]}, {"power": []}, {}])
def test_columns_that_cannot_be_are_named(unpromoted: ModelInference, columns: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"name its sensors|equally many"):
        unpromoted.detect_anomalies(**columns)  # type: ignore[arg-type]


def test_what_is_missing_is_a_warning_and_never_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    found = ModelInference(tmp_path)
    assert ["no version of it is promoted" in one for one in found.problems] == [True, True]
    assert len(caplog.messages) == 2


def test_a_forecast_says_which_model_made_it(unpromoted: ModelInference) -> None:
    answer = unpromoted.forecast_energy([1, 2, 3, 1, 2, 3], 2)
    assert (answer["model"], len(answer["forecast"])) == ("seasonal_median", 2)


@pytest.mark.parametrize(
    ("frequency", "seasons"),
    [("h", (24, 168)), ("15min", (4, 96, 672)), ("D", (7,)), ("W", (52,)), ("MS", (12,)), ("YE", ()), ("7h", (24,))],
)
def test_a_frequency_has_its_seasons(frequency: str, seasons: tuple[int, ...]) -> None:
    assert seasons_of(parse_frequency(frequency)) == seasons


@pytest.mark.parametrize("frequency", ["banana", "", "-h", "0h", "h;D", "🍌"])
def test_what_is_no_frequency_is_named(frequency: str) -> None:
    with pytest.raises(UsageError, match="is no pandas frequency that leads forward"):
        parse_frequency(frequency)


@pytest.mark.parametrize(("values", "periods"), [([], 1), ([None], 1), ([1.0], 0), ([1.0], 169), ([float("inf")], 1)])
def test_a_series_or_horizon_that_cannot_be_is_refused(values: list[float | None], periods: int) -> None:
    with pytest.raises(UsageError):
        forecast(values, periods)


def test_an_hourly_series_that_can_be_learned_is_answered_by_the_blend(unpromoted: ModelInference) -> None:
    days = 75
    random = np.random.default_rng(1)
    level = np.zeros(days)
    for day in range(1, days):
        level[day] = 0.9 * level[day - 1] + random.normal(0, 10)
    hours = np.arange(days * 24)
    series = 100 + 20 * np.sin(hours * np.pi / 12) + np.repeat(level, 24)
    answer = forecast(series[:-24].tolist(), 24)
    median = unpromoted.forecast_energy(series[:-24].tolist(), 24, frequency="60min", model="seasonal_median")
    assert (answer.model, median["model"]) == ("blend", "seasonal_median")
    assert np.abs(series[-24:] - answer.forecast).mean() < np.abs(series[-24:] - median["forecast"]).mean()


def test_what_was_never_below_zero_is_not_forecast_below_it() -> None:
    series = [0.0, 50.0, 0.0, 0.0] * 20
    assert min(forecast(series, 24).lower_bound) == 0
    assert min(forecast([-value for value in series], 24).lower_bound) < 0


def test_the_seasonal_median_answers_where_it_does_better() -> None:
    # days that are high or low at random: what came before says nothing
    level = 20.0 * np.random.default_rng(19).integers(0, 2, 9 * 7).repeat(24)
    hours = np.arange(9 * 7 * 24)
    assert forecast((100.0 + level + hours % 24).tolist(), 24).model == "seasonal_median"
