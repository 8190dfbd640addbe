"""Failures told from labelled rows."""

import numpy as np
import pytest

from trainer.failures import failure_probabilities
from trainer.measure import Outcome, flag_figures


def test_failures_beyond_a_bound_are_found_in_rows_that_were_held_out() -> None:
    chance = np.random.default_rng(0)
    features = chance.uniform(0, 1, (800, 3)).astype(np.float32)
    failed = features[:, 1] > 0.93
    chances = failure_probabilities(features, failed, seed=0)
    outcome = Outcome(machine=np.zeros(800, np.int64), truth=failed.astype(np.float64), answer=chances)
    assert flag_figures(outcome)["f1"] > 0.9
    shuffled = failure_probabilities(features, chance.permutation(failed), seed=0)
    assert ((shuffled >= 0.5) & failed).sum() < failed.sum() / 4, "without a cause there is nothing to tell"


def test_too_few_failures_are_refused() -> None:
    failed = np.arange(50) < 3
    with pytest.raises(ValueError, match="3 rows are labelled as failures, 10 are needed; give more rows"):
        failure_probabilities(np.zeros((50, 1), np.float32), failed, seed=0)
