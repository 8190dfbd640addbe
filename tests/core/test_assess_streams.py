"""What comes out depends on the readings and their order alone: not on batches, restarts or repeats."""

from hypothesis import given
from hypothesis import strategies as st

from core.batch import ReadingBatch
from core.elapse import elapse
from tests.core.streams import PLANT, Said, close_all, cut, part, play, remembered, restored, streams

places = st.lists(st.integers(0, 10_000), max_size=6)


@given(streams(), places)
def test_how_a_stream_is_cut_into_batches_changes_nothing(stream: ReadingBatch, where: list[int]) -> None:
    whole, state = play([stream])
    pieces, other = play(cut(stream, where))
    assert pieces.scores == whole.scores
    assert pieces.alerts == whole.alerts
    assert pieces.recommendations == whole.recommendations
    assert pieces.late == whole.late
    assert remembered(other) == remembered(state)
    close_all(whole, state)
    close_all(pieces, other)
    assert pieces.hours == whole.hours
