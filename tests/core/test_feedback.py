"""What people say of alerts, and what follows from it.

The machine sends a reading a minute, of which the drawn ones are far too hot.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pytest

from core.alerting.suppression import Hold, holds_at
from core.assess import assess
from core.feedback import ANSWERED_SECONDS, LONGEST_SHELVING_SECONDS, take_feedback
from core.models import Models
from core.plant import AlertOverride, MaintenanceWindow, Plant
from core.state import FleetState
from schemas.alerts import Alert
from schemas.feedback import Feedback, FeedbackKind
from tests.builders import PUMP, START, a_batch, a_plant, a_reading

HOT: Final = 130.0
WARM: Final = 110.0
"""Worth a warning; over `HOT` is critical, which no budget holds back."""
PLANT: Final = a_plant(
    alerts={
        "readings_over": 2,
        "of_readings": 2,
        "resolve_after_readings": 3,
        "update_seconds": 1e6,
        "merge_gap_seconds": 0.0,
        "silent_after_seconds": 1e9,
    }
)


class Machine:
    """A pump whose temperature is told by the test, and what its alerts say."""

    def __init__(self, plant: Plant = PLANT) -> None:
        self.plant = plant
        self.state = FleetState(plant)
        self.at = 0.0
        self.offset = 0

    def run(self, drawing: str) -> list[Alert]:
        rows = []
        for sign in drawing:
            wobble = 0.01 * (self.offset + len(rows))
            temperature = {"h": HOT, "w": WARM}.get(sign, 60.0)
            rows.append(
                a_reading(at=self.at, power=40 + wobble, temperature=temperature + wobble, vibration=2.5 + wobble / 10)
            )
            self.at += 60.0
        assessment = assess(
            a_batch(*rows, plant=self.plant, first_offset=self.offset),
            state=self.state,
            models=Models(),
            plant=self.plant,
        )
        self.offset += len(rows)
        self.state = assessment.state
        return [alert for _, alert in assessment.alerts if alert.kind == "limit"]

    def answer(self, kind: FeedbackKind, alert: Alert | None = None, *, offset: int = 0, **changes: Any) -> list[Alert]:
        feedback = Feedback(
            machine_id=PUMP,
            kind=kind,
            at=datetime.fromtimestamp(START + self.at, UTC),
            alert_id=None if alert is None else alert.alert_id,
            **changes,
        )
        return list(take_feedback(self.state, feedback, partition=0, offset=offset).alerts)


def limited(**changes: Any) -> Plant:
    sensors = [
        sensor.model_copy(update={"warning_high": 100.0}) if sensor.name == "temperature" else sensor
        for sensor in PLANT.sensors
    ]
    return a_plant(sensors=sensors, alerts={**PLANT.alerts.model_dump(), **changes})


@pytest.mark.parametrize("kind", ["false_alarm", "expected", "new_normal"])
def test_an_answer_closes_its_alert_at_once(kind: FeedbackKind) -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    [closed] = machine.answer(kind, opened)
    assert (closed.alert_id, closed.state) == (opened.alert_id, "resolved")
    assert closed.resolved_at is not None
    assert closed.resolved_at >= opened.opened_at


@pytest.mark.parametrize("kind", ["acknowledged", "confirmed", "failure"])
def test_other_statements_leave_the_alert_open(kind: FeedbackKind) -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    assert machine.answer(kind, opened) == []
    assert machine.run("...")[-1].state == "resolved"


def test_what_was_called_false_does_not_open_again_at_the_next_reading_but_later() -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    machine.answer("false_alarm", opened)
    assert machine.run("hhhhhhhh") == []
    minutes = int(ANSWERED_SECONDS // 60)
    again = machine.run(minutes * "h")
    assert [alert.state for alert in again] == ["opened"]


def test_a_shelved_kind_stays_quiet_until_its_end_and_then_speaks() -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    until = datetime.fromtimestamp(START + machine.at, UTC) + timedelta(minutes=10)
    assert machine.answer("snoozed", opened, until=until) == []
    assert [alert.state for alert in machine.run("...hhh")] == ["resolved"]
    assert [alert.state for alert in machine.run("hhhhhhh")] == ["opened"]


def test_shelving_without_an_end_in_sight_ends_after_a_month() -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    machine.answer("snoozed", opened, until=datetime(2099, 1, 1, tzinfo=UTC))
    [annotation] = machine.state.annotations.values()
    assert annotation.shelved["limit"] == START + machine.at + LONGEST_SHELVING_SECONDS


def test_shelving_outlives_a_restart() -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    until = datetime.fromtimestamp(START + machine.at, UTC) + timedelta(hours=1)
    machine.answer("snoozed", opened, until=until)
    restored = FleetState(machine.plant)
    restored.restore(machine.state.records_of(sorted(machine.state.dirty)))
    machine.state = restored
    assert [alert.state for alert in machine.run("...hhhh")] == ["resolved"]


def test_a_statement_that_is_read_twice_counts_once() -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    assert len(machine.answer("false_alarm", opened, offset=7)) == 1
    assert machine.answer("false_alarm", opened, offset=7) == []
    [annotation] = machine.state.annotations.values()
    assert annotation.false_alarms == {"temperature": 1}


def test_repeated_false_alarms_raise_the_threshold_within_bounds_and_can_be_taken_back() -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    for number in range(10):
        machine.answer("false_alarm", opened, offset=number)
    [annotation] = machine.state.annotations.values()
    assert annotation.raised("temperature") == pytest.approx(0.3)
    assert annotation.raised("power") == 0.0
    machine.answer("withdrawn", offset=99)
    [annotation] = machine.state.annotations.values()
    assert annotation.raised("temperature") == 0.0


def test_one_false_alarm_is_no_pattern() -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    machine.answer("false_alarm", opened)
    [annotation] = machine.state.annotations.values()
    assert annotation.raised("temperature") == 0.0


def test_the_new_normal_is_the_baseline_from_then_on() -> None:
    machine = Machine()
    machine.run(40 * ".")
    machine.run(10 * "h")
    slot = machine.state.slots[PUMP]
    column = 1  # temperature among the watched sensors
    before = float(machine.state.tracks.mean[slot, column])
    machine.answer("new_normal")
    after = float(machine.state.tracks.mean[slot, column])
    assert after == pytest.approx(HOT, abs=3.0)  # however far the slow recent level has come
    assert before < 65.0
    assert machine.state.tracks.averages[slot].tolist() == [[0.0] * 3] * 2


def test_after_maintenance_nothing_of_before_speaks_against_the_machine() -> None:
    machine = Machine(limited())
    [opened] = machine.run("..hh")
    [closed] = machine.answer("maintenance_done")
    assert closed.alert_id == opened.alert_id
    assert np.isnan(machine.state.tracks.slow[machine.state.slots[PUMP]]).all()


def test_a_statement_on_a_machine_that_is_unknown_changes_nothing() -> None:
    outcome = take_feedback(
        FleetState(PLANT),
        Feedback(machine_id="stranger", kind="false_alarm", at=datetime(2026, 1, 1, tzinfo=UTC)),
        partition=0,
        offset=3,
    )
    assert not outcome.changed


def test_planned_work_raises_nothing_and_what_remains_after_it_does() -> None:
    start = datetime.fromtimestamp(START, UTC)
    window = MaintenanceWindow(machines=("pump-*",), start=start, end=start + timedelta(minutes=10))
    other = MaintenanceWindow(machines=("press-*",), start=start, end=start + timedelta(days=1))
    machine = Machine(limited(maintenance=(window, other)))
    assert machine.run("hhhhhhhhhh") == []
    assert [alert.state for alert in machine.run("hhh")] == ["opened"]


def test_a_changed_policy_holds_from_the_next_batch_on() -> None:
    machine = Machine(limited())
    machine.run("..")
    machine.state.use_policy(limited(overrides=(AlertOverride(kinds=("limit",), enabled=False),)))
    assert machine.run("hhhhh") == []
    machine.state.use_policy(limited())
    assert [alert.state for alert in machine.run("hh")] == ["opened"]


def held_by(machine: Machine) -> Hold | None:
    slot = machine.state.slots[PUMP]
    newest = float(machine.state.tracks.last_seen[slot])
    return next((one for one in holds_at(slot, newest, machine.state) if one.kind == "limit"), None)


@pytest.mark.parametrize("cause", ["cooldown", "budget", "shelved", "maintenance"])
def test_what_is_said_to_hold_alerts_back_does_and_no_longer_than_said(cause: str) -> None:
    """
    .. ww opens   ...... resolves   ww is held back   until …   ww opens
    """
    rules: dict[str, Any] = {"cooldown": {"cooldown_seconds": 7200.0}, "budget": {"budget_per_week": 1.5}}.get(
        cause, {}
    )
    machine = Machine(limited(**({"cooldown_seconds": 0.0} | rules)))
    [opened, _] = machine.run("..ww......")
    if cause == "shelved":
        machine.answer("snoozed", opened, until=datetime.fromtimestamp(START + machine.at + 3600.0, UTC))
    if cause == "maintenance":
        begin = datetime.fromtimestamp(START, UTC)
        window = MaintenanceWindow(start=begin, end=begin + timedelta(hours=2), comment="bearing")
        machine.plant = limited(cooldown_seconds=0.0, maintenance=(window,))
        machine.state.use_policy(machine.plant)
    hold = held_by(machine)
    assert hold is not None
    assert hold.cause == cause
    assert hold.until is not None
    assert machine.run("ww....") == []
    machine.at = hold.until - START + 60.0
    assert [one.state for one in machine.run("..ww")] == ["opened"]


def test_nothing_holds_back_what_may_speak() -> None:
    machine = Machine(limited(cooldown_seconds=0.0))
    machine.run("....")
    assert held_by(machine) is None
