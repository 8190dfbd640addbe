"""Timelines drawn as text: one character a reading above, what became of it below."""

from collections.abc import Iterable, Mapping
from typing import Final

from schemas.alerts import Alert
from tests.builders import PUMP, START, ARow, a_bare_reading, a_reading

LEGEND: Final[Mapping[str, Mapping[str, float | None]]] = {
    ".": {},
    "h": {"temperature": 110.0},  # above the warning limit
    "H": {"temperature": 130.0},  # above the critical limit
    "V": {"vibration": 12.0},
    "o": {"power": 0.0},
    "i": {"power": 5.0},
    "?": {"temperature": None},
    "!": {"temperature": 5000.0},  # beyond what is possible
    "b": dict.fromkeys(("power", "temperature", "vibration", "runtime")),
}
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
