"""A new machine of a known type in a simulated plant whose models are trained."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.assess import Assessment, assess
from core.batch import ReadingBatch
from core.detection.features import feature_fingerprint
from core.models import Models
from core.plant import Plant
from core.row_results import LEVELS
from core.state import FleetState
from producer.generator import IndustrialDataGenerator
from runtime.models.inference import load_models
from runtime.models.repository import ModelRepository
from trainer.trainer import MLModelTrainer

NEW = tuple(f"{kind}-{number}" for kind in ("press", "pump", "compressor") for number in range(70, 75))


@pytest.fixture(scope="module")
def models(data_dir: Path, plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    MLModelTrainer(data_dir, folder, plant=plant).train(["anomaly"])
    return load_models(ModelRepository(folder), plant=plant, features=feature_fingerprint(plant)).models


@pytest.fixture(scope="module")
def days(plant: Plant) -> pd.DataFrame:
    """Two days of new machines without faults, from the first running reading of each on."""
    generator = IndustrialDataGenerator(seed=9, plant=plant)
    table = generator.generate_energy_timeseries(2, "1min", NEW, include_anomalies=False)
    begun = (table["condition"] == "running").groupby(table["machine_id"]).cummax()
    # some begin with a cold start
    return table[begun].sort_values(["timestamp", "machine_id"]).reset_index(drop=True)


def through_the_stream(table: pd.DataFrame, models: Models, plant: Plant) -> Assessment:
    batch = ReadingBatch.from_columns(
        table["machine_id"].tolist(),
        table["timestamp"].dt.as_unit("us").astype("int64").to_numpy() / 1e6,
        table[list(plant.sensor_names)].to_numpy(dtype=np.float64),
    )
    return assess(batch, state=FleetState(plant), models=models, plant=plant)


def test_a_fault_after_the_tenth_reading_is_alerted_and_calm_machines_are_not(
    days: pd.DataFrame, models: Models, plant: Plant
) -> None:
    first_day = days.groupby("machine_id").head(600)
    calm = through_the_stream(first_day, models, plant)
    assert [alert.summary for _, alert in calm.alerts if alert.kind == "anomaly"] == []
    assert {LEVELS[level] for level in calm.scores.level} >= {"type", "history"}

    faulty = first_day.copy()
    number = faulty.groupby("machine_id").cumcount()
    struck = (number >= 10) & (number < 20) & faulty["condition"].eq("running")
    faulty.loc[struck, "vibration"] *= 3.0
    found = through_the_stream(faulty, models, plant)
    opened = [alert for _, alert in found.alerts if alert.kind == "anomaly" and alert.state == "opened"]
    first = {alert.machine_id: alert for alert in reversed(opened)}
    assert set(first) == set(NEW)
    begins = faulty[struck].groupby("machine_id")["timestamp"].min()
    for machine_id, alert in first.items():
        assert 0 <= (alert.opened_at - begins[machine_id]).total_seconds() <= 180
        assert alert.signals[0].sensor == "vibration"
        assert alert.warm_up
        assert alert.confidence < 0.6
