"""Drift: nothing while the values stay as they were, much when they do not, and equal to its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.drift import DriftWatch, population_stability_index

COUNTS = arrays(np.float64, 20, elements=st.integers(0, 10_000))


@given(COUNTS, COUNTS)
def test_the_index_is_symmetric_and_never_negative(before: np.ndarray, now: np.ndarray) -> None:
    index = population_stability_index(before, now)

    assert index >= -1e-12
    assert index == pytest.approx(population_stability_index(now, before))


def test_the_index_of_halves_that_become_a_quarter_and_three() -> None:
    before, now = np.array([1e6, 1e6]), np.array([0.5e6, 1.5e6])

    assert population_stability_index(before, now) == pytest.approx(0.25 * np.log(3), rel=1e-4)


def test_nothing_is_said_before_the_first_values_are_counted_and_a_shift_is_seen_after() -> None:
    random = np.random.default_rng(1)
    watch = DriftWatch(version="1", highest=1.0, memory=1000)
    watch.add(np.append(random.beta(2, 8, 999), np.nan))
    assert watch.index is None

    for _ in range(20):
        watch.add(random.beta(2, 8, 500))
    calm = watch.index
    for _ in range(20):
        watch.add(random.beta(4, 6, 500))
    assert calm is not None
    assert calm < 0.1
    assert watch.index is not None
    assert watch.index > 0.25
