"""Baselines after the warm-up: they follow slowly, go to a level that has moved for good, and to no shorter one."""

from typing import Final

import numpy as np
import pytest

from core.arrays import Floats
from core.plant import Plant
from schemas.scores import FLAG_AT
from tests.core.detection.test_detection import a_plain_plant, assessed, noise

ACCEPTED: Final = 600
"""Readings, a minute apart, after which a lasting level is the new one in these tests."""


def a_plant(detector: str) -> Plant:
    return a_plain_plant(3, detector=detector, new_normal_after_seconds=60.0 * ACCEPTED)


def scores(values: Floats, plant: Plant) -> Floats:
    """Scores of all readings, (readings, machines)."""
    return assessed(values, plant).scores.anomaly.reshape(len(values), -1)


@pytest.mark.parametrize("detector", ["distance", "surprise", "both"])
def test_a_level_that_moved_for_good_is_quiet_again_and_what_leaves_it_is_found(detector: str) -> None:
    values = noise(2600, machines=4)
    values[500:, :, 1] += 120
    back = 500 + ACCEPTED + 900  # time to be accepted, and two and a half time constants to get there
    values[2400:2410, :, 1] -= 60  # towards the level of before: a fault all the same
    found = scores(values, a_plant(detector))
    assert (found[505:510] >= FLAG_AT).all()
    assert (found[back:2400] >= FLAG_AT).mean() < 0.01
    assert (found[2401:2410] >= FLAG_AT).any(axis=0).all()


def test_a_fault_that_ends_in_time_moves_no_baseline() -> None:
    values = noise(1700, machines=4)
    values[500 : 500 + ACCEPTED - 60, :, 1] += 120
    plant = a_plant("distance")
    found = scores(values, plant)
    assert (found[510 : 500 + ACCEPTED - 60] >= FLAG_AT).all()
    again = values.copy()
    again[1600:, :, 1] += 120
    assert (scores(again, plant)[1610:] >= FLAG_AT).all()


def test_a_slow_drift_is_followed_while_nothing_is_unusual() -> None:
    values = noise(9000, machines=2)
    values[500:, :, 1] += np.linspace(0.0, 12.0, 8500)[:, None]  # six deviations in six days
    assert (scores(values, a_plain_plant(3, detector="surprise"))[500:] >= FLAG_AT).mean() < 0.001
