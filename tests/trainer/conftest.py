from pathlib import Path

import pandas as pd
import pytest

from core.plant import Plant
from producer.generator import IndustrialDataGenerator
from runtime.plants import load_plant


@pytest.fixture(scope="session")
def plant() -> Plant:
    return load_plant(None)


@pytest.fixture(scope="session")
def table(plant: Plant) -> pd.DataFrame:
    """Forty days of four machines every quarter of an hour: enough for some failures, quick to learn from."""
    return IndustrialDataGenerator(seed=1, plant=plant).generate_energy_timeseries(40, "15min", 4)


def write_splits(table: pd.DataFrame, folder: Path, *, suffix: str = ".csv") -> Path:
    """Write train_data, val_data and test_data, split at 70 and 85 % of the time."""
    folder.mkdir(exist_ok=True)
    first, last = table["timestamp"].min(), table["timestamp"].max()
    bounds = [first, first + (last - first) * 0.7, first + (last - first) * 0.85, last + pd.Timedelta("1s")]
    for name, begin, end in zip(("train", "val", "test"), bounds, bounds[1:], strict=False):
        part = table[(table["timestamp"] >= begin) & (table["timestamp"] < end)]
        if suffix == ".csv":
            text = part["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            part.assign(timestamp=text).to_csv(folder / f"{name}_data.csv", index=False)
        else:
            part.to_parquet(folder / f"{name}_data.parquet")
    return folder


@pytest.fixture(scope="session")
def data_dir(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(table, tmp_path_factory.mktemp("data"))
