"""Live view of the demo: its data, and its rendering with Rich in 80 columns or more.

Grey stands for normal values; colour marks what needs attention.
"""

import time
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.console import (
    CONDITION_STYLES,
    SEVERITY_STYLES,
    STATE_STYLES,
    figure,
    printable,
    score_style,
)
from cli.demo.simulation import Simulation
from cli.demo.statistics import MachineNow, Meter, RunStatistics
from cli.demo.truth import outcomes, percentile
from cli.tail.lines import duration, risk_style, sentence
from producer.faults import InjectedFault
from schemas.alerts import Alert
from schemas.scores import FLAG_AT

_WIDE: Final = 96
_WIDER: Final = 118
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_BAR: Final = 8
_FIXED_LINES: Final = 10  # of the view that are neither machines nor alerts
_LEAST_ALERTS: Final = 5
_FEW_SECONDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """Row of one machine. trend: its last scores, None where it was not scored. fault: the injected fault, if any."""

    machine_id: str
    condition: str
    warm_up: float
    score: float | None
    trend: tuple[float | None, ...]
    risk: float | None
    power: float | None
    fault: InjectedFault | None
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Data of the view. seconds_left: of the live phase; None: until Ctrl-C. Latencies: recent ones, in ms.

    address: URL of the console. finishing: the live phase is over, and its last readings are being counted.
    """

    title: str
    address: str
    seconds_live: float
    seconds_left: float | None
    finishing: bool
    machines: tuple[MachineRow, ...]
    recent: tuple[Alert, ...]
    produced: int
    scored: int
    dead_letters: int
    per_second: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    alerts_open: int
    faults_begun: int
    faults_alerted: int


def render(snapshot: Snapshot, *, width: int, height: int, zone: tzinfo) -> RenderableType:
    """Return the whole view, in at most `height` lines of `width` characters."""
    room = height - _FIXED_LINES
    rows = min(len(snapshot.machines), max(3, room - _LEAST_ALERTS))
    shortened = rows < len(snapshot.machines)
    return Group(
        _head(snapshot, width),
        _progress(snapshot, width),
        *_figures(snapshot),
        Text.assemble(
            ("in a browser ", "dim"), snapshot.address, ("   for programs ", "dim"), f"{snapshot.address}/docs"
        ),
        Text(),
        _machines(snapshot, rows, width),
        Text(),
        # the part that grows comes last, so that nothing above it moves
        *_alerts(snapshot, room - rows - shortened, width, zone),
    )


def _head(snapshot: Snapshot, width: int) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column()
    grid.add_column(justify="right")
    left = Text.assemble((" Nexova ", "bold reverse"), "  ", (snapshot.title, "dim"))
    grid.add_row(left, _clock(snapshot, short=width < _WIDE))
    return grid


def _clock(snapshot: Snapshot, *, short: bool) -> Text:
    if snapshot.finishing:
        return Text("finishing", "bold cyan")
    if snapshot.seconds_left is None:
        ending = "" if short else ", Ctrl-C ends"
        return Text.assemble(("live ", "dim"), (_minutes(snapshot.seconds_live), "bold"), (ending, "dim"))
    style = "bold yellow" if snapshot.seconds_left < _FEW_SECONDS else "bold"
    return Text.assemble((_minutes(snapshot.seconds_left), style), (" left", "dim"))


def _progress(snapshot: Snapshot, width: int) -> Text:
    if snapshot.seconds_left is None:
        return Text("─" * width, "bright_black")
    whole = snapshot.seconds_live + snapshot.seconds_left
    done = round(width * snapshot.seconds_live / whole) if whole > 0 else width
    return Text.assemble(("━" * done, "cyan"), ("─" * (width - done), "bright_black"))


def _machines(snapshot: Snapshot, rows: int, width: int) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("machine", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("anomaly score", no_wrap=True, width=_BAR + 5)
    wider = width >= _WIDER
    trend = 24 if wider else 16 if width >= _WIDE else 0
    if trend:
        table.add_column("last readings", no_wrap=True, width=trend)
    if wider:
        table.add_column("kW", justify="right", no_wrap=True, width=6)
    table.add_column("risk", justify="right", no_wrap=True, width=4)
    table.add_column("injected", no_wrap=True, ratio=3 if wider else 2, overflow="ellipsis")
    table.add_column("alert", no_wrap=True, ratio=3, overflow="ellipsis")
    for row in _most_telling(snapshot.machines, rows):
        cells = [
            Text(printable(row.machine_id), "bold" if row.alerts else ""),
            _condition(row),
            _score(row.score),
        ]
        if trend:
            cells.append(_trend(row.trend[-trend:]))
        if wider:
            cells.append(Text(figure(row.power)))
        cells += [
            Text(figure(row.risk), risk_style(row.risk)),
            _fault(row.fault, wider=wider),
            _machine_alert(row.alerts),
        ]
        table.add_row(*cells)
    hidden = len(snapshot.machines) - rows
    return Group(table, Text(f"and {hidden} more machines", "dim")) if hidden > 0 else table


def _most_telling(machines: tuple[MachineRow, ...], rows: int) -> tuple[MachineRow, ...]:
    """Return the machines that fit, those with alerts or faults first, in a stable order."""
    if len(machines) <= rows:
        return machines
    telling = sorted(machines, key=lambda row: (not row.alerts, row.fault is None, -(row.score or 0.0)))[:rows]
    return tuple(row for row in machines if row in telling)


def _condition(row: MachineRow) -> Text:
    if row.condition == "running" and row.warm_up < 1.0:
        return Text(f"learning {row.warm_up:.0%}", "cyan")
    return Text(row.condition, CONDITION_STYLES.get(row.condition, ""))


def _score(score: float | None) -> Text:
    if score is None:
        return Text("─" * _BAR + "    -", "bright_black")
    filled = round(score * _BAR)
    style = score_style(score) if score >= FLAG_AT else "cyan"
    return Text.assemble(
        ("━" * filled, style), ("─" * (_BAR - filled), "bright_black"), (f" {score:.2f}", style if filled else "dim")
    )


def _trend(scores: tuple[float | None, ...]) -> Text:
    text = Text()
    for score in scores:
        block = "·" if score is None else _BLOCKS[min(len(_BLOCKS) - 1, int(score * len(_BLOCKS)))]
        calm = score is None or score < FLAG_AT
        text.append(block, "bright_black" if calm else score_style(score))
    return text


def _fault(fault: InjectedFault | None, *, wider: bool) -> Text:
    if fault is None:
        return Text()
    where = f" of {', '.join(fault.sensors)}" if wider else ""
    return Text(f"{fault.kind}{where}", "magenta")


def _machine_alert(alerts: tuple[Alert, ...]) -> Text:
    if not alerts:
        return Text()
    first = alerts[0]
    what = first.signals[0].sensor if first.signals else first.kind
    kind = {"sensor_fault": "sensor ", "limit": "limit "}.get(first.kind, "")
    more = f" +{len(alerts) - 1}" if len(alerts) > 1 else ""
    return Text(f"● {kind}{printable(what)}{more}", SEVERITY_STYLES[first.severity])


def _alerts(snapshot: Snapshot, lines: int, width: int, zone: tzinfo) -> list[Text]:
    found = [Text(f"alerts ({zone.tzname(None) or 'local time'})", "dim", no_wrap=True)]
    if not snapshot.recent:
        found.append(Text("none so far", "bright_black"))
    for alert in snapshot.recent[: max(1, lines)]:
        text = _alert(alert, zone)
        text.truncate(width, overflow="ellipsis")
        found.append(text)
    return found


def _alert(alert: Alert, zone: tzinfo) -> Text:
    resolved = alert.state == "resolved"
    state = "over" if resolved else "open"
    severity = "green" if resolved else SEVERITY_STYLES[alert.severity]
    return Text.assemble(
        (f"{_when(alert, zone):<11}", "dim"),
        (f"{'✓' if resolved else '●'} {state:<5}", severity if resolved else STATE_STYLES["opened"]),
        (f"{alert.severity:<9}", "dim" if resolved else severity),
        (f"{printable(alert.machine_id):<14}", "bold" if not resolved else ""),
        (f"{alert.kind:<13}", "dim"),
        (printable(sentence(alert)), "dim" if resolved else ""),
        no_wrap=True,
    )


def _when(alert: Alert, zone: tzinfo) -> str:
    """Return the time it was resolved, else opened; with the date instead of seconds if on another day."""
    at = (alert.resolved_at or alert.opened_at).astimezone(zone)
    return f"{at:%H:%M:%S}" if at.date() == datetime.now(zone).date() else f"{at:%a %H:%M}"


def _figures(snapshot: Snapshot) -> list[Text]:
    latency = "-"
    if snapshot.latency_p50_ms is not None and snapshot.latency_p99_ms is not None:
        latency = f"{snapshot.latency_p50_ms:,.0f} ms, p99 {snapshot.latency_p99_ms:,.0f} ms"
    waiting = max(0, snapshot.produced - snapshot.scored - snapshot.dead_letters)
    first = [
        ("readings", f"{snapshot.produced:,}"),
        ("scored", f"{snapshot.scored:,}"),
        ("waiting", f"{waiting:,}"),
        ("dead letters", f"{snapshot.dead_letters}"),
        ("rate", f"{snapshot.per_second:,.0f}/s"),
    ]
    second = [
        ("faults alerted", f"{snapshot.faults_alerted} of {snapshot.faults_begun}"),
        ("alerts open", f"{snapshot.alerts_open}"),
        ("latency", latency),
    ]
    return [_row(first), _row(second)]


def _row(pairs: list[tuple[str, str]]) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for index, (name, value) in enumerate(pairs):
        text.append("   " if index else "")
        text.append(f"{name} ", "dim")
        text.append(value, "bold")
    return text


def _minutes(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}" if whole < 7200 else duration(seconds)  # noqa: PLR2004


_LATELY: Final = 200
_ALERTS: Final = 60


def snapshot(
    title: str,
    simulation: Simulation,
    statistics: RunStatistics,
    meter: Meter,
    *,
    address: str,
    finishing: bool = False,
) -> Snapshot:
    """Return the data of the view now. address: URL of the console."""
    now = time.time()
    faults = tuple(fault for fault in simulation.faults if fault.start <= now)
    found = outcomes(faults, statistics.openings, grace=simulation.grace_seconds)
    latencies = statistics.latencies[-_LATELY:]
    open_alerts = statistics.open_alerts()
    return Snapshot(
        title=title,
        address=address,
        seconds_live=max(0.0, now - simulation.live_from),
        seconds_left=None if simulation.ends_at is None else max(0.0, simulation.ends_at - now),
        finishing=finishing,
        machines=tuple(
            _machine_row(machine_id, statistics.machines.get(machine_id, MachineNow()), statistics, faults, now)
            for machine_id in simulation.machine_ids
        ),
        recent=_recent(statistics, simulation.live_from),
        produced=simulation.delivered,
        scored=statistics.readings_scored,
        dead_letters=statistics.dead_letters,
        per_second=meter.rate(),
        latency_p50_ms=_milliseconds(percentile(latencies, 0.50)),
        latency_p99_ms=_milliseconds(percentile(latencies, 0.99)),
        alerts_open=len(open_alerts),
        faults_begun=len(found),
        faults_alerted=sum(one.opening is not None for one in found),
    )


def _recent(statistics: RunStatistics, live_from: float) -> tuple[Alert, ...]:
    """Return the alerts that were open in the live phase, newest first."""
    seen = [
        alert
        for alert in statistics.alerts.values()
        if alert.state != "resolved" or alert.updated_at.timestamp() >= live_from
    ]
    return tuple(sorted(seen, key=lambda alert: alert.opened_at, reverse=True)[:_ALERTS])


def _machine_row(
    machine_id: str, known: MachineNow, statistics: RunStatistics, faults: tuple[InjectedFault, ...], now: float
) -> MachineRow:
    return MachineRow(
        machine_id=machine_id,
        condition=known.condition,
        warm_up=known.warm_up,
        score=known.score,
        trend=tuple(known.trend),
        risk=known.risk,
        power=known.power,
        fault=next((fault for fault in faults if fault.machine_id == machine_id and fault.end > now), None),
        alerts=tuple(statistics.open_alerts(machine_id)),
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000.0
