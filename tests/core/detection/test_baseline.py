"""What is normal for a machine, and how far off is too far."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from core.detection.baseline import Baseline, fit_baseline, ledoit_wolf

Floats = NDArray[np.float64]
SMOOTHING = (0.2, 0.05)


def fitted(rows: Floats, *, least_scale: float = 0.0, rate: float = 0.01) -> Baseline:
    floor = np.full(rows.shape[1], least_scale)
    return fit_baseline(rows, smoothing=SMOOTHING, false_alarm_rate=rate, least_scale=floor)


def noise(rows: int, sensors: int = 3, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(50, 2, (rows, sensors))


@given(st.integers(0, 2**32), st.integers(5, 200), st.integers(1, 8), st.floats(0, 1))
@settings(max_examples=60)
def test_the_covariance_is_that_of_scikit_learn(seed: int, rows: int, sensors: int, common: float) -> None:
    random = np.random.default_rng(seed)
    data = random.normal(0, random.uniform(0.1, 10, sensors), (rows, sensors)) + common * random.normal(0, 5, (rows, 1))
    np.testing.assert_allclose(ledoit_wolf(data), LedoitWolf().fit(data).covariance_, rtol=1e-9, atol=1e-12)


@given(arrays(np.float64, (7, 3), elements=st.floats(-1e3, 1e3)))
@settings(max_examples=60)
def test_a_covariance_is_symmetric_and_no_distance_is_negative(data: Floats) -> None:
    covariance = ledoit_wolf(data)
    np.testing.assert_allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() >= -1e-6


def test_identical_rows_have_no_covariance() -> None:
    assert not ledoit_wolf(np.full((10, 2), 3.0)).any()


def test_mean_and_scale_are_those_of_the_readings() -> None:
    rows = noise(400)
    baseline = fitted(rows)
    np.testing.assert_allclose(baseline.mean, rows.mean(axis=0))
    np.testing.assert_allclose(baseline.scale, rows.std(axis=0))


def test_missing_values_are_left_out_and_not_made_up() -> None:
    """Every other value of a sensor is missing: what is known of it stays the same."""
    rows = noise(4000)
    holes = rows.copy()
    holes[::2, 1] = np.nan
    whole, other = fitted(rows), fitted(holes)
    assert other.mean[1] == pytest.approx(whole.mean[1], abs=0.15)
    assert other.scale[1] == pytest.approx(whole.scale[1], rel=0.05)
    # its average takes a step only with a value, and so is as restless as with all of them
    np.testing.assert_allclose(np.diag(other.precision[0]), np.diag(whole.precision[0]), rtol=0.2)
    assert other.limit == pytest.approx(whole.limit, rel=0.1)


def test_a_sensor_that_never_spoke_has_no_mean_and_hardly_disturbs() -> None:
    rows = noise(400)
    dumb = rows.copy()
    dumb[:, 2] = np.nan
    baseline, pair = fitted(dumb), fitted(rows[:, :2])
    assert np.isnan(baseline.mean[2])
    assert np.isfinite(baseline.precision).all()
    np.testing.assert_allclose(baseline.mean[:2], pair.mean)
    np.testing.assert_allclose(np.diag(baseline.precision[0])[:2], np.diag(pair.precision[0]), rtol=0.15)
    # it does not move, so it does not widen the limit either
    assert baseline.limit == pytest.approx(pair.limit, rel=0.1)


def test_a_constant_sensor_gets_its_floor_as_scale() -> None:
    rows = noise(400)
    rows[:, 0] = 7.0
    assert fitted(rows, least_scale=0.5).scale[0] == 0.5
    assert fitted(rows).scale[0] == pytest.approx(0.007)
    rows[:, 0] = 0.0
    assert fitted(rows).scale[0] == 1.0


def test_a_constant_sensor_is_held_to_its_floor_and_not_to_its_silence() -> None:
    """One floor's distance must not count as a thousand: the floor stands for the noise that was not seen."""
    rows = noise(400)
    rows[:, 0] = 7.0
    baseline = fitted(rows, least_scale=0.5)
    for which, weight in enumerate(SMOOTHING):
        expected = (2 - weight) / weight
        assert baseline.precision[which, 0, 0] == pytest.approx(expected, rel=0.1)


def test_a_machine_on_which_nothing_moved_has_a_usable_baseline() -> None:
    baseline = fitted(np.full((50, 2), 5.0), least_scale=0.5)
    for which, weight in enumerate(SMOOTHING):
        average = np.array([1.0, 0.0])  # one floor off for good
        ratio = average @ baseline.precision[which] @ average / baseline.typical[which] / baseline.limit
        # at the fast average one floor is nothing, at the slow one it is about the limit
        assert ratio < (0.7 if weight == 0.2 else 3.0)


def test_sensors_that_wander_are_known_by_their_drift() -> None:
    steady, wandering, true = [], [], []
    for seed in range(10):
        random = np.random.default_rng(seed)
        course = random.normal(0, 0.5, 400).cumsum()
        rows = np.column_stack([random.normal(0, 1, 400), random.normal(0, 1, 400) + course])
        baseline = fitted(rows)
        steady.append(baseline.drift[0])
        wandering.append(baseline.drift[1])
        true.append(0.5**2 / rows[:, 1].var())
        # what wanders counts for less
        assert baseline.precision[1, 1, 1] < baseline.precision[1, 0, 0] / 3
    assert np.mean(wandering) == pytest.approx(np.mean(true), rel=0.4)
    assert np.mean(steady) < np.mean(true) / 10


@pytest.mark.parametrize("rows", [20, 119])
def test_too_few_readings_say_nothing_of_drift(rows: int) -> None:
    assert not fitted(np.cumsum(noise(rows), axis=0)).drift.any()


def test_the_averages_go_on_from_the_last_reading() -> None:
    rows = np.vstack([noise(380), noise(20) + 2.0])
    baseline = fitted(rows)
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    for which, weight in enumerate(SMOOTHING):
        average = z[:20].mean(axis=0)
        for row in np.clip(z, -5, 5):
            average += weight * (row - average)
        np.testing.assert_allclose(baseline.averages[which], average)


@given(st.integers(20, 60), st.integers(1, 12), st.floats(0, 0.9), st.integers(0, 2**32))
@settings(max_examples=60)
def test_any_warm_up_leads_to_finite_figures(rows: int, sensors: int, holes: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = random.normal(0, 10.0 ** random.integers(-6, 7, sensors), (rows, sensors))
    data[:, random.random(sensors) < 0.2] = 3.0
    data[random.random((rows, sensors)) < holes] = np.nan
    baseline = fitted(data)
    assert (baseline.scale > 0).all()
    assert np.isfinite(baseline.precision).all()
    assert (baseline.typical > 0).all()
    assert np.isfinite(baseline.limit)
    assert baseline.limit > 0
    assert np.isfinite(baseline.averages).all()


def test_a_rarer_false_alarm_means_a_wider_limit() -> None:
    rows = noise(400)
    assert fitted(rows, rate=0.001).limit > fitted(rows, rate=0.01).limit > fitted(rows, rate=0.1).limit
