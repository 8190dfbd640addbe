"""Timelines drawn as text: one character a reading above, what became of it below."""

from collections.abc import Iterable, Mapping
from typing import Final

from core.models import Models
from schemas.alerts import Alert
from tests.builders import PUMP, START, ARow, a_bare_reading, a_batch, a_plant, a_reading
from tests.core.streams import run_batches

LEGEND: Final[Mapping[str, Mapping[str, float | None]]] = {
    ".": {},
    "h": {"temperature": 110.0},  # above the warning limit
    "H": {"temperature": 130.0},  # above the critical limit
    "o": {"power": 0.0},
    "i": {"power": 5.0},
    "?": {"temperature": None},
    "!": {"temperature": 5000.0},  # beyond what is possible
    "b": dict.fromkeys(("power", "temperature", "vibration", "runtime")),
}
QUICK: Final = {
    "readings_over": 2,
    "of_readings": 3,
    "resolve_after_readings": 3,
    "update_seconds": 300.0,
    "merge_gap_seconds": 240.0,
}
"""A policy under which alerts come and go within a few readings of a minute."""
_STATES: Final = {"opened": "O", "updated": "U", "resolved": "R"}


def drawn_rows(drawing: str, *, machine_id: str = PUMP, first: float = 0.0, every: float = 60.0) -> list[ARow]:
    """One reading a character; a blank is a reading that never came. No two usual values are alike."""
    rows = []
    for number, sign in enumerate(drawing):
        if sign == " ":
            continue
        wobble = (number % 7 - 3) * 0.01
        usual = {"power": 40.0 + wobble, "temperature": 60.0 + wobble, "vibration": 2.5 + wobble}
        make = a_bare_reading if sign == "b" else a_reading
        rows.append(make(machine_id, at=first + every * number, **(usual | dict(LEGEND[sign]))))
    return rows


def drawn_alerts(alerts: Iterable[Alert], kind: str, *, length: int, first: float = 0.0, every: float = 60.0) -> str:
    """Where alerts of `kind` were opened (O), updated (U) and resolved (R), one character a reading."""
    picture = ["."] * length
    for alert in alerts:
        if alert.kind == kind:
            picture[round((alert.updated_at.timestamp() - START - first) / every)] = _STATES[alert.state]
    return "".join(picture)


def alerts_of(drawing: str, **changes: float) -> list[Alert]:
    """The alerts on a pump that is not yet known."""
    plant = a_plant(alerts=QUICK | changes)
    outputs, _ = run_batches([a_batch(*drawn_rows(drawing), plant=plant)], plant=plant, models=Models())
    return outputs.alerts
