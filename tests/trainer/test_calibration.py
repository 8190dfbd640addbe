from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainer.calibration import calibration_knots, fewest_normal_readings

Floats = np.ndarray[Any, np.dtype[np.float64]]


def scores(raw: Any, of: Floats, rate: float = 0.01) -> Floats:
    return np.asarray(np.interp(raw, *calibration_knots(of, rate=rate)))


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_new_normal_readings_cross_half_at_the_stated_rate(rate: float) -> None:
    generator = np.random.default_rng(1)
    seen, new = generator.beta(3, 9, 100_000), generator.beta(3, 9, 100_000)
    assert np.mean(scores(new, seen, rate) >= 0.5) == pytest.approx(rate, rel=0.15)


@given(
    arrays(
        np.float64,
        st.integers(fewest_normal_readings(0.05), 300),
        elements=st.one_of(st.floats(0.25, 0.75, width=32), st.sampled_from([0.4, 0.5])),
    )
)
def test_whatever_the_readings_at_most_the_stated_share_of_them_is_flagged(raw: Floats) -> None:
    knots, values = calibration_knots(raw, rate=0.05)
    assert np.mean(np.interp(raw, knots, values) >= 0.5) <= 0.05
    assert np.all(np.diff(knots) > 0)
    assert np.all(np.diff(values) >= 0)
    assert values[0] >= 0
    assert values[-1] <= 1
    # something higher than all of it must be able to reach any score
    assert np.interp(raw.max() + 100, knots, values) > 0.99


def test_equal_steps_of_the_score_below_half_are_equally_many_times_rarer() -> None:
    raw = np.linspace(0, 1, 100_001)
    assert scores(0.9, raw) == pytest.approx(0.25, abs=0.005)  # one in ten is higher
    assert scores(0.99, raw) == pytest.approx(0.5, abs=0.005)  # one in a hundred


def test_above_the_flag_a_mean_excess_takes_the_score_most_of_the_way() -> None:
    raw = np.random.default_rng(1).exponential(size=100_000)
    threshold = np.quantile(raw, 0.99)
    # an exponential's mean excess is 1 everywhere
    assert scores(threshold + 1, raw) == pytest.approx(1 - 0.5 / np.e, abs=0.03)


def test_too_few_readings_for_the_rate_are_refused() -> None:
    with pytest.raises(ValueError, match=r"98 normal readings cannot show a rate of 0.01; 99 can"):
        calibration_knots(np.linspace(0, 1, 98), rate=0.01)
    calibration_knots(np.linspace(0, 1, 99), rate=0.01)
