import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.arrays import DAY, Floats
from core.forecasting.engine.intervals import adapted
from core.forecasting.engine.weights import blended, by_day, fading_mean, name_of, taken_over, weights_of

ERRORS = arrays(np.float64, (6, 4, 3), elements=st.one_of(st.floats(0, 1e6), st.just(np.nan)))


@settings(max_examples=100, deadline=None)
@given(errors=ERRORS)
def test_weights_are_shares_of_one_and_the_best_has_most(errors: Floats) -> None:
    weights = weights_of(errors)
    assert weights.sum(axis=0) == pytest.approx(np.ones(3))
    assert (weights >= 0).all()
    for day in range(3):
        known = np.nan_to_num(fading_mean(errors)[:, day], nan=np.inf).tolist()
        if min(known) < np.inf:
            assert weights[int(np.argmin(known)), day] == pytest.approx(weights[:, day].max())


def test_an_error_fades_by_half_in_twelve_weeks_and_gaps_are_left_out() -> None:
    errors = np.full((85, 1, 1), np.nan)
    errors[0], errors[-1] = 3.0, 6.0

    assert fading_mean(errors) == pytest.approx(np.array([[5.0]]))
    assert np.isnan(fading_mean(errors[1:-1])).all()


@settings(max_examples=50, deadline=None)
@given(errors=ERRORS, factor=st.floats(1e-3, 1e3))
def test_the_unit_of_the_series_does_not_matter_to_weights(errors: Floats, factor: float) -> None:
    errors = np.where(errors < 1e-3, 0, errors)
    assert weights_of(errors * factor) == pytest.approx(weights_of(errors), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(outputs=arrays(np.float64, (4, 2 * DAY), elements=st.floats(-1e6, 1e6)), errors=ERRORS)
def test_a_blend_lies_between_its_members(outputs: Floats, errors: Floats) -> None:
    blend = blended(outputs, weights_of(errors)[:, :2], np.array([True, False, True, False]))
    assert (blend >= outputs.min(axis=0) - 1e-6).all()
    assert (blend <= outputs.max(axis=0) + 1e-6).all()


def test_who_says_nothing_leaves_the_blend_to_the_others() -> None:
    outputs = np.stack([np.full(DAY, 1.0), np.full(DAY, np.nan), np.full(DAY, 3.0)])
    weights, none = np.array([[0.25], [0.5], [0.25]]), np.zeros(3, dtype=bool)
    assert blended(outputs, weights, none) == pytest.approx(np.full(DAY, 2.0))


def test_where_members_are_medians_the_majority_decides_and_where_they_are_not_they_are_averaged() -> None:
    outputs = np.stack([np.full(DAY, 0.0), np.full(DAY, 100.0), np.full(DAY, 104.0)])
    weights = np.array([[0.4], [0.3], [0.3]])

    def blend(medians: int) -> float:
        return float(blended(outputs, weights, np.arange(3) < medians)[0])

    assert blend(0) == pytest.approx(61.2)
    assert blend(3) == pytest.approx(100.0)
    assert blend(1) == pytest.approx(0.6 * 61.2 + 0.4 * 100.0)


def test_the_median_takes_over_on_the_days_where_the_blend_was_worse() -> None:
    errors = np.ones((30, 3, 2))
    errors[-28:, -1, 1] = 1.1
    assert taken_over(errors).tolist() == [False, True]
    assert taken_over(errors, margin=1.05).tolist() == [False, True]
    assert taken_over(errors, margin=1.15).tolist() == [False, False]


def test_a_member_that_decides_alone_gives_its_name() -> None:
    names = ("a", "b")
    assert name_of(np.array([[0.04, 0.0], [0.96, 1.0]]), names) == "b"
    assert name_of(np.array([[0.5, 0.0], [0.5, 1.0]]), names) == "blend"


def test_days_of_the_horizon_are_averaged_over_what_is_known() -> None:
    values = np.concatenate([np.full(12, 1.0), np.full(12, np.nan), np.full(6, 3.0)])
    assert by_day(values).tolist() == [1.0, 3.0]


def test_the_missed_share_follows_what_was_missed() -> None:
    alpha = np.array([0.2, 0.2, 0.2])
    after = adapted(alpha, np.array([0.8, 0.3, np.nan]))
    assert after == pytest.approx([0.2, 0.19, 0.2])
