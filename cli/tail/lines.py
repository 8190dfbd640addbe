"""One line of text for each kind of message, in columns that stay aligned from line to line."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from pydantic import BaseModel

from cli.console import (
    BAND_STYLES,
    CONDITION_STYLES,
    SEVERITY_STYLES,
    STATE_STYLES,
    Cell,
    figure,
    moment,
    score_style,
)
from schemas.alerts import Alert
from schemas.dead_letters import DeadLetter
from schemas.energy import EnergyWindow
from schemas.recommendations import Recommendation
from schemas.scores import Score
from schemas.topics import ALERTS, CATALOGUE, DEAD_LETTERS, ENERGY, RECOMMENDATIONS, SCORES, Topic

Line = tuple[Cell, ...]
_MACHINE: Final = 14
_RISK_STYLES: Final = ("dim", "cyan", "yellow", "bold red")
_PREVIEW: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Handling of the messages of one topic: their type, time, machine, and text.

    columns: headings above the lines on a terminal. `line` has the zone of times as argument, None: UTC for programs.
    """

    topic: Topic
    message: type[BaseModel]
    at: Callable[[Any], datetime]
    machine: Callable[[Any], str | None]
    line: Callable[[Any, tzinfo | None], Line]


def alert_line(alert: Alert, zone: tzinfo | None) -> Line:
    """Return state, severity, machine, kind, the signal that contributes most, and the summary."""
    style = SEVERITY_STYLES[alert.severity]
    resolved = alert.state == "resolved"
    return (
        _at(alert.updated_at, zone),
        Cell(text=alert.state, width=8, style=STATE_STYLES[alert.state]),
        Cell(text=alert.severity, width=8, style="dim" if resolved else style),
        Cell(text=alert.machine_id, width=_MACHINE, style="bold"),
        Cell(text=alert.kind, width=12),
        Cell(text=alert.signals[0].sensor if alert.signals else "-", width=12),
        Cell(text=sentence(alert), style="dim" if resolved else ""),
    )


def sentence(alert: Alert) -> str:
    """Return the summary without the machine's name; for a resolved alert, its duration and peak score."""
    if alert.state == "resolved" and alert.resolved_at is not None:
        lasted = (alert.resolved_at - alert.opened_at).total_seconds()
        return f"over after {duration(lasted)}, peak score {alert.peak_score:.2f}, {alert.readings} readings."
    return alert.summary.removeprefix(f"{alert.machine_id}: ")


def recommendation_line(advice: Recommendation, zone: tzinfo | None) -> Line:
    """Return band, risk, machine, hours to failure, and the advice."""
    hours = advice.hours_to_failure
    return (
        _at(advice.issued_at, zone),
        Cell(text=advice.machine_id, width=_MACHINE, style="bold"),
        Cell(text=advice.band, width=6, style=BAND_STYLES[advice.band]),
        Cell(text=f"risk {advice.risk_level:.1f}", style=risk_style(advice.risk_level)),
        Cell(text=f"{hours.low:.0f}-{hours.high:.0f} h" if hours else "-", width=9, right=True),
        Cell(text=advice.text.removeprefix(f"{advice.machine_id}: ")),
    )


def energy_line(window: EnergyWindow, zone: tzinfo | None) -> Line:
    """Return the hour, energy, mean and peak power, production, and completeness."""
    whole = window.completeness
    notes = [f"revision {window.revision}"] if window.revision else []
    notes += [] if window.final else ["not final"]
    return (
        _at(window.start, zone),
        Cell(text=window.machine_id, width=_MACHINE, style="bold"),
        Cell(text=f"{figure(window.energy_kwh, 2)} kWh", width=13, right=True),
        Cell(text=f"mean {figure(window.mean_power_kw)} kW", width=14, right=True),
        Cell(text=f"peak {figure(window.peak_power_kw)} kW", width=14, right=True),
        Cell(text=f"{figure(window.production, 0)} units", width=12, right=True),
        Cell(text=f"{whole:.0%} complete", width=13, right=True, style="" if whole > 0.9 else "yellow"),  # noqa: PLR2004
        Cell(text=", ".join(notes), style="cyan"),
    )


def score_line(score: Score, zone: tzinfo | None) -> Line:
    """Return score, flag, risk and condition."""
    style = score_style(score.anomaly_score)
    return (
        _at(score.timestamp, zone),
        Cell(text=score.machine_id, width=_MACHINE, style="bold"),
        Cell(text=figure(score.anomaly_score, 3), width=5, style=style, right=True),
        Cell(text="anomaly" if score.is_anomaly else "", width=7, style=style),
        Cell(text=f"risk {figure(score.risk, 2)}", width=9, style=risk_style(score.risk)),
        Cell(text=score.condition, width=7, style=CONDITION_STYLES[score.condition]),
        Cell(text="warming up" if score.warm_up else "", style="dim"),
    )


def dead_letter_line(letter: DeadLetter, zone: tzinfo | None) -> Line:
    """Return the source position, the whole reason, and the beginning of the payload."""
    start = letter.payload[:_PREVIEW].decode("utf-8", "replace")
    cut = "…" if letter.payload_bytes > _PREVIEW else ""
    return (
        _at(letter.failed_at, zone),
        Cell(text=f"{letter.key}@{letter.source.offset}", width=24),
        Cell(text=letter.reason, width=22, style="yellow"),
        Cell(text=f"{letter.payload_bytes:,} B", width=9, right=True),
        Cell(text=letter.detail),
        Cell(text=f"│ {start}{cut}" if start else "", style="dim"),
    )


def machine_of_letter(letter: DeadLetter) -> str | None:
    """Return the machine that a refused message names; None if that cannot be decoded."""
    try:
        content = json.loads(letter.payload)
    except (ValueError, RecursionError):
        return None
    found = content.get("machine_id") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def risk_style(risk: float | None) -> str:
    """Return the colour of a risk level, 0 to 3."""
    return "dim" if risk is None else _RISK_STYLES[min(3, max(0, int(risk + 0.5)))]


def duration(seconds: float) -> str:
    """Return a duration in words, such as `45 s`, `12 min` or `3.5 h`."""
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004


def _at(at: datetime, zone: tzinfo | None) -> Cell:
    return Cell(text=moment(at, zone), style="dim")


def _topic(name: str) -> Topic:
    return next(topic for topic in CATALOGUE if topic.name == name)


def _machine_id(message: Any) -> str | None:
    machine_id: str = message.machine_id
    return machine_id


KINDS: Final[dict[str, Kind]] = {
    "alerts": Kind(
        topic=_topic(ALERTS), message=Alert, at=lambda one: one.updated_at, machine=_machine_id, line=alert_line
    ),
    "recommendations": Kind(
        topic=_topic(RECOMMENDATIONS),
        message=Recommendation,
        at=lambda one: one.issued_at,
        machine=_machine_id,
        line=recommendation_line,
    ),
    "energy": Kind(
        topic=_topic(ENERGY), message=EnergyWindow, at=lambda one: one.start, machine=_machine_id, line=energy_line
    ),
    "scores": Kind(
        topic=_topic(SCORES), message=Score, at=lambda one: one.timestamp, machine=_machine_id, line=score_line
    ),
    "dead-letters": Kind(
        topic=_topic(DEAD_LETTERS),
        message=DeadLetter,
        at=lambda one: one.failed_at,
        machine=machine_of_letter,
        line=dead_letter_line,
    ),
}
