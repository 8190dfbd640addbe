import numpy as np
import pytest

from core.batch import ReadingBatch
from core.detection.features import FeatureFrame
from core.models import FlagBy
from trainer.datasets import Datasets
from trainer.flag import FlagChoice, choose_flag

ROWS = 4000


def choice(
    *, labels: bool = True, forest_sees: bool = True, distance_sees: bool = False, wild: float = 0.0
) -> FlagChoice:
    """One machine, all rows to calibrate on, every twentieth anomalous; wild: the distance's false alarms."""
    random = np.random.default_rng(1)
    truth = np.arange(ROWS) % 20 == 0
    raw = random.normal(0.4, 0.02, ROWS) + np.where(truth & forest_sees, 0.2, 0.0)
    distance = random.uniform(0.0, 0.4, ROWS) + np.where(truth & distance_sees, 0.5, 0.0)
    distance = np.where(random.random(ROWS) < wild, 0.9, distance)
    batch = ReadingBatch.from_columns(["a"] * ROWS, np.arange(ROWS, dtype=np.float64), np.zeros((ROWS, 1)))
    data = Datasets(
        batch=batch,
        split=np.ones(ROWS, dtype=np.int8),
        anomaly=truth if labels else None,
        hours_to_failure=None,
        notes=(),
        duplicates=0,
    )
    frame = FeatureFrame(
        anomaly=np.zeros((ROWS, 1), np.float32),
        maintenance=np.zeros((ROWS, 1), np.float32),
        running=np.ones(ROWS, dtype=np.bool_),
        scored=np.ones(ROWS, dtype=np.bool_),
        distance=distance,
    )
    return choose_flag(raw, data, frame, held_out=~truth, highest_rate=0.01)


@pytest.mark.parametrize(
    ("forest_sees", "distance_sees", "wild", "expected"),
    [(True, False, 0.2, "forest"), (True, True, 0.0, "both")],
)
def test_what_finds_more_than_it_invents_raises_the_flag(
    *, forest_sees: bool, distance_sees: bool, wild: float, expected: FlagBy
) -> None:
    found = choice(forest_sees=forest_sees, distance_sees=distance_sees, wild=wild)
    assert found.flag_by == expected
    assert found.evidence[expected] == max(found.evidence.values()) > 0.9


def test_a_forest_that_sees_nothing_does_not_raise_the_flag_alone() -> None:
    found = choice(forest_sees=False, distance_sees=True)
    assert found.flag_by != "forest"
    assert found.evidence["forest"] < 0.2
    assert found.evidence["distance"] > 0.9


def test_the_rate_is_never_above_the_plants_and_lower_where_that_costs_nothing() -> None:
    assert choice(wild=0.2).rate < 0.01
    assert choice(forest_sees=False, distance_sees=True).rate <= 0.01


def test_without_labels_both_raise_the_flag_at_the_plants_rate() -> None:
    found = choice(labels=False)
    assert (found.flag_by, found.rate, found.evidence) == ("both", 0.01, {})
