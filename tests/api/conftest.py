from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from producer.generator import IndustrialDataGenerator
from runtime.plants import load_plant
from tests.api.servers import Server, running_server
from tests.trainer.splits import write_splits
from trainer.trainer import MLModelTrainer


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of the default plant, from sixty generated days."""
    table = IndustrialDataGenerator(seed=2, plant=load_plant(None)).generate_energy_timeseries(60, "30min", 6)
    folder = tmp_path_factory.mktemp("api")
    MLModelTrainer(write_splits(table, folder / "data"), folder / "models").train(["anomaly", "maintenance"])
    return folder / "models"


@pytest.fixture(scope="session")
def server(model_dir: Path) -> Iterator[Server]:
    """A service with models and without Kafka."""
    with running_server(model_path=str(model_dir)) as running:
        yield running


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts services with settings of their own, and ends them after the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running_server(**settings))
