"""What of a history is learned from. Drawn timelines are minutes: a letter a reading."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from core.batch import ReadingBatch
from core.detection.features import observe, physical
from core.row_results import FAULT_STUCK
from core.state.tables import allocate
from core.state.tracks import Tracks, tracks_layout
from core.state.traits import MachineTraits, traits_of
from schemas.alerts import Alert, AlertKind, AlertModel
from schemas.feedback import Feedback, FeedbackKind
from tests.builders import PUMP, START, a_batch, a_plant, a_reading, normal_rows
from tests.core.streams import PLANT, streams
from trainer.cleaning import CleanHistory, FeedbackHistory, clean, resting, stuck

OTHER = "pump-02"
HORIZON = 216.0
TEST_PLANT = a_plant()


def a_moment(minutes: float) -> datetime:
    return datetime.fromtimestamp(START + 60 * minutes, UTC)


def an_alert(opened: float, resolved: float | None = None, **changes: Any) -> Alert:
    kind: AlertKind = changes.pop("kind", "anomaly")
    machine_id = changes.pop("machine_id", PUMP)
    return Alert(
        **{
            "alert_id": f"{machine_id}-{kind}-{opened:g}",
            "machine_id": machine_id,
            "kind": kind,
            "severity": "warning",
            "state": "opened" if resolved is None else "resolved",
            "opened_at": a_moment(opened),
            "updated_at": a_moment(resolved if resolved is not None else opened),
            "resolved_at": None if resolved is None else a_moment(resolved),
            "peak_score": 0.9,
            "threshold": 0.5,
            "readings": 3,
            "signals": (),
            "summary": "It is warm.",
            "model": AlertModel(name="anomaly", version="1", level="machine"),
            "confidence": 0.9,
        }
        | changes
    )


def feedback(kind: FeedbackKind, minutes: float, about: Alert | None = None, machine_id: str = PUMP) -> Feedback:
    return Feedback(
        machine_id=machine_id, kind=kind, at=a_moment(minutes), alert_id=None if about is None else about.alert_id
    )


def cleaned(
    *statements: Feedback, alerts: tuple[Alert, ...] = (), minutes: int = 20, every: float = 60.0
) -> CleanHistory:
    batch = a_batch(*normal_rows(minutes, every=every), plant=TEST_PLANT)
    return clean(batch, FeedbackHistory(alerts=alerts, feedback=statements), plant=TEST_PLANT, horizon_hours=HORIZON)


def minutes_of(history: CleanHistory) -> list[int]:
    return [round(at) for at in ((history.batch.timestamps - START) / 60).tolist()]


def test_a_quiet_history_is_learned_from_whole() -> None:
    history = cleaned()
    assert minutes_of(history) == list(range(20))
    assert history.anomaly is None
    assert history.hours_to_failure is None
    assert not any(history.excluded.values())


@pytest.mark.parametrize("kind", ["anomaly", "limit", "sensor_fault"])
@pytest.mark.parametrize(("resolved", "left"), [(8, [*range(5), *range(9, 20)]), (None, list(range(5)))])
def test_readings_of_an_alert_that_nobody_judged_are_left_out(
    kind: AlertKind, resolved: float | None, left: list[int]
) -> None:
    history = cleaned(alerts=(an_alert(5, resolved, kind=kind),))
    assert minutes_of(history) == left
    assert history.excluded["in an alert that nobody judged"] == 20 - len(left)


def test_an_alert_counts_as_it_was_told_last() -> None:
    history = cleaned(alerts=(an_alert(5), an_alert(5, 8)))
    assert minutes_of(history) == [*range(5), *range(9, 20)]


@pytest.mark.parametrize("kind", ["silent", "fleet", "forecast_breach"])
def test_alerts_that_say_nothing_of_readings_leave_none_out(kind: AlertKind) -> None:
    assert len(cleaned(alerts=(an_alert(5, 8, kind=kind),)).batch) == 20


@pytest.mark.parametrize("kind", ["false_alarm", "expected"])
def test_readings_of_a_false_alarm_and_of_what_was_expected_are_normal(kind: FeedbackKind) -> None:
    alert = an_alert(5, 8)
    history = cleaned(feedback(kind, 10, alert), alerts=(alert,))
    assert minutes_of(history) == list(range(20))
    assert history.anomaly is not None
    assert not history.anomaly.any()


def test_readings_of_a_confirmed_alert_are_labelled() -> None:
    alert = an_alert(5, 8)
    history = cleaned(feedback("confirmed", 10, alert), alerts=(alert,))
    assert history.anomaly is not None
    assert np.flatnonzero(history.anomaly).tolist() == [5, 6, 7, 8]


def test_people_may_change_their_minds_and_a_seen_alert_is_not_judged() -> None:
    alert = an_alert(5, 8)
    last = cleaned(feedback("false_alarm", 9, alert), feedback("confirmed", 10, alert), alerts=(alert,))
    assert last.anomaly is not None
    assert last.anomaly.sum() == 4
    seen = cleaned(feedback("acknowledged", 9, alert), feedback("snoozed", 10, alert), alerts=(alert,))
    assert len(seen.batch) == 16


def test_a_sensor_confirmed_to_be_broken_teaches_nothing_of_its_machine() -> None:
    alert = an_alert(5, 8, kind="sensor_fault")
    assert len(cleaned(feedback("confirmed", 10, alert), alerts=(alert,)).batch) == 16


def test_an_alert_of_another_machine_concerns_that_one() -> None:
    assert len(cleaned(alerts=(an_alert(5, 8, machine_id=OTHER),)).batch) == 20


def test_the_hours_before_maintenance_was_done_are_left_out() -> None:
    history = cleaned(feedback("maintenance_done", 600), minutes=13, every=3600.0)
    assert minutes_of(history) == [60 * hour for hour in (0, 1, 2, 3, 4, 5, 11, 12)]
    assert history.excluded["during maintenance"] == 5


@pytest.mark.parametrize(("repaired", "left"), [(420.0, [0, 1, 8, 9]), (None, [0, 1])])
def test_from_a_failure_to_its_repair_nothing_is_learned(repaired: float | None, left: list[int]) -> None:
    statements = [feedback("failure", 120)] + ([feedback("maintenance_done", repaired)] if repaired else [])
    history = cleaned(*statements, minutes=10, every=3600.0)
    assert minutes_of(history) == [60 * hour for hour in left]


def test_hours_to_failure_are_those_to_the_next_one() -> None:
    hourly = 60 * 24 * 20
    history = cleaned(feedback("failure", hourly), minutes=24 * 20, every=3600.0)
    assert history.hours_to_failure is not None
    assert history.hours_to_failure[:3].tolist() == [480, 479, 478]


def test_what_work_on_the_machine_or_the_end_of_the_history_hides_is_not_known() -> None:
    """Drawn in days: failure at 12, maintenance at 30, and the history ends at 40."""
    day = 24 * 60.0
    history = cleaned(
        feedback("failure", 12 * day), feedback("maintenance_done", 30 * day), minutes=41, every=24 * 3600.0
    )
    days = [minute // int(day) for minute in minutes_of(history)]
    known = dict(zip(days, history.outcome_known.tolist(), strict=True))
    assert history.hours_to_failure is not None
    hours = dict(zip(days, history.hours_to_failure.tolist(), strict=True))
    assert all(known[at] and hours[at] == (12 - at) * 24 for at in range(12))
    assert {at: known[at] for at in (14, 21, 22, 29)} == {14: True, 21: True, 22: False, 29: False}
    assert {at: known[at] for at in (31, 32, 39)} == {31: True, 32: False, 39: False}
    assert all(np.isinf(hours[at]) for at in days if at > 12)


def test_all_readings_of_a_run_of_equal_values_are_left_out_not_only_from_where_it_is_noticed() -> None:
    rows = [*normal_rows(10), *normal_rows(8, first=600.0, temperature=61.5), *normal_rows(10, first=1080.0, seed=2)]
    batch = a_batch(*rows, plant=TEST_PLANT)
    assert np.flatnonzero(stuck(batch, TEST_PLANT)).tolist() == list(range(10, 18))
    seven = a_batch(*rows[:17], *rows[18:], plant=TEST_PLANT)
    assert not stuck(seven, TEST_PLANT).any()


def test_a_machine_that_stands_may_repeat_itself() -> None:
    rows = [a_reading(at=60.0 * minute, power=1.0, temperature=20.0, vibration=0.1) for minute in range(30)]
    batch = a_batch(*rows, plant=TEST_PLANT)
    assert not stuck(batch, TEST_PLANT).any()
    off, idle = resting(batch, TEST_PLANT)
    assert off.all()
    assert not idle.any()


@given(streams())
@settings(max_examples=30)
def test_every_row_that_the_stream_calls_stuck_is_left_out(stream: ReadingBatch) -> None:
    order = np.lexsort((stream.timestamps, stream.machine))  # late readings the stream sees later than they were
    batch = replace(
        stream, machine=stream.machine[order], timestamps=stream.timestamps[order], values=stream.values[order]
    )
    faults = observe(
        batch,
        slots=batch.machine,
        values=physical(batch.values, PLANT),
        tracks=allocate(Tracks, tracks_layout(PLANT), len(batch.machine_ids)),
        traits=MachineTraits(*np.array([traits_of(PLANT, one) for one in batch.machine_ids]).T.copy()),
        warm_ups={},
        plant=PLANT,
    ).fault
    noticed = (faults == FAULT_STUCK).any(axis=1)
    assert not (noticed & ~stuck(batch, PLANT)).any()


@given(streams())
@settings(max_examples=30)
def test_every_reading_is_kept_or_left_out_for_one_reason(stream: ReadingBatch) -> None:
    end = float(stream.timestamps.max() - START) / 60
    alerts = (an_alert(end / 4, end / 2), an_alert(end / 3, kind="limit", machine_id="pump-02"))
    statements = (feedback("failure", end / 2), feedback("maintenance_done", end * 0.6))
    history = clean(stream, FeedbackHistory(alerts=alerts, feedback=statements), plant=PLANT, horizon_hours=HORIZON)
    assert len(history.batch) + sum(history.excluded.values()) + history.duplicates == len(stream)
    kept = history.batch
    assert (np.diff(kept.machine) >= 0).all()
    assert (np.diff(kept.timestamps)[np.diff(kept.machine) == 0] > 0).all()
