"""Report of a demo run, as a JSON document and as a few lines of text.

The counts are defined in `cli.demo.truth`. readings_produced = readings_scored + dead_letters, otherwise the
demo has failed. `readings_per_second` is the rate at which live readings were scored; the processor's rate while
readings wait in Kafka is `backfill_readings_per_second`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from cli.demo.statistics import RunStatistics
from cli.demo.truth import FaultOutcome, false_alerts, outcomes, percentile, seconds_to_first_alert
from producer.faults import InjectedFault


class FaultReport(BaseModel):
    """One injected fault and its alert."""

    model_config = ConfigDict(frozen=True)

    machine_id: str
    kind: str
    sensors: tuple[str, ...]
    start: datetime
    end: datetime
    alerted: bool
    alert_id: str | None = None
    alert_kind: str | None = None
    seconds_to_alert: float | None = Field(
        default=None, description="event time; null where the alert had been open before the fault"
    )


class FalseAlert(BaseModel):
    """One alert without a matching injected fault."""

    model_config = ConfigDict(frozen=True)

    machine_id: str
    kind: str
    at: datetime
    alert_id: str
    summary: str


class Report(BaseModel):
    """The figures of one run."""

    model_config = ConfigDict(frozen=True)

    broker: str
    seed: int
    machines: int
    duration_seconds: float = Field(description="of the live phase")
    start_up_seconds: float = Field(description="from the command to the live phase")
    readings_produced: int = Field(description="acknowledged by the broker, the bad messages included")
    readings_scored: int
    backfill_readings: int
    live_readings: int
    readings_per_second: float = Field(description="live readings scored a second")
    backfill_readings_per_second: float | None = Field(description="while the history was worked off")
    dead_letters: int
    bad_messages_sent: int
    alerts_opened: int = Field(description="distinct alerts, those in the history included")
    alerts_resolved: int
    alerts_without_machine_or_signal: int
    live_alerts_opened: int = Field(description="openings in the live phase, also of alerts that began again")
    recommendations: int
    energy_windows: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    seconds_to_first_alert: float | None
    injected_faults: int
    injected_faults_alerted: int
    injected_faults_with_alert_of_their_own: int = Field(
        description="those of the alerted ones that opened an alert; at the others one had been open before"
    )
    alerts_open_when_live_began: int
    false_alerts: int
    grace_seconds: float
    faults: tuple[FaultReport, ...]
    false_alert_details: tuple[FalseAlert, ...]


def make_report(
    statistics: RunStatistics,
    *,
    faults: Sequence[InjectedFault],
    cut_faults: Sequence[InjectedFault] = (),
    live: tuple[float, float],
    grace: float,
    broker: str,
    seed: int,
    produced: int,
    backfill: int,
    bad_messages: int,
    backfill_rate: float | None,
    start_up_seconds: float,
) -> Report:
    """Return the figures of a run with the live phase from `live[0]` to `live[1]`, epoch seconds.

    cut_faults: faults cut short by its end; they explain alerts, but are not counted as injected.
    """
    found = outcomes(faults, statistics.openings, grace=grace)
    wrong = false_alerts([*faults, *cut_faults], statistics.openings, live=live, grace=grace)
    lasted = live[1] - live[0]
    first_alert = seconds_to_first_alert([*faults, *cut_faults], statistics.openings, grace=grace)
    return Report(
        broker=broker,
        seed=seed,
        machines=len(statistics.machines),
        duration_seconds=round(lasted, 1),
        start_up_seconds=round(start_up_seconds, 1),
        readings_produced=produced,
        readings_scored=statistics.readings_scored,
        backfill_readings=backfill,
        live_readings=statistics.live_readings,
        readings_per_second=round(statistics.live_readings / lasted, 1) if lasted > 0 else 0.0,
        backfill_readings_per_second=None if backfill_rate is None else round(backfill_rate),
        dead_letters=statistics.dead_letters,
        bad_messages_sent=bad_messages,
        alerts_opened=len(statistics.alerts),
        alerts_resolved=statistics.alerts_resolved,
        alerts_without_machine_or_signal=statistics.unnamed_alerts,
        live_alerts_opened=sum(live[0] <= one.at <= live[1] + grace for one in statistics.openings),
        recommendations=statistics.recommendations,
        energy_windows=len(statistics.energy_windows),
        latency_p50_ms=_milliseconds(percentile(statistics.latencies, 0.50)),
        latency_p99_ms=_milliseconds(percentile(statistics.latencies, 0.99)),
        seconds_to_first_alert=None if first_alert is None else round(first_alert, 2),
        injected_faults=len(found),
        injected_faults_alerted=sum(one.opening is not None for one in found),
        injected_faults_with_alert_of_their_own=sum(one.seconds_to_alert is not None for one in found),
        alerts_open_when_live_began=sum(one.at < live[0] <= one.until for one in statistics.openings),
        false_alerts=len(wrong),
        grace_seconds=grace,
        faults=tuple(map(_fault, found)),
        false_alert_details=tuple(
            FalseAlert(
                machine_id=one.machine_id,
                kind=one.kind,
                at=datetime.fromtimestamp(one.at, UTC),
                alert_id=one.alert_id,
                summary=statistics.alerts[one.alert_id].summary,
            )
            for one in wrong
        ),
    )


def summary(report: Report) -> list[tuple[str, str]]:
    """Return the report as pairs of heading and text."""
    first = report.seconds_to_first_alert
    delay = "" if first is None else f"; the first alert came {first:.1f} s after the first fault began"
    alerted = f"{report.injected_faults_alerted} of {report.injected_faults} alerted"
    sums = f"{report.readings_scored:,} scored + {report.dead_letters} dead-lettered"
    windows = _number(report.energy_windows, "hourly energy window")
    return [
        ("readings", f"{report.readings_produced:,} produced = {sums}"),
        ("faults", f"{alerted}, {_number(report.false_alerts, 'false alert')}{delay}"),
        ("alerts", f"{report.alerts_opened} opened, {report.alerts_resolved} of them resolved"),
        ("advice", f"{_number(report.recommendations, 'recommendation')}, {windows}"),
        ("speed", _speed(report)),
        *(("latency", words) for words in [_latency(report)] if words),
        *(("missed", _missed(fault)) for fault in report.faults if not fault.alerted),
        *(("false", f"{one.kind} at {one.at:%H:%M:%S} UTC: {one.summary}") for one in report.false_alert_details),
    ]


def _speed(report: Report) -> str:
    live = f"{report.readings_per_second:,.0f} readings/s live"
    backlog = report.backfill_readings_per_second
    return f"{live}, {backlog:,.0f} readings/s while processing the history" if backlog else live


def _latency(report: Report) -> str:
    median, high = report.latency_p50_ms, report.latency_p99_ms
    return (
        "" if median is None or high is None else f"{median:,.0f} ms from reading to score, 99 % within {high:,.0f} ms"
    )


def _fault(outcome: FaultOutcome) -> FaultReport:
    fault, opening, seconds = outcome.fault, outcome.opening, outcome.seconds_to_alert
    return FaultReport(
        machine_id=fault.machine_id,
        kind=fault.kind,
        sensors=fault.sensors,
        start=datetime.fromtimestamp(fault.start, UTC),
        end=datetime.fromtimestamp(fault.end, UTC),
        alerted=opening is not None,
        alert_id=None if opening is None else opening.alert_id,
        alert_kind=None if opening is None else opening.kind,
        seconds_to_alert=None if seconds is None else round(seconds, 2),
    )


def _missed(fault: FaultReport) -> str:
    lasted = (fault.end - fault.start).total_seconds()
    return f"{fault.kind} of {', '.join(fault.sensors)} at {fault.machine_id}, {lasted:.0f} s long"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000.0, 1)


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}" if count else f"no {noun}"
