"""Hours of the plant's clock, origins that see nothing of their day, and documents that answer without Prophet."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.detection.features import extract
from core.plant import Plant
from runtime.forecasting.answers import forecast
from runtime.forecasting.published import FORECAST, OPENERS
from runtime.models.model_inference import ModelInference
from runtime.models.repository import ModelRepository
from trainer.datasets import Datasets, Ratio
from trainer.forecast import forecast_outcome, hourly_power
from trainer.trainer import train_models

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATIO = Ratio(0.7, 0.15, 0.15)


@pytest.fixture(scope="module")
def two(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["machine_id"].isin(["press-01", "pump-01"])]


@pytest.fixture(scope="module")
def models(two: pd.DataFrame, plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    train_models(
        Datasets.of_frame(two, plant=plant, ratio=RATIO),
        plant=plant,
        repository=ModelRepository(folder),
        at=AT,
        seed=1,
        families=[FORECAST],
    )
    return folder


def power_of(frame: pd.DataFrame, plant: Plant) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    found = hourly_power(Datasets.of_frame(frame, plant=plant), plant)
    assert found is not None
    return found.kilowatts


def test_hours_are_means_of_their_readings_on_the_plants_clock(plant: Plant) -> None:
    """Clocks go forward in Berlin at 01:00 UTC on 29 March 2026: the hour from 2 to 3 does not exist."""
    moments = pd.date_range("2026-03-29T00:00Z", periods=8, freq="30min")
    frame = pd.DataFrame({"machine_id": "a", "timestamp": moments, **dict.fromkeys(plant.sensor_names, 1.0)})
    frame["power"] = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, np.nan]
    found = hourly_power(Datasets.of_frame(frame, plant=plant), plant)
    assert found is not None
    assert found.first_hour == np.datetime64("2026-03-29T01", "h").astype(np.int64)
    np.testing.assert_array_equal(found.kilowatts[0], [15, np.nan, 35, 55, 70])


def test_every_origin_is_a_midnight_of_its_split_with_a_whole_day_ahead(two: pd.DataFrame, plant: Plant) -> None:
    found = hourly_power(Datasets.of_frame(two, plant=plant, ratio=RATIO), plant)
    assert found is not None
    for split in (1, 2):
        origins = found.midnights(split)
        assert len(origins) == 8
        assert (origins % 24 == 0).all()
        assert origins[0] >= found.begins[split]
    assert found.midnights(1)[-1] + 24 <= found.begins[2]
    assert found.midnights(2)[-1] + 24 <= found.first_hour + found.kilowatts.shape[1]


def test_a_forecast_knows_nothing_of_the_hours_it_is_about(models: Path, two: pd.DataFrame, plant: Plant) -> None:
    """Whatever the last day of the test split will be, its forecast is the same."""
    inference = ModelInference(models, plant=plant)
    model = inference.others[FORECAST]
    data = Datasets.of_frame(two, plant=plant, ratio=RATIO)
    frame = extract(data.batch, plant=plant)
    last = two["timestamp"] >= two["timestamp"].max().floor("D") - pd.Timedelta(hours=1)
    otherwise = two.assign(power=two["power"].where(~last, 3 * two["power"] + 7))
    known = forecast_outcome(model, data, frame, plant=plant)
    changed = forecast_outcome(model, Datasets.of_frame(otherwise, plant=plant, ratio=RATIO), frame, plant=plant)
    assert known is not None
    assert changed is not None
    assert not np.array_equal(known.truth, changed.truth)
    np.testing.assert_array_equal(known.answer, changed.answer)


def test_the_published_forecasts_answer_for_machines_they_know(models: Path, two: pd.DataFrame, plant: Plant) -> None:
    inference = ModelInference(models, plant=plant)
    pump = two[two["machine_id"] == "pump-01"].set_index("timestamp")["power"].resample("h").mean()
    start = pump.index[0].to_pydatetime()
    answer = inference.forecast_machine("pump-01", pump.tolist(), 24, start=start)
    assert len(answer.forecast) == len(answer.lower_bound) == len(answer.upper_bound) == 24
    assert np.mean(answer.forecast) == pytest.approx(pump.tail(168).mean(), rel=0.2)
    unknown = inference.forecast_machine("somebody", pump.tolist(), 24, start=start)
    assert unknown == forecast(pump.tolist(), 24, frequency="h", start=start)


def test_damaged_forecasts_are_named_and_the_fallback_answers(models: Path, plant: Plant, tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path)
    bundle = ModelRepository(models).load(FORECAST, "20260301T120000Z")
    for minute, files in enumerate(({"model.json": b'{"machines": {}}'}, {"model.json": b"{"})):
        at = AT + timedelta(minutes=minute)
        manifest = bundle.manifest.model_copy(update={"version": f"{at:%Y%m%dT%H%M%SZ}"})
        repository.publish(manifest, files)
        repository.promote(FORECAST, manifest.version, at=at, reason="test")
    inference = ModelInference(tmp_path, plant=plant)
    assert inference.others == {}
    assert sum("model forecast 20260301T12" in problem for problem in inference.problems) == 2
    answer = inference.forecast_machine("pump-01", [1.0] * 200, 24, start=AT)
    assert answer.model == "seasonal_median"


def test_answering_needs_neither_prophet_nor_pandas_models() -> None:
    """What was fitted is plain numbers, so a server that answers does not load Stan."""
    code = f"import sys; from runtime.forecasting.published import OPENERS; assert set(OPENERS) == {set(OPENERS)!r}; "
    done = subprocess.run(
        [sys.executable, "-c", code + "sys.exit('prophet' in sys.modules or 'cmdstanpy' in sys.modules)"],
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
