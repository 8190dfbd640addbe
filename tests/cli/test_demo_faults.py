"""What the demo claims, without its processes: its faults are found, whatever the hour at which somebody starts it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cli.demo.command import DAYS
from cli.demo.simulation import FAULT_EVERY_SECONDS, LIVE_INTERVAL_SECONDS
from cli.demo.statistics import RunStatistics
from cli.demo.truth import false_alerts, outcomes
from core.assess import assess
from core.batch import ReadingBatch
from core.detection.features import feature_fingerprint
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from producer.publish import Readings
from producer.simulator import Simulator
from runtime.models.inference import load_models
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from schemas.topics import ALERTS

LIVE_SECONDS = 60.0
AT_ONCE = 64


@dataclass
class Rules:
    """The processor without Kafka: readings in, alerts into a statistics."""

    plant: Plant
    models: Models
    statistics: RunStatistics = field(default_factory=RunStatistics)
    state: FleetState = field(init=False)
    read: int = 0

    def __post_init__(self) -> None:
        self.state = FleetState(self.plant)

    def take(self, readings: Readings) -> None:
        batch = ReadingBatch.from_columns(list(readings.machine_ids), readings.timestamps, readings.values)
        batch = replace(batch, offsets=np.arange(self.read, self.read + len(readings)))
        self.read += len(readings)
        for _, alert in assess(batch, state=self.state, models=self.models, plant=self.plant).alerts:
            at = alert.updated_at.timestamp()
            self.statistics.take(ALERTS, key=b"", value=alert.encode(), written_at=at)


@pytest.mark.long
@pytest.mark.parametrize(
    "now",
    ["2026-11-23T05:00Z", "2026-11-24T12:00Z", "2026-11-28T23:00Z", "2026-07-05T03:00Z"],
    ids=["Monday morning", "Tuesday noon", "Saturday night", "a Sunday in summer"],
)
def test_the_demo_finds_its_faults_at_any_hour_of_the_week(now: str, trained_models: Path) -> None:
    plant = load_plant(None)
    models = load_models(ModelRepository(trained_models), plant=plant, features=feature_fingerprint(plant)).models
    rules = Rules(plant, models)
    start = datetime.fromisoformat(now).timestamp()
    simulator = Simulator(
        plant=plant,
        machines=8,
        seed=42,
        days=DAYS,
        now=start,
        interval_seconds=LIVE_INTERVAL_SECONDS,
        always_running=True,
    )
    for readings in simulator.history():
        rules.take(readings)
    instants = np.arange(start + 1, start + 1 + LIVE_SECONDS, LIVE_INTERVAL_SECONDS)
    faults = simulator.script(start + 1, start + 1 + LIVE_SECONDS, every_seconds=FAULT_EVERY_SECONDS)
    for first in range(0, len(instants), AT_ONCE):
        rules.take(simulator.at(instants[first : first + AT_ONCE], faults))

    grace = plant.alerts.resolve_after_readings * LIVE_INTERVAL_SECONDS
    found = outcomes(faults, rules.statistics.openings, grace=grace)
    assert len(found) >= 8
    missed = [one.fault for one in found if one.opening is None]
    assert len(missed) <= 0.2 * len(found), missed
    live = (instants[0], instants[-1])
    wrong = false_alerts(faults, rules.statistics.openings, live=live, grace=grace)
    assert len(wrong) <= 1, wrong
