"""The messages of a recorded run stay what they were, byte for byte."""

import lzma
from pathlib import Path
from typing import Final

from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.machines import MachineStatus
from schemas.message import Message
from schemas.recommendations import Recommendation
from schemas.scores import Score
from tests.core.golden.recorded_run import recorded_run

# one line a message: case, type and JSON, tab between them; numbers stand there as computed, before any rounding
RECORD: Final = Path(__file__).with_name("recorded_outputs.xz")
TYPES: Final[dict[str, type[Message]]] = {
    kind.__name__: kind for kind in (Alert, EnergyWindow, MachineStatus, Recommendation, Score)
}


def _recorded() -> list[tuple[str, str, bytes]]:
    lines = lzma.decompress(RECORD.read_bytes()).splitlines()
    return [(case.decode(), kind.decode(), value) for case, kind, value in (line.split(b"\t", 2) for line in lines)]


def test_a_recorded_run_gives_the_recorded_messages_rounded_as_messages_are() -> None:
    now = [(case, type(message).__name__, message.encode()) for case, message in recorded_run()]
    then = [(case, kind, TYPES[kind].model_validate_json(value).encode()) for case, kind, value in _recorded()]

    for number, (line, recorded) in enumerate(zip(now, then, strict=False)):
        assert line == recorded, f"message {number} of the run differs"
    assert len(now) == len(then)


def test_the_record_has_all_kinds_of_messages_and_alerts() -> None:
    recorded = _recorded()
    alerts = [Alert.model_validate_json(value) for _, kind, value in recorded if kind == "Alert"]

    assert {kind for _, kind, _ in recorded} == set(TYPES)
    assert {(alert.kind, alert.state) for alert in alerts} >= {
        (kind, state) for kind in ("anomaly", "limit", "sensor_fault") for state in ("opened", "updated", "resolved")
    } | {("silent", "opened"), ("silent", "resolved")}
