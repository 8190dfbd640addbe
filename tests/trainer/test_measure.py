import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, precision_recall_fscore_support, r2_score, roc_auc_score

from trainer.measure import Outcome, error_figures, flag_figures, intervals, relative_figures


def an_outcome(truth: list[float], answer: list[float], machine: list[int] | None = None) -> Outcome:
    return Outcome(
        machine=np.array([0] * len(truth) if machine is None else machine),
        truth=np.array(truth, dtype=np.float64),
        answer=np.array(answer, dtype=np.float64),
    )


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=60))
def test_flags_are_measured_as_scikit_learn_measures_them(cases: list[tuple[bool, int]]) -> None:
    truth, answer = [float(one) for one, _ in cases], [score / 10 for _, score in cases]
    found = flag_figures(an_outcome(truth, answer))
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, np.array(answer) >= 0.5, average="binary", zero_division=0.0
    )
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((precision, recall, f1))
    if 0 < sum(truth) < len(truth):
        assert found["auc"] == pytest.approx(roc_auc_score(truth, answer))
    else:
        assert found["auc"] is None


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=60))
def test_errors_are_measured_as_scikit_learn_measures_them(cases: list[tuple[float, float]]) -> None:
    truth, answer = [one for one, _ in cases], [one for _, one in cases]
    found = error_figures(an_outcome(truth, answer))
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, answer))
    if np.ptp(truth) > 1e-3:
        assert found["r2"] == pytest.approx(r2_score(truth, answer), rel=1e-6, abs=1e-6)


def test_hours_of_a_standing_machine_count_in_kilowatts_and_not_as_a_share() -> None:
    """Standby power of 0.5 kW forecast as 1 kW is half a kilowatt wrong, not 100 %."""
    outcome = Outcome(
        machine=np.zeros(2, np.int64),
        truth=np.array([50.0, 0.5]),
        answer=np.array([55.0, 1.0]),
        relative=np.array([True, False]),
    )
    found = relative_figures(outcome)
    assert found["mape"] == pytest.approx(0.1)
    assert found["mae"] == pytest.approx((5 + 0.5) / 2)


def test_where_nothing_varies_there_is_nothing_to_explain() -> None:
    assert error_figures(an_outcome([1, 1], [1, 2]))["r2"] is None


def test_machines_that_disagree_make_an_interval_wide_however_many_readings_each_has() -> None:
    alike = an_outcome([0.0] * 4000, [1.0] * 4000, [machine for machine in range(4) for _ in range(1000)])
    unlike = an_outcome(
        [0.0] * 4000,
        [float(machine) for machine in range(4) for _ in range(1000)],
        [machine for machine in range(4) for _ in range(1000)],
    )
    assert intervals(alike, error_figures)["mae"] == (1.0, 1.0)
    low, high = intervals(unlike, error_figures)["mae"]
    assert low < 1.0
    assert high > 2.0


def test_one_machine_says_nothing_of_others() -> None:
    assert intervals(an_outcome([0, 1], [0, 1]), error_figures) == {}
