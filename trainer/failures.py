"""Failure classification of labelled rows by their own sensors, without history.

For recordings without an order in time, such as AI4I 2020: one row for each piece of work, and derived sensors instead
of averages.
"""

from typing import Final

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold

from core.arrays import Bools, Features, Floats
from trainer.fanout import sharing_memory

FOLDS: Final = 5
TREES: Final = 100
FEATURE_SHARE: Final = 0.6
FEWEST_FAILURES: Final = 10


def failure_probabilities(features: Features, failed: Bools, *, seed: int) -> Floats:
    """Return the probability of a failure in each row, (n,), from trees fitted without the row's fold.

    features: (n, F), without missing values; failed: (n,).

    Raises:
        ValueError: fewer failures than the folds need.
    """
    if failed.sum() < FEWEST_FAILURES:
        message = f"{int(failed.sum())} rows are labelled as failures, {FEWEST_FAILURES} are needed; give more rows"
        raise ValueError(message)
    probabilities = np.zeros(len(failed))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, failed):
        # pure leaves: failures are few, and their bounds are sharp
        forest = RandomForestClassifier(
            n_estimators=TREES, min_samples_leaf=1, max_features=FEATURE_SHARE, random_state=seed, n_jobs=-1
        )
        with sharing_memory():
            forest.fit(features[train], failed[train])
            probabilities[test] = forest.predict_proba(features[test])[:, 1]
    return probabilities
