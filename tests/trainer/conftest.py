from pathlib import Path

import pandas as pd
import pytest

from core.plant import Plant
from producer.generator import IndustrialDataGenerator
from runtime.plants import load_plant
from tests.trainer.splits import write_splits


@pytest.fixture(scope="session")
def plant() -> Plant:
    """The default plant, with a warm-up that suits readings half an hour apart."""
    known = load_plant(None)
    return known.model_copy(update={"detection": known.detection.model_copy(update={"warm_up_readings": 400})})


@pytest.fixture(scope="session")
def table(plant: Plant) -> pd.DataFrame:
    """Sixty days of six machines every half hour: enough for some failures, quick to learn from."""
    return IndustrialDataGenerator(seed=2, plant=plant).generate_energy_timeseries(60, "30min", 6)


@pytest.fixture(scope="session")
def data_dir(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(table, tmp_path_factory.mktemp("data"))
