"""A state that went through the changelog goes on as if nothing had happened."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.batch import ReadingBatch
from core.state.fleet import FleetState
from core.state.records import FORMAT, Record, UnknownStateFormat
from core.state.tracks import CONDITIONS
from tests.builders import PUMP, a_batch, a_plant, a_reading, a_sensor, normal_rows, the_usual_sensors
from tests.core.streams import (
    PLANT,
    PublishedOutputs,
    close_all,
    cut,
    remembered,
    restored,
    run_batches,
    saved,
    streams,
)

places = st.lists(st.integers(0, 10_000), max_size=5)


@given(streams(), places)
@settings(max_examples=60)
def test_a_restart_anywhere_in_a_stream_changes_nothing(stream: ReadingBatch, where: list[int]) -> None:
    whole, state = run_batches([stream])
    pieces, other = PublishedOutputs(), FleetState(PLANT)
    log: list[Record] = []
    for batch in cut(stream, where):
        more, other = run_batches([batch], state=other)
        pieces.scores += more.scores
        pieces.alerts += more.alerts
        pieces.recommendations += more.recommendations
        pieces.publish(more.windows.values())
        log += saved(other)
        other = restored(log)
    assert pieces.scores == whole.scores
    assert pieces.alerts == whole.alerts
    assert pieces.recommendations == whole.recommendations
    assert remembered(other) == remembered(state)
    close_all(whole, state)
    close_all(pieces, other)
    assert pieces.hours == whole.hours


@given(streams(), st.integers(0, 10_000), st.integers(0, 10_000), st.sets(st.integers(0, 2)))
@settings(max_examples=80)
def test_a_crash_between_two_machines_and_a_replay_lead_to_the_same_end(
    stream: ReadingBatch, one: int, other: int, kept: set[int]
) -> None:
    """The argument for exactly-once effects.

    offsets  0 ------- committed ------- crash ------- end
    machine A          saved             saved
    machine B          saved             lost
    replayed           |-------------------------------->
    """
    committed, crash = sorted((one % len(stream), other % len(stream)))
    pieces = cut(stream, (committed, crash))
    assume(len(pieces) == 3)
    straight, expected = run_batches([stream])
    close_all(straight, expected)

    _, state = run_batches(pieces[:1])
    log = saved(state)
    before, state = run_batches(pieces[1:2], state=state)
    for position, slot in enumerate(sorted(state.dirty)):
        if position in kept:
            log += state.records_of([slot])
    again, state = run_batches(pieces[1:], state=restored(log))
    close_all(again, state)

    assert remembered(state)["machines"] == remembered(expected)["machines"]
    known = {(alert.alert_id, alert.updated_at, alert.state, alert.readings): alert for alert in straight.alerts}
    for alert in (*before.alerts, *again.alerts):
        assert known[alert.alert_id, alert.updated_at, alert.state, alert.readings] == alert
    for key, window in again.hours.items():
        assert straight.hours[key] == window


@given(streams(), places, st.integers(0, 10_000))
@settings(max_examples=60)
def test_a_save_that_is_cut_short_anywhere_is_as_good_as_none_for_the_machine_it_was_at(
    stream: ReadingBatch, where: list[int], length: int
) -> None:
    straight, expected = run_batches([stream])
    log: list[Record] = []
    state = FleetState(PLANT)
    pieces = cut(stream, where)
    for batch in pieces:
        _, state = run_batches([batch], state=state)
        log += saved(state)
    again, state = run_batches([stream], state=restored(log[: length % (len(log) + 1)]))
    close_all(again, state)
    close_all(straight, expected)
    assert remembered(state)["machines"] == remembered(expected)["machines"]


@given(streams(), st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=60)
def test_what_a_worker_that_was_replaced_still_wrote_changes_nothing(
    stream: ReadingBatch, one: int, other: int
) -> None:
    """On a broker that does not hold its writes back. Its state is older, but stands behind the newer one.

    offsets   0 ------- the old worker's ------- the new one's
    log       the new one's records, then the old one's
    """
    first, second = sorted((one % len(stream), other % len(stream)))
    pieces = cut(stream, (first, second))
    assume(len(pieces) == 3)
    _, old = run_batches(pieces[:1])
    late = saved(old)
    _, new = run_batches(pieces[:2])
    log = saved(new) + late
    assert remembered(restored(log))["machines"] == remembered(new)["machines"]


def test_only_machines_that_changed_are_written() -> None:
    machines = [f"pump-{number}" for number in range(20)]
    _, state = run_batches([a_batch(*(a_reading(machine) for machine in machines), plant=PLANT)])
    assert {key for key, _ in saved(state)} == {f"machine/{machine}".encode() for machine in machines}
    assert saved(state) == []
    run_batches([a_batch(a_reading("pump-3"), plant=PLANT, first_offset=50)], state=state)
    assert [key for key, _ in saved(state)] == [b"machine/pump-3"]


def test_a_baseline_is_written_once_and_the_readings_it_was_learned_from_go() -> None:
    _, state = run_batches([a_batch(*normal_rows(39), plant=PUMPS)], plant=PUMPS)
    before = [key for key, _ in saved(state)]
    assert before == [f"warm-up/0/{PUMP}".encode(), f"machine/{PUMP}".encode()]
    _, state = run_batches(
        [a_batch(*normal_rows(5, first=3000.0), plant=PUMPS, first_offset=50)], plant=PUMPS, state=state
    )
    written = saved(state)
    assert [key for key, _ in written] == [
        f"baseline/{PUMP}".encode(),
        f"warm-up/0/{PUMP}".encode(),
        f"machine/{PUMP}".encode(),
    ]
    assert dict(written)[f"warm-up/0/{PUMP}".encode()] is None
    _, state = run_batches(
        [a_batch(*normal_rows(5, first=3300.0), plant=PUMPS, first_offset=60)], plant=PUMPS, state=state
    )
    assert [key for key, _ in saved(state)] == [f"machine/{PUMP}".encode()]


def test_machines_that_are_forgotten_are_deleted_and_the_others_go_on() -> None:
    machines = ("pump-01", "pump-02", "pump-03")
    rows = [row for number in range(50) for m in machines for row in [a_reading(m, at=60.0 * number)]]
    _, state = run_batches([a_batch(*rows, plant=PUMPS)], plant=PUMPS)
    log = saved(state)
    expected = remembered(state)["machines"]
    log += state.forget([state.slots["pump-02"]])
    assert state.ids == ["pump-01", "pump-03"]
    del expected["pump-02"]
    assert remembered(state)["machines"] == expected
    assert remembered(restored(log, plant=PUMPS))["machines"] == expected


def test_state_of_another_version_is_refused_with_what_to_do() -> None:
    _, state = run_batches([a_batch(a_reading(), plant=PLANT)])
    [(key, record)] = saved(state)
    assert record is not None
    with pytest.raises(UnknownStateFormat, match="delete the changelog"):
        restored([(key, bytes([FORMAT + 1]) + record[1:])])
    with pytest.raises(UnknownStateFormat, match="'3/17'"):
        restored([(b"3/17", b"\x87")])


PUMPS = a_plant()


def learned(**changes: object) -> tuple[FleetState, list[Record]]:
    """A pump that finished its warm-up and has a limit alert open."""
    plant = a_plant(**changes)
    rows = [*normal_rows(50), *normal_rows(8, first=3000.0, temperature=110.0)]
    _, state = run_batches([a_batch(*rows, plant=plant)], plant=plant)
    assert state.alerts[PUMP, "limit"].state != "resolved"
    return state, saved(state)


def test_another_plant_file_keeps_counts_offsets_and_hours_and_learns_anew() -> None:
    state, record = learned()
    plant = a_plant(sensors=(*the_usual_sensors(), a_sensor("pressure", unit="bar")))
    other = restored(record, plant=plant)
    slot = other.slots[PUMP]
    assert other.tracks.readings[slot] == 58
    assert other.tracks.last_offset[slot] == 57
    assert other.tracks.last_seen[slot] == state.tracks.last_seen[0]
    assert list(other.windows) == list(state.windows)
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
    other = restored(record, plant=plant)
    outputs, _ = run_batches(
        [a_batch(*normal_rows(12, first=4000.0), plant=plant, first_offset=60)], plant=plant, state=other
    )
    [resolved] = outputs.alerts
    assert resolved.alert_id == state.alerts[PUMP, "limit"].alert_id
    assert resolved.state == "resolved"


def warming_up(readings: int, size: int) -> list[Record]:
    plant = a_plant(detection={"warm_up_readings": size})
    _, state = run_batches([a_batch(*normal_rows(readings), plant=plant)], plant=plant)
    return saved(state)


def test_a_longer_warm_up_goes_on_with_what_was_learned() -> None:
    plant = a_plant(detection={"warm_up_readings": 60})
    state = restored(warming_up(30, 40), plant=plant)
    rows = normal_rows(35, first=1800.0)
    outputs, _ = run_batches([a_batch(*rows, plant=plant, first_offset=30)], plant=plant, state=state)
    assert [score.warm for score in outputs.scores] == [False] * 30 + [True] * 5


def test_a_shorter_warm_up_is_over_at_once_where_enough_was_learned() -> None:
    plant = a_plant(detection={"warm_up_readings": 20})
    state = restored(warming_up(30, 40), plant=plant)
    outputs, state = run_batches(
        [a_batch(a_reading(at=1800.0), plant=plant, first_offset=30)], plant=plant, state=state
    )
    assert [score.warm for score in outputs.scores] == [True]
    _, alone = run_batches([a_batch(*normal_rows(20), plant=plant)], plant=plant)
    assert state.tracks.mean[0].tolist() == alone.tracks.mean[0].tolist()


def test_a_learned_baseline_outlives_a_longer_warm_up() -> None:
    _, record = learned()
    plant = a_plant(detection={"warm_up_readings": 500})
    state = restored(record, plant=plant)
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
        state=restored(record, plant=plant),
    )
    assert CONDITIONS[outputs.scores[0].condition] == "idle"
