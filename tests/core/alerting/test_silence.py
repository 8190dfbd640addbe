"""A machine that says nothing is noticed by time and comes back with a reading.

silent after 300 s     pump-01  . . . .                       .
                       pump-02  . . . . . . . . . . . . . . . .
                       silent             O                   R
"""

from datetime import UTC, datetime

from core.advance import advance_time
from core.alerting.messages import alert_id
from core.models import Models
from core.state.fleet import FleetState
from schemas.alerts import Alert
from tests.builders import PUMP, START, ARow, a_batch, a_plant, a_reading
from tests.core.streams import restored, run_batches, saved

PLANT = a_plant()
OTHER = "pump-02"


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def heard(*rows: ARow, state: FleetState | None = None, first_offset: int = 0) -> tuple[list[Alert], FleetState]:
    batch = a_batch(*rows, plant=PLANT, first_offset=first_offset)
    outputs, state = run_batches([batch], plant=PLANT, models=Models(), state=state)
    return [alert for alert in outputs.alerts if alert.kind == "silent"], state


def minutes(machine_id: str, first: int, last: int, **values: float) -> list[ARow]:
    return [a_reading(machine_id, at=60.0 * minute, **values) for minute in range(first, last)]


def noticed(state: FleetState, *, idle: float = 0.0) -> tuple[Alert, ...]:
    return advance_time(state, plant=PLANT, now=state.watermark + idle, idle_seconds=idle).alerts


def test_a_machine_that_falls_silent_beside_others_opens_one_alert() -> None:
    _, state = heard(*minutes(PUMP, 0, 4), *minutes(OTHER, 0, 9))
    assert not noticed(state)
    _, state = heard(*minutes(OTHER, 9, 20), state=state, first_offset=50)
    [alert] = noticed(state)
    assert (alert.machine_id, alert.kind, alert.state, alert.severity) == (PUMP, "silent", "opened", "warning")
    assert alert.opened_at == at(3 * 60 + 300)
    assert alert.alert_id == alert_id(PUMP, "silent", at(3 * 60))
    assert alert.summary == "pump-01 has sent no reading since 2026-01-01 00:03:00 UTC; check its connection."
    assert {signal.sensor for signal in alert.signals} == set(PLANT.sensor_names)
    assert sum(signal.contribution for signal in alert.signals) == 1
    assert not noticed(state)


def test_a_reading_ends_the_silence() -> None:
    _, state = heard(*minutes(PUMP, 0, 4), *minutes(OTHER, 0, 20))
    [opened] = noticed(state)
    [resolved], state = heard(a_reading(OTHER, at=1200), a_reading(at=1260), state=state, first_offset=50)
    assert resolved == opened.model_copy(update={"state": "resolved", "updated_at": at(1260), "resolved_at": at(1260)})
    assert not noticed(state)


def test_the_next_silence_is_another_alert() -> None:
    _, state = heard(*minutes(PUMP, 0, 4), *minutes(OTHER, 0, 20))
    [first] = noticed(state)
    _, state = heard(a_reading(at=1200), *minutes(OTHER, 20, 40), state=state, first_offset=50)
    [second] = noticed(state)
    assert second.alert_id != first.alert_id


def test_what_was_kept_back_ends_the_silence_no_earlier_than_it_began() -> None:
    _, state = heard(*minutes(PUMP, 0, 4), *minutes(OTHER, 0, 20))
    [opened] = noticed(state)
    [resolved], _ = heard(a_reading(at=240), state=state, first_offset=50)
    assert resolved.resolved_at == opened.opened_at


def test_a_partition_that_is_silent_as_a_whole_is_noticed_by_the_clock() -> None:
    _, state = heard(*minutes(PUMP, 0, 4), *minutes(OTHER, 0, 4))
    assert not noticed(state, idle=300)
    assert {alert.machine_id for alert in noticed(state, idle=301)} == {PUMP, OTHER}


def test_the_silence_of_a_machine_that_is_off_is_only_worth_knowing() -> None:
    _, state = heard(*minutes(PUMP, 0, 4, power=0.0), *minutes(OTHER, 0, 4))
    assert {alert.machine_id: alert.severity for alert in noticed(state, idle=400)} == {PUMP: "info", OTHER: "warning"}


def test_a_device_whose_clock_runs_ahead_does_not_make_the_others_look_silent() -> None:
    """pump-01's clock is 50 minutes ahead; both report every minute."""
    state, offset = None, 0
    for minute in range(30):
        rows = [a_reading(OTHER, at=60.0 * minute)]
        if minute >= 5:
            rows.append(a_reading(at=60.0 * minute + 3000))
        _, state = heard(*rows, state=state, first_offset=offset)
        offset += 2
        assert not noticed(state)


def test_a_device_that_sends_what_it_kept_for_hours_is_not_silent() -> None:
    _, state = heard(a_reading(at=-36_000), *minutes(OTHER, 0, 10))
    for minute in range(10, 20):
        rows = [a_reading(at=60.0 * minute - 36_000), a_reading(OTHER, at=60.0 * minute)]
        _, state = heard(*rows, state=state, first_offset=10 * minute)
        assert not noticed(state)


def test_silence_is_remembered_over_a_restart_and_ended_by_a_reading() -> None:
    _, state = heard(*minutes(PUMP, 0, 4), *minutes(OTHER, 0, 20))
    [opened] = noticed(state)
    state = restored(saved(state), plant=PLANT)
    assert not noticed(state)
    [resolved], _ = heard(a_reading(at=1200), state=state, first_offset=50)
    assert resolved.alert_id == opened.alert_id


def test_silence_that_goes_on_after_a_restart_is_noticed_with_the_same_id() -> None:
    _, state = heard(*minutes(PUMP, 0, 4), *minutes(OTHER, 0, 8))
    record = saved(state)
    [expected] = [alert for alert in noticed(state, idle=200) if alert.machine_id == PUMP]
    state = restored(record, plant=PLANT)
    assert not noticed(state, idle=200)
    _, state = heard(*minutes(OTHER, 8, 20), state=state, first_offset=50)
    [alert] = noticed(state)
    assert alert == expected
