"""Random numbers that belong to an index: the same wherever and however often they are asked for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from producer.chance import Chance

INDEXES = stn.arrays(np.int64, st.integers(1, 50), elements=st.integers(-(2**40), 2**40))


@given(seed=st.integers(), index=INDEXES)
def test_a_number_depends_on_its_index_only(seed: int, index: np.ndarray) -> None:
    chance = Chance.of("test", seed)
    whole = chance.normal(index)
    single = [chance.normal(index[position : position + 1])[0] for position in range(len(index))]
    assert whole.tolist() == single


@given(seed=st.integers(), seconds=stn.arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e8, 1e8)))
def test_a_curve_is_the_same_in_parts_and_as_a_whole(seed: int, seconds: np.ndarray) -> None:
    chance = Chance.of("curve", seed)
    whole = chance.wander(seconds, every=600.0)
    parts = [chance.wander(seconds[position : position + 1], every=600.0)[0] for position in range(len(seconds))]
    assert whole.tolist() == parts


def test_uniform_numbers_fill_the_interval_evenly() -> None:
    numbers = Chance.of("even").uniform(np.arange(100_000))
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert numbers.min() > 0
    assert numbers.max() < 1
    assert abs(counts - 5_000).max() < 400  # more than five standard deviations


def test_normal_numbers_are_standard_and_independent_of_their_neighbours() -> None:
    numbers = Chance.of("bell").normal(np.arange(100_000))
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.02


def test_other_names_give_other_streams() -> None:
    index = np.arange(1000)
    streams = [Chance.of("a", 1), Chance.of("a", 2), Chance.of("a", 1).child("b"), Chance.of("a", 1).child("c")]
    for position, one in enumerate(streams):
        for other in streams[position + 1 :]:
            assert abs(np.corrcoef(one.uniform(index), other.uniform(index))[0, 1]) < 0.15


def test_a_curve_has_no_jumps() -> None:
    seconds = np.linspace(0, 86_400, 86_401)
    curve = Chance.of("smooth").wander(seconds, every=3600.0)
    assert abs(np.diff(curve)).max() < 0.005
    assert curve.std() > 0.4
