"""One seasonal median, whoever asks for it, and names that mean one thing."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arrays import DAY, WEEK
from core.forecasting import names
from core.forecasting.engine import Calendar, HourlySeries, forecast_next
from core.forecasting.fit import FitRequest, fallback, fit
from core.forecasting.seasonal import hourly_median, seasonal_median
from runtime.forecasting.answers import forecast, median_is_better
from runtime.forecasting.published import CurveDocument, forecast_by
from tests.core.forecasting.courses import MONDAY, a_series, a_week_of

HOLIDAYS = frozenset({MONDAY // DAY + 23, MONDAY // DAY + 68})
CURVE = CurveDocument(start=0, level=0.0, slope=0.0, week=(0.0,) * 168, year=(0.0,) * 366).curve()


def test_every_published_name_means_one_model() -> None:
    assert len(set(names.ALL)) == len(names.ALL)
    defined = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    listed = {
        one for name, value in vars(names).items() if name.isupper() and isinstance(value, tuple) for one in value
    }
    assert defined | listed == set(names.ALL)


def test_no_module_writes_a_name_of_a_model_a_second_time() -> None:
    """A name is written where it is defined, and in literal types that callers read."""
    root = Path(__file__).parents[3]
    known = {*names.MEMBERS, *names.COLD, names.BLEND, names.PLANT_SUM}
    twice = []
    for folder in ("core/forecasting", "runtime/forecasting", "processor/forecasting", "trainer"):
        for path in set((root / folder).rglob("*.py")) - {Path(names.__file__)}:
            for node in ast.walk(ast.parse(path.read_text())):
                given_ = node.value if isinstance(node, ast.AnnAssign | ast.Assign) else None
                if isinstance(given_, ast.Constant) and given_.value in known:
                    twice.append(f"{path.name}: {given_.value}")
    assert not twice


@settings(max_examples=25, deadline=None)
@given(days=st.integers(15, 80), phase=st.integers(0, 23), missing=st.floats(0, 0.6), seed=st.integers(0, 9))
def test_whoever_publishes_a_seasonal_median_publishes_the_same(
    days: int, phase: int, missing: float, seed: int
) -> None:
    """The blend's member, the worker's fallback, a caller's answer and the trainer's candidate agree to the digit."""
    random = np.random.default_rng(seed)
    values = a_week_of(days, seed=seed)
    values[random.random(len(values)) < missing] = np.nan
    series = a_series(values, phase=phase)
    answer, _ = forecast_next(series, horizon=72, calendar=Calendar(), memory=None)
    plain = hourly_median(series, Calendar(), 72).value
    if answer.members:
        np.testing.assert_array_equal(answer.members[names.SEASONAL_MEDIAN], plain)
    request = FitRequest(
        first_hour=series.first_hour,
        values=series.values,
        horizon=72,
        zone="UTC",
        region=None,
        bounds=(0.0, np.inf),
        memory=b"",
    )
    np.testing.assert_array_equal(fallback(request).value, plain)
    published, _ = forecast_by(
        "seasonal_median", series, horizon=72, curve=CURVE, week=np.zeros(168), spread=0.0, memory=None
    )
    np.testing.assert_array_equal(published.value, plain)


def test_the_fallback_compares_what_it_would_publish() -> None:
    values, first = a_week_of(70), MONDAY
    request = FitRequest(
        first_hour=first, values=values, horizon=72, zone="Europe/Berlin", region=None, bounds=(0.0, 1e3), memory=b""
    )
    fitted, instead = fit(request, holidays=HOLIDAYS), fallback(request, holidays=HOLIDAYS)
    assert fitted.model != names.SEASONAL_MEDIAN
    assert instead.model == names.SEASONAL_MEDIAN
    np.testing.assert_array_equal(fitted.median, instead.value)
    assert instead.memory == request.memory


def test_a_caller_is_answered_by_the_median_that_was_compared_with_the_blend() -> None:
    # days that are high or low at random: what came before says nothing, and the median is the safest answer
    level = 20.0 * np.random.default_rng(19).integers(0, 2, 9 * 7).repeat(24)
    series = HourlySeries(first_hour=MONDAY, values=100.0 + level + np.arange(9 * WEEK) % 24)
    answer, memory = forecast_next(series, horizon=24, calendar=Calendar(), memory=None)
    assert median_is_better(memory)
    given_ = forecast(series.values.tolist(), 24)
    assert given_.model == names.SEASONAL_MEDIAN
    assert given_.forecast == pytest.approx(answer.members[names.SEASONAL_MEDIAN].tolist())


@given(st.lists(st.floats(0, 100) | st.just(float("nan")), min_size=40, max_size=120), st.sampled_from([5, 7, 12]))
def test_a_season_of_any_length_is_the_median_of_the_newest_four_of_its_phase(values: list[float], season: int) -> None:
    series = np.array(values)
    if np.isnan(series).all():
        return
    answer = seasonal_median(series, horizon=season, seasons=(season,))
    own = []
    for step in range(season):
        known = [v for v in series[(len(series) + step) % season :: season] if not np.isnan(v)]
        own.append(float(np.median(known[-4:])) if known else np.nan)
    level = [v for v in series if not np.isnan(v)][-4:]
    seasonal = np.where(np.isnan(own), np.median(level), own)
    assert any(np.allclose(answer.value, one) for one in (seasonal, np.full(season, np.median(level))))


def test_a_season_is_found_and_carried_on() -> None:
    day = 100 + 10 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    answer = seasonal_median(np.tile(day, 5)[:-6], horizon=12, seasons=(24, 168))
    assert answer.value == pytest.approx(np.concatenate([day[18:], day[:6]]))


def test_four_of_five_values_fall_between_the_bounds() -> None:
    random = np.random.default_rng(6)
    day = 100 + 10 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    inside = []
    for _ in range(60):
        series = np.tile(day, 15) + random.normal(0, 3, 360)
        answer = seasonal_median(series[:-24], horizon=24, seasons=(24, 168))
        inside.append(((series[-24:] >= answer.lower) & (series[-24:] <= answer.upper)).mean())
    assert 0.75 < np.mean(inside) < 0.88


def test_gaps_are_no_zeros() -> None:
    series = np.tile(np.arange(1.0, 25.0), 6)
    series[50:80] = np.nan
    assert seasonal_median(series, horizon=24, seasons=(24,)).value == pytest.approx(np.arange(1.0, 25.0))
