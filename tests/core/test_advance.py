"""What time alone brings about, and how machines are reported."""

from datetime import UTC, datetime

import pytest

from core.advance import advance_time, statuses
from core.detection.warm_up import EARLY
from core.models import Models
from core.state.fleet import FleetState
from tests.builders import PUMP, START, ARow, a_batch, a_plant, a_reading, normal_rows
from tests.core.streams import MODELS, restored, run_batches, saved
from tests.core.timelines import drawn_rows

PLANT = a_plant()


def after(*rows: ARow, models: Models = MODELS) -> FleetState:
    return run_batches([a_batch(*rows, plant=PLANT)], plant=PLANT, models=models)[1]


def test_a_machine_is_reported_as_it_was_last_seen() -> None:
    state = after(a_reading(at=60, power=42.0, vibration=None))
    [status] = statuses(state, [0], plant=PLANT)
    assert (status.machine_id, status.machine_type, status.condition) == (PUMP, "pump", "running")
    assert status.timestamp == datetime.fromtimestamp(START + 60, UTC)
    assert status.values == {"power": 42.0, "temperature": 60.0, "vibration": None, "runtime": 100.0}
    assert status.readings == 1
    assert (status.anomaly_score, status.risk, status.alerts_open) == (None, None, 0)


def test_a_missing_value_is_reported_as_the_last_one_known() -> None:
    state = after(a_reading(), a_reading(at=60, temperature=None))
    assert statuses(state, [0], plant=PLANT)[0].values["temperature"] == 60


def test_a_machine_of_no_known_type_is_reported_without_one() -> None:
    [status] = statuses(after(a_reading("mixer-01", power=0.0)), [0], plant=PLANT)
    assert (status.machine_type, status.condition) == (None, "running")


@pytest.mark.parametrize(("readings", "share"), [(1, 1 / 40), (20, 0.5), (39, 39 / 40), (40, 1.0), (60, 1.0)])
def test_the_progress_of_the_warm_up_is_reported(readings: int, share: float) -> None:
    [status] = statuses(after(*normal_rows(readings)), [0], plant=PLANT)
    assert status.warm_up == share
    assert (status.anomaly_score is None) == (readings <= EARLY)


def test_a_warm_up_that_was_shortened_is_at_most_complete() -> None:
    state = after(*normal_rows(30))
    record = saved(state)
    shorter = a_plant(detection={"warm_up_readings": 20})
    state = restored(record, plant=shorter)
    assert statuses(state, [0], plant=shorter)[0].warm_up == 1


@pytest.mark.parametrize(
    ("drawing", "condition"), [("...", "running"), ("..i", "idle"), ("..o", "off"), ("oo.", "running")]
)
def test_the_condition_is_reported(drawing: str, condition: str) -> None:
    assert statuses(after(*drawn_rows(drawing)), [0], plant=PLANT)[0].condition == condition


def test_open_alerts_are_counted_and_silence_is_a_condition() -> None:
    state = after(*drawn_rows(".HHHHH"))
    assert statuses(state, [0], plant=PLANT)[0].alerts_open == 1
    advance_time(state, plant=PLANT, now=START + 1000, idle_seconds=400)
    [status] = statuses(state, [0], plant=PLANT)
    assert (status.alerts_open, status.condition) == (2, "silent")
    run_batches([a_batch(*drawn_rows(12 * ".", first=360), plant=PLANT, first_offset=10)], plant=PLANT, state=state)
    [status] = statuses(state, [0], plant=PLANT)
    assert (status.alerts_open, status.condition) == (0, "running")


def test_a_resolved_alert_is_forgotten_once_nothing_can_continue_it() -> None:
    state = after(*drawn_rows(".HHHH" + 10 * "."))
    assert state.alerts[PUMP, "limit"].state == "resolved"
    for minute in (15, 16):
        run_batches([a_batch(a_reading(at=60 * minute), plant=PLANT, first_offset=minute)], plant=PLANT, state=state)
        advance_time(state, plant=PLANT, now=START, idle_seconds=0)
        assert (PUMP, "limit") in state.alerts
    run_batches([a_batch(a_reading(at=60 * 17), plant=PLANT, first_offset=17)], plant=PLANT, state=state)
    advance_time(state, plant=PLANT, now=START, idle_seconds=0)
    assert not state.alerts


def test_an_open_alert_is_never_forgotten() -> None:
    state = after(*drawn_rows(".HHHH"), a_reading("pump-02", at=1e6))
    advance_time(state, plant=PLANT, now=START + 2e6, idle_seconds=0)
    assert state.alerts[PUMP, "limit"].state == "opened"


def test_what_time_changed_is_saved() -> None:
    state = after(*drawn_rows("...."))
    saved(state)
    assert not advance_time(state, plant=PLANT, now=START + 60, idle_seconds=10).alerts
    assert not state.dirty
    elapsed = advance_time(state, plant=PLANT, now=START + 7200, idle_seconds=7000)
    assert len(elapsed.alerts) == len(elapsed.energy_windows) == 1
    record = saved(state)
    state = restored(record, plant=PLANT)
    again = advance_time(state, plant=PLANT, now=START + 7200, idle_seconds=7000)
    assert not again.alerts
    assert not again.energy_windows
