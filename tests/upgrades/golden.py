"""State as this release saves it, and how it goes on: what a later release must restore, or refuse.

`python -m tests.upgrades.golden` writes `format-<n>.json` for the current format. Run it when a release has raised
`core.state.records.FORMAT`, and keep the older files: their state must be refused, or converted.
"""

import base64
import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from core.assess import assess
from core.batch import ReadingBatch
from core.forecasting.series_state import SeriesTable
from core.models import Models
from core.plant import Plant, parse_plant
from core.state.fleet import FleetState
from core.state.records import FORMAT, Record
from core.state.tables import row_type

FOLDER: Final = Path(__file__).parent
MACHINES: Final = ("calm", "hot", "young", "off")
BEGIN: Final = 1_772_452_800.0
"""2026-03-02 12:00 UTC, epoch seconds."""
BEFORE: Final = 400
"""Minutes until the state is saved; 240 more follow."""
AFTER: Final = 240
HISTORY_HOURS: Final = 13 * 7 * 24


def plant() -> Plant:
    """Return the plant of the recording, which no change of a shipped plant file touches."""
    return parse_plant((FOLDER / "plant.toml").read_text(), source="golden")


def readings(plant: Plant, first: int, last: int) -> ReadingBatch:
    """Return the readings of minutes `first` to `last`; arithmetic only, so that every machine makes the same."""
    ids, at, rows = [], [], []
    for minute in range(first, last):
        for place, machine in enumerate(MACHINES):
            if machine == "young" and minute < BEFORE - 100:
                continue
            wave = math.sin(minute * 0.7 + place) + 0.3 * ((minute * 7 + place) % 5 - 2)
            off = machine == "off" and minute % 200 > 150
            hot = 45.0 if machine == "hot" and BEFORE - 8 < minute < BEFORE + 30 else 0.0
            row = {
                "power": 0.0 if off else 40 + 2 * wave,
                "temperature": 60 + wave + hot,
                "vibration": 2.5 + 0.2 * wave,
                "runtime": minute / 60,
                "production": 0.0 if off else 300 + 10 * wave,
            }
            ids.append(machine)
            at.append(BEGIN + 60.0 * minute)
            rows.append([row[name] for name in plant.sensor_names])
    offsets = np.arange(len(ids), dtype=np.int64) + 10_000 * (first + 1)
    return ReadingBatch.from_columns(ids, np.array(at), np.array(rows), offsets)


def layout(plant: Plant) -> dict[str, list[list[Any]]]:
    """Return the layout of the rows: name and type of each field, of each part of a record."""
    layouts = FleetState(plant)._layouts
    return {part: _plain(row_type(layouts, part).descr) for part in ("common", "own", "baseline")}


def _plain(described: Any) -> list[list[Any]]:
    found: list[list[Any]] = json.loads(json.dumps(described))
    return found


def continuation(state: FleetState) -> dict[str, Any]:
    """Return what comes of the readings after the recording, as far as no tuning of the detection may change it."""
    standing = {alert.alert_id: alert.kind for alert in state.alerts.values() if alert.state != "resolved"}
    found = assess(readings(state.plant, BEFORE, BEFORE + AFTER), state=state, models=Models(), plant=state.plant)
    return {
        "resolved": sorted(
            [alert.kind, alert.alert_id]
            for _, alert in found.alerts
            if alert.state == "resolved" and alert.alert_id in standing
        ),
        "hours": sorted(
            [window.key, round(window.energy_kwh, 2), window.readings, window.final] for window in found.energy_windows
        ),
        "readings": {name: int(state.tracks.readings[state.slots[name]]) for name in MACHINES},
    }


def series() -> SeriesTable:
    """Return the hours of two machines."""
    table = SeriesTable(HISTORY_HOURS)
    for machine in MACHINES[:2]:
        for hour in range(60):
            table.record_measured(machine, 490_000 + hour, 40.0 + hour % 24, at=0.0)
    return table


def record() -> dict[str, Any]:
    """Return the recording of the current format."""
    known = plant()
    state = FleetState(known)
    for first in range(0, BEFORE, 50):
        assess(readings(known, first, first + 50), state=state, models=Models(), plant=known)
    log = state.records_of(sorted(state.dirty))
    other = FleetState(known)
    other.restore(log)
    return {
        "format": FORMAT,
        "layout": layout(known),
        "machines": [[_text(key), _text(value)] for key, value in log],
        "series": [[key, _text(value)] for key, value in series().changed_records()],
        "continuation": continuation(other),
    }


def log_of(recording: dict[str, Any]) -> list[Record]:
    """Return the records of a recording's machines."""
    return [
        (base64.b64decode(key), None if value is None else base64.b64decode(value))
        for key, value in recording["machines"]
    ]


def _text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


if __name__ == "__main__":
    file = FOLDER / f"format-{FORMAT}.json"
    file.write_text(json.dumps(record(), separators=(",", ":")) + "\n")
