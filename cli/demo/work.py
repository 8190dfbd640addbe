"""Start-up work of a demo run in separate processes: `python -m cli.demo.work models | compile`.

The last line that each prints is its progress and, at the end, its result.
"""

import sys
from typing import Final

from cli.errors import reported
from core.assess import assess
from core.batch import ReadingBatch
from core.detection.features import feature_fingerprint
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from producer.generator import IndustrialDataGenerator
from runtime.errors import FailureError
from runtime.models.inference import load_models
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from runtime.settings import load_settings

_COMPILE_DAYS: Final = 1
_LESS: Final = 0.999


def models(seed: int) -> None:
    """Train the models that the repository lacks for this plant, and print the result."""
    settings = load_settings()
    plant = load_plant(settings.plant_file)
    repository = ModelRepository.of(settings)
    found = load_models(repository, plant=plant, features=feature_fingerprint(plant)).models
    if found.anomaly is not None and found.maintenance is not None:
        _print(f"found in {settings.model_path}")
        return
    from cli.train import train_on_the_spot  # noqa: PLC0415  loads scikit-learn, which is needed here only

    train_on_the_spot(plant, repository, seed=seed, progress=_progress)
    trained = load_models(repository, plant=plant, features=feature_fingerprint(plant))
    if trained.problems:
        raise FailureError(f"the models just trained cannot be used: {'; '.join(trained.problems)}")
    _print(f"trained and stored in {settings.model_path}")


def compile_rules() -> None:
    """Run the rules once over a simulated day, so that their compiled code is cached before it is needed."""
    plant = load_plant(load_settings().plant_file)
    assess(_a_day(plant), state=FleetState(plant), models=Models(), plant=plant)
    _print("compiled")


def _a_day(plant: Plant) -> ReadingBatch:
    frame = IndustrialDataGenerator(plant=plant).generate_energy_timeseries(_COMPILE_DAYS, "1min", 2)
    seconds = frame["timestamp"].dt.as_unit("ms").astype("int64").to_numpy() / 1000.0
    values = frame[list(plant.sensor_names)].to_numpy(dtype="float64")
    return ReadingBatch.from_columns(frame["machine_id"].tolist(), seconds, values)


def _progress(step: str, share: float) -> None:
    _print(f"{step} {share:.0%}" if 0 < share < _LESS else step)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run `models SEED` or `compile`, and return the exit code."""
    if arguments[:1] == ["models"]:
        return reported(lambda: models(int(arguments[1])))
    return reported(compile_rules)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
