"""Examples in the documentation, computed by the rules."""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import numpy as np

from core.assess import assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from schemas.alerts import Alert

_START: Final = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
_MINUTES: Final = 3 * 1440
_FAULT: Final = 30
_USUAL: Final = {
    "power": (71.0, 1.5),
    "temperature": (45.0, 0.6),
    "vibration": (2.2, 0.15),
    "production": (118.0, 2.0),
}
"""Mean and deviation of a press, by sensor."""


@cache
def alert_example(plant: Plant) -> str:
    """Return, as indented JSON, the alert of a press of the default plant whose vibration has doubled."""
    chance = np.random.default_rng(1)
    values = np.full((_MINUTES, len(plant.sensors)), np.nan)
    for column, name in enumerate(plant.sensor_names):
        if name in _USUAL:
            mean, deviation = _USUAL[name]
            values[:, column] = np.round(chance.normal(mean, deviation, _MINUTES), 2)
    values[-_FAULT:, plant.sensor_names.index("vibration")] += 2.0
    moments = _START + 60.0 * np.arange(_MINUTES, dtype=np.float64)
    batch = ReadingBatch.from_columns(["press-01"] * _MINUTES, moments, values)
    found = assess(batch, state=FleetState(plant), models=Models(), plant=plant)
    alert = next(one for _, one in found.alerts if one.kind == "anomaly" and one.state == "opened")
    return _indented(alert)


def _indented(alert: Alert) -> str:
    document: dict[str, Any] = json.loads(alert.encode(), parse_float=lambda text: round(float(text), 2))
    return f"```json\n{json.dumps(document, indent=2, ensure_ascii=False)}\n```"
