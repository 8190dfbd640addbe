"""From messages to the demo's report."""

from datetime import UTC, datetime, timedelta

import pytest

from cli.demo.report import Report, make_report, summary
from cli.demo.statistics import RunStatistics
from producer.faults import InjectedFault
from schemas.alerts import Alert, AlertModel, Signal
from schemas.machines import MachineStatus
from schemas.scores import Score
from schemas.topics import ALERTS, DEAD_LETTERS, ENERGY, MACHINES, SCORES

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHAT_IS_ASKED_FOR = {
    *("readings_produced", "readings_scored", "alerts_opened", "alerts_resolved", "recommendations"),
    *("energy_windows", "dead_letters", "readings_per_second", "latency_p50_ms", "latency_p99_ms"),
    *("seconds_to_first_alert", "injected_faults", "injected_faults_alerted", "false_alerts"),
}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def alert(state: str, seconds: float, *, machine: str = "press-01", opened: float = 12) -> Alert:
    return Alert.model_validate(
        {
            "alert_id": f"{machine}-{opened}",
            "machine_id": machine,
            "kind": "anomaly",
            "severity": "warning",
            "state": state,
            "opened_at": at(opened),
            "updated_at": at(seconds),
            "resolved_at": at(seconds) if state == "resolved" else None,
            "peak_score": 0.9,
            "threshold": 0.5,
            "readings": 4,
            "signals": (Signal(sensor="vibration", actual=9.0, expected=4.0, deviation=8.0, contribution=1.0),),
            "summary": f"{machine}: vibration is odd.",
            "model": AlertModel(name="anomaly", version="1", level="machine"),
            "confidence": 1.0,
        }
    )


def some_statistics(*messages: tuple[str, Score | Alert, float], live_from: float | None = None) -> RunStatistics:
    """A statistics of messages (topic, message, seconds at which Kafka got it)."""
    statistics = RunStatistics(live_from=None if live_from is None else at(live_from).timestamp())
    for topic, message, seconds in messages:
        statistics.take(topic, key=b"key", value=message.encode(), written_at=at(seconds).timestamp())
    return statistics


def a_report(statistics: RunStatistics, *faults: InjectedFault, produced: int = 0) -> Report:
    return make_report(
        statistics,
        faults=faults,
        live=(at(5).timestamp(), at(65).timestamp()),
        grace=5.0,
        broker="Tansu",
        seed=42,
        produced=produced,
        backfill=0,
        bad_messages=0,
        backfill_rate=None,
        start_up_seconds=20.0,
    )


def a_fault(start: float, end: float) -> InjectedFault:
    return InjectedFault(
        machine_id="press-01",
        kind="drift",
        start=at(start).timestamp(),
        end=at(end).timestamp(),
        sensors=("vibration",),
    )


def test_the_report_has_all_figures_that_are_asked_for() -> None:
    assert Report.model_fields.keys() >= WHAT_IS_ASKED_FOR


def test_an_alert_that_begins_again_is_one_alert_with_two_openings() -> None:
    statistics = some_statistics(
        (ALERTS, alert("opened", 12), 12.1),
        (ALERTS, alert("updated", 14), 14.1),
        (ALERTS, alert("resolved", 30), 30.1),
        (ALERTS, alert("updated", 40), 40.1),
    )
    spans = [(one.at - START.timestamp(), one.until - START.timestamp(), one.again) for one in statistics.openings]
    assert spans == [(12, 30, False), (40, float("inf"), True)]
    report = a_report(statistics, a_fault(10, 20))
    assert (report.alerts_opened, report.alerts_resolved, report.live_alerts_opened) == (1, 0, 2)
    # the second opening has no fault that explains it
    assert (report.injected_faults_alerted, report.false_alerts) == (1, 1)
    assert report.false_alert_details[0].at == at(40)


def test_latency_counts_live_readings_only() -> None:
    statistics = some_statistics(
        (SCORES, Score(machine_id="press-01", timestamp=at(1)), 100),
        (SCORES, Score(machine_id="press-01", timestamp=at(6)), 6.05),
        (SCORES, Score(machine_id="press-01", timestamp=at(7)), 7.2),
        live_from=5,
    )
    report = a_report(statistics, produced=3)
    assert (report.readings_scored, report.live_readings) == (3, 2)
    assert report.latency_p50_ms == pytest.approx(50, abs=1)
    assert report.latency_p99_ms == pytest.approx(200, abs=1)


def test_a_machine_shows_its_last_score_and_its_warm_up() -> None:
    statistics = RunStatistics(power="power")
    score = Score(machine_id="press-01", timestamp=at(1), anomaly_score=0.8, risk=1.5, condition="idle")
    status = MachineStatus(
        machine_id="press-01",
        timestamp=at(1),
        machine_type="press",
        condition="running",
        warm_up=0.5,
        values={"power": 71.0},
        readings=3,
    )
    statistics.take(SCORES, key=b"", value=score.encode(), written_at=1)
    statistics.take(MACHINES, key=b"", value=status.encode(), written_at=1)
    now = statistics.machines["press-01"]
    assert (now.score, now.risk, now.condition, now.warm_up, now.power) == (0.8, 1.5, "idle", 0.5, 71.0)
    assert list(now.trend) == [0.8]


def test_a_fault_that_the_end_cut_short_is_not_counted_and_its_alert_is_not_false() -> None:
    statistics = some_statistics((ALERTS, alert("opened", 62), 62.1))
    report = make_report(
        statistics,
        faults=[],
        cut_faults=[a_fault(60, 75)],
        live=(at(5).timestamp(), at(65).timestamp()),
        grace=5.0,
        broker="tansu",
        seed=42,
        produced=0,
        backfill=0,
        bad_messages=0,
        backfill_rate=None,
        start_up_seconds=20.0,
    )
    assert (report.injected_faults, report.false_alerts) == (0, 0)
    assert report.seconds_to_first_alert == pytest.approx(2.1)


def test_revisions_of_a_window_are_one_window_and_dead_letters_are_accounted_for() -> None:
    statistics = RunStatistics()
    for _ in range(2):
        statistics.take(ENERGY, key=b"press-01@12", value=b"{}", written_at=1)
    statistics.take(DEAD_LETTERS, key=b"", value=b"{}", written_at=1)
    assert (len(statistics.energy_windows), statistics.dead_letters, statistics.accounted) == (1, 1, 1)


def test_an_alert_without_signals_is_told() -> None:
    statistics = some_statistics((ALERTS, alert("opened", 12).model_copy(update={"signals": ()}), 12))
    assert a_report(statistics).alerts_without_machine_or_signal == 1


def test_the_summary_names_what_was_missed_and_what_was_false() -> None:
    statistics = some_statistics((ALERTS, alert("opened", 40, opened=40), 40.1))
    words = dict(summary(a_report(statistics, a_fault(10, 20), produced=7)))
    assert words["faults"] == "0 of 1 alerted, 1 false alert"
    assert words["missed"] == "drift of vibration at press-01, 10 s long"
    assert "press-01: vibration is odd." in words["false"]
    assert words["readings"].startswith("7 produced = 0 scored + 0 dead-lettered")
