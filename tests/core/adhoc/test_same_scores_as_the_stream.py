"""Rows get the same scores whether they come through the stream or are asked about with the machine's baseline."""

from typing import Final, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adhoc.rows import History, ScoredRows, score_rows
from core.arrays import Floats
from core.assess import Assessment, assess
from core.batch import ReadingBatch
from core.models import FlagBy, Models, Reference
from core.plant.limits import limit_severity
from core.row_results import LEVELS
from core.state import FleetState
from core.state.tracks import Tracks
from tests.builders import PUMP, START, a_batch, a_plant, normal_rows
from tests.core.streams import ForestOfOne

PLANT: Final = a_plant(detection={"warm_up_readings": 40, "settle_seconds": 0.0})
KNOWN: Final = 60
"""Readings of the machine before those that are compared."""
rows = st.lists(
    st.tuples(
        st.floats(20.0, 90.0),
        st.one_of(st.floats(50.0, 130.0), st.just(float("nan")), st.just(5000.0)),
        st.floats(0.0, 70.0),
        st.just(101.0),
    ),
    min_size=1,
    max_size=30,
)


def both_ways(values: Floats, models: Models) -> tuple[Assessment, ScoredRows]:
    """The same rows of a known machine through the stream and outside it."""
    state = FleetState(PLANT)
    state = assess(a_batch(*normal_rows(KNOWN), plant=PLANT), state=state, models=models, plant=PLANT).state
    slot = state.slots[PUMP]
    tracks = Tracks(*(column[slot : slot + 1].copy() for column in state.tracks))
    outside = score_rows(
        [History(values=values, machine_id=PUMP, tracks=tracks)], models=models, references={}, plant=PLANT
    )
    times = tracks.last_seen[0] + tracks.interval[0] * np.arange(1.0, len(values) + 1.0)
    batch = ReadingBatch.from_columns([PUMP] * len(values), times, values, KNOWN + np.arange(len(values)))
    return assess(batch, state=state, models=models, plant=PLANT), outside


@pytest.mark.parametrize("flag_by", get_args(FlagBy))
@given(readings=rows)
@settings(max_examples=25)
def test_the_same_rows_have_the_same_scores_flags_and_broken_limits(
    readings: list[tuple[float, ...]], flag_by: FlagBy
) -> None:
    values = np.array(readings)
    inside, outside = both_ways(values, Models(anomaly=ForestOfOne(), flag_by=flag_by))

    assert outside.levels == ("machine",)
    np.testing.assert_array_equal(outside.anomaly, inside.scores.anomaly)
    np.testing.assert_array_equal(np.nan_to_num(outside.anomaly) >= 0.5, inside.scores.flagged)
    np.testing.assert_array_equal(outside.limits, limit_severity(values, PLANT))


def test_a_calm_and_a_vibrating_pump_differ_in_both_ways_alike() -> None:
    values = np.array([[40.0, 60.0, 2.5, 101.0]] * 5 + [[40.0, 60.0, 12.0, 101.0]] * 10)
    inside, outside = both_ways(values, Models())

    assert inside.scores.batch.timestamps[0] > START
    assert (inside.scores.flagged[0], inside.scores.flagged[-1]) == (False, True)
    np.testing.assert_array_equal(outside.anomaly, inside.scores.anomaly)


TYPE: Final = Reference(mean=np.array([40.0, 60.0, 2.5]), scale=np.array([2.0, 1.0, 0.2]), limit=11.0)


def test_first_readings_of_a_new_machine_have_the_scores_of_its_type() -> None:
    values = np.array([[40.0, 60.0, 2.5, 101.0], [40.0, 68.0, 2.5, 101.0], [0.0, 20.0, 0.0, 101.0]])
    models = Models(anomaly=ForestOfOne(), references={"pump": TYPE})
    batch = ReadingBatch.from_columns([PUMP] * 3, START + 60.0 * np.arange(3.0), values)
    inside = assess(batch, state=FleetState(PLANT), models=models, plant=PLANT).scores
    rows = [History(values=values[row : row + 1], machine_id=PUMP) for row in range(3)]
    outside = score_rows(rows, models=models, references=models.references, plant=PLANT)

    assert outside.levels == ("type",) * 3
    assert [LEVELS[level] for level in inside.level] == ["type", "type", "limits"]
    np.testing.assert_array_equal(inside.anomaly[:2], outside.anomaly[:2])
    assert inside.flagged.tolist() == [False, True, False]
    assert np.isnan(inside.anomaly[2])  # it stands
