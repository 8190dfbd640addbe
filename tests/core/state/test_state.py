"""A state that went through the changelog goes on as if nothing had happened."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.batch import ReadingBatch
from core.state.fleet import SHARDS, FleetState, shard_of
from core.state.tracks import CONDITIONS
from tests.builders import PUMP, a_batch, a_plant, a_reading, a_sensor, normal_rows, the_usual_sensors
from tests.core.streams import PLANT, PublishedOutputs, close_all, cut, remembered, restored, run_batches, streams

places = st.lists(st.integers(0, 10_000), max_size=5)


@given(streams(), places)
@settings(max_examples=60)
def test_a_restart_anywhere_in_a_stream_changes_nothing(stream: ReadingBatch, where: list[int]) -> None:
    whole, state = run_batches([stream])
    pieces, other = PublishedOutputs(), FleetState(PLANT)
    records: dict[int, bytes] = {}
    for batch in cut(stream, where):
        more, other = run_batches([batch], state=other)
        pieces.scores += more.scores
        pieces.alerts += more.alerts
        pieces.recommendations += more.recommendations
        pieces.publish(more.windows.values())
        records |= dict(other.changed_shards())
        other = restored(list(records.values()))
    assert pieces.scores == whole.scores
    assert pieces.alerts == whole.alerts
    assert pieces.recommendations == whole.recommendations
    assert remembered(other) == remembered(state)
    close_all(whole, state)
    close_all(pieces, other)
    assert pieces.hours == whole.hours


@given(streams(), st.integers(0, 10_000), st.integers(0, 10_000), st.sets(st.integers(0, 2)))
@settings(max_examples=80)
def test_a_crash_between_two_shards_and_a_replay_lead_to_the_same_end(
    stream: ReadingBatch, one: int, other: int, saved: set[int]
) -> None:
    """The argument for exactly-once effects.

    offsets  0 ------- committed ------- crash ------- end
    shard A            saved             saved
    shard B            saved             lost
    replayed           |-------------------------------->
    """
    committed, crash = sorted((one % len(stream), other % len(stream)))
    pieces = cut(stream, (committed, crash))
    assume(len(pieces) == 3)
    straight, expected = run_batches([stream])
    close_all(straight, expected)

    _, state = run_batches(pieces[:1])
    records = dict(state.changed_shards())
    before, state = run_batches(pieces[1:2], state=state)
    for position, (shard, record) in enumerate(sorted(state.changed_shards())):
        if position in saved:
            records[shard] = record
    again, state = run_batches(pieces[1:], state=restored(list(records.values())))
    close_all(again, state)

    assert remembered(state)["machines"] == remembered(expected)["machines"]
    known = {(alert.alert_id, alert.updated_at, alert.state, alert.readings): alert for alert in straight.alerts}
    for alert in (*before.alerts, *again.alerts):
        assert known[alert.alert_id, alert.updated_at, alert.state, alert.readings] == alert
    for key, window in again.hours.items():
        assert straight.hours[key] == window


def test_a_shard_follows_from_the_name_alone() -> None:
    assert shard_of("press-01") == shard_of("press-01")
    assert {shard_of(f"machine-{number}") for number in range(2000)} == set(range(SHARDS))


def test_only_shards_with_changed_machines_are_written() -> None:
    machines = [f"pump-{number}" for number in range(20)]
    _, state = run_batches([a_batch(*(a_reading(machine) for machine in machines), plant=PLANT)])
    assert {shard for shard, _ in state.changed_shards()} == {shard_of(machine) for machine in machines}
    assert dict(state.changed_shards()) == {}
    run_batches([a_batch(a_reading("pump-3"), plant=PLANT, first_offset=50)], state=state)
    [(shard, record)] = state.changed_shards()
    assert shard == shard_of("pump-3")
    # a record holds all machines of its shard, not only the changed ones
    assert set(restored([record]).ids) == {machine for machine in machines if shard_of(machine) == shard}


def one_record(state: FleetState) -> bytes:
    [(_, record)] = state.changed_shards()
    return record


def learned(**changes: object) -> tuple[FleetState, bytes]:
    """A pump that finished its warm-up and has a limit alert open."""
    plant = a_plant(**changes)
    rows = [*normal_rows(50), *normal_rows(8, first=3000.0, temperature=110.0)]
    _, state = run_batches([a_batch(*rows, plant=plant)], plant=plant)
    assert state.alerts[PUMP, "limit"].state != "resolved"
    return state, one_record(state)


def test_another_plant_file_keeps_counts_offsets_and_hours_and_learns_anew() -> None:
    state, record = learned()
    plant = a_plant(sensors=(*the_usual_sensors(), a_sensor("pressure", unit="bar")))
    other = restored([record], plant=plant)
    slot = other.slots[PUMP]
    assert other.tracks.readings[slot] == 58
    assert other.tracks.last_offset[slot] == 57
    assert other.tracks.last_seen[slot] == state.tracks.last_seen[0]
    assert other.windows.keys() == state.windows.keys()
    assert other.watermark == state.watermark
    assert not other.tracks.fitted[slot]
    rows = [a_reading(at=4000.0 + 60 * number, pressure=2.0) for number in range(41)]
    outputs, other = run_batches([a_batch(*rows, plant=plant, first_offset=40)], plant=plant, state=other)
    assert len(outputs.scores) == 41 - 18
    assert not any(score.warm for score in outputs.scores)
    rows = [a_reading(at=8000.0 + 60 * number, pressure=2.0) for number in range(30)]
    outputs, other = run_batches([a_batch(*rows, plant=plant, first_offset=90)], plant=plant, state=other)
    assert [score.warm for score in outputs.scores] == [False] * (40 - 23) + [True] * 13


def test_an_open_alert_outlives_a_change_of_the_plant_file_and_is_resolved_later() -> None:
    state, record = learned()
    plant = a_plant(sensors=(*the_usual_sensors(), a_sensor("pressure", unit="bar")))
    other = restored([record], plant=plant)
    outputs, _ = run_batches(
        [a_batch(*normal_rows(12, first=4000.0), plant=plant, first_offset=60)], plant=plant, state=other
    )
    [resolved] = outputs.alerts
    assert resolved.alert_id == state.alerts[PUMP, "limit"].alert_id
    assert resolved.state == "resolved"


def warming_up(readings: int, size: int) -> bytes:
    plant = a_plant(detection={"warm_up_readings": size})
    _, state = run_batches([a_batch(*normal_rows(readings), plant=plant)], plant=plant)
    return one_record(state)


def test_a_longer_warm_up_goes_on_with_what_was_learned() -> None:
    plant = a_plant(detection={"warm_up_readings": 60})
    state = restored([warming_up(30, 40)], plant=plant)
    rows = normal_rows(35, first=1800.0)
    outputs, _ = run_batches([a_batch(*rows, plant=plant, first_offset=30)], plant=plant, state=state)
    assert [score.warm for score in outputs.scores] == [False] * 30 + [True] * 5


def test_a_shorter_warm_up_is_over_at_once_where_enough_was_learned() -> None:
    plant = a_plant(detection={"warm_up_readings": 20})
    state = restored([warming_up(30, 40)], plant=plant)
    outputs, state = run_batches(
        [a_batch(a_reading(at=1800.0), plant=plant, first_offset=30)], plant=plant, state=state
    )
    assert [score.warm for score in outputs.scores] == [True]
    _, alone = run_batches([a_batch(*normal_rows(20), plant=plant)], plant=plant)
    assert state.tracks.mean[0].tolist() == alone.tracks.mean[0].tolist()


def test_a_learned_baseline_outlives_a_longer_warm_up() -> None:
    _, record = learned()
    plant = a_plant(detection={"warm_up_readings": 500})
    state = restored([record], plant=plant)
    outputs, _ = run_batches([a_batch(a_reading(at=4000.0), plant=plant, first_offset=60)], plant=plant, state=state)
    assert [score.warm for score in outputs.scores] == [True]


def test_limits_that_the_plant_file_changed_take_effect_after_a_restart() -> None:
    state, record = learned()
    assert state.traits.idle_below[0] == 8
    kind = a_plant().machine_types[0].model_copy(update={"idle_below": 60.0})
    plant = a_plant(types=[kind])
    outputs, _ = run_batches(
        [a_batch(a_reading(at=4000.0), plant=plant, first_offset=60)],
        plant=plant,
        state=restored([record], plant=plant),
    )
    assert CONDITIONS[outputs.scores[0].condition] == "idle"
