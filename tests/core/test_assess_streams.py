"""What comes out depends on the readings and their order alone: not on batches, restarts or repeats."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.advance import advance_time
from core.assess import assess
from core.batch import ReadingBatch
from tests.builders import START, a_batch, a_plant, a_reading, normal_rows
from tests.core.streams import MODELS, PLANT, close_all, cut, part, remembered, restored, run_batches, streams

places = st.lists(st.integers(0, 10_000), max_size=5)


@given(streams(), places)
@settings(max_examples=60)
def test_how_a_stream_is_cut_into_batches_changes_nothing(stream: ReadingBatch, where: list[int]) -> None:
    whole, state = run_batches([stream])
    pieces, other = run_batches(cut(stream, where))
    assert pieces.scores == whole.scores
    assert pieces.alerts == whole.alerts
    assert pieces.recommendations == whole.recommendations
    assert pieces.late == whole.late
    assert remembered(other) == remembered(state)
    close_all(whole, state)
    close_all(pieces, other)
    assert pieces.hours == whole.hours


@given(streams(), places)
@settings(max_examples=40)
def test_time_that_passes_between_batches_changes_no_score_and_no_alert_on_readings(
    stream: ReadingBatch, where: list[int]
) -> None:
    whole, state = run_batches([stream])
    pieces, other = run_batches([])
    for number, batch in enumerate(cut(stream, where)):
        more, other = run_batches([batch], state=other)
        pieces.scores += more.scores
        pieces.alerts += more.alerts
        pieces.publish(more.windows.values())
        # the clock of a machine's readings may be years behind ours
        now = START + 1e8 + 60 * number
        pieces.publish(advance_time(other, plant=PLANT, now=now, idle_seconds=1e6).energy_windows)
    assert pieces.scores == whole.scores
    assert [alert for alert in pieces.alerts if alert.kind != "silent"] == whole.alerts
    close_all(whole, state)
    assert pieces.hours == whole.hours


@given(streams(), places, st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=40)
def test_readings_that_were_seen_before_change_nothing(
    stream: ReadingBatch, where: list[int], first: int, last: int
) -> None:
    _, state = run_batches(cut(stream, where))
    before = remembered(state)
    state.dirty.clear()
    for again in cut(stream, (first, last)):
        assessment = assess(again, state=state, models=MODELS, plant=PLANT)
        assert assessment.replayed == len(again)
        assert not len(assessment.scores.batch)
        assert not assessment.alerts
        assert not assessment.recommendations
        assert not assessment.late
    assert remembered(state) == before
    assert not state.dirty


def test_a_batch_with_old_and_new_readings_counts_only_the_new_ones() -> None:
    rows = normal_rows(10)
    _, state = run_batches([a_batch(*rows[:6], plant=PLANT)])
    assessment = assess(a_batch(*rows, plant=PLANT), state=state, models=MODELS, plant=PLANT)
    assert assessment.replayed == 6
    assert state.tracks.readings[state.slots["pump-01"]] == 10


def test_readings_of_one_message_share_its_offset_and_count_all() -> None:
    rows = [a_reading(at=60.0 * number, offset=7) for number in range(5)]
    _, state = run_batches([a_batch(*rows, plant=PLANT)])
    assert state.tracks.readings[0] == 5
    assert assess(a_batch(*rows, plant=PLANT), state=state, models=MODELS, plant=PLANT).replayed == 5


def test_an_empty_batch_is_no_event() -> None:
    outputs, state = run_batches([a_batch(plant=PLANT)])
    assert not outputs.scores
    assert not state.ids


def test_a_plant_without_a_power_sensor_scores_and_has_no_energy() -> None:
    plant = a_plant(sensors=[s for s in a_plant().sensors if s.role != "power"])
    outputs, _ = run_batches([a_batch(*normal_rows(50), plant=plant)], plant=plant)
    assert [score.warm for score in outputs.scores] == [False] * 40 + [True] * 10
    assert not outputs.windows


@pytest.mark.parametrize("machines", [16, 17, 40])
def test_the_tables_grow_with_the_fleet(machines: int) -> None:
    rows = [
        a_reading(f"pump-{number}", at=60.0 * minute, power=10.0 + number)
        for minute in range(3)
        for number in range(machines)
    ]
    _, state = run_batches([a_batch(*rows, plant=PLANT)])
    for number in range(machines):
        slot = state.slots[f"pump-{number}"]
        assert state.tracks.readings[slot] == 3
        assert state.tracks.last_values[slot, 0] == 10.0 + number


def test_parts_of_a_stream_know_only_their_own_machines() -> None:
    whole = a_batch(a_reading("a"), a_reading("b"), plant=PLANT)
    assert part(whole, 1, 2).machine_ids == ("b",)
    assert restored([]).ids == []
