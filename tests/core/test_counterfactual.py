"""The counterfactual of advice: what would lower the band, by the model's own answer."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.arrays import Features
from core.counterfactual import counterfactual_of
from core.maintenance import BANDS
from schemas.recommendations import Counterfactual
from tests.builders import a_sensor

SENSORS = (a_sensor("vibration", unit="mm/s"), a_sensor("temperature", unit="°C"))
MEAN, SCALE = np.array([2.0, 60.0]), np.array([0.1, 2.0])
PLAN, URGENT = BANDS.index("plan"), BANDS.index("urgent")


class Wear:
    """A model of one rule: each mm/s above 2 is a risk of 1, each 10 °C above 60 another; averages of both spans."""

    name = "wear"
    version = "1"
    rows = 0

    def risk(self, features: Features) -> NDArray[np.float64]:
        self.rows += len(features)
        vibration, temperature = features[:, [0, 2]].mean(axis=1) - 2, features[:, [1, 3]].mean(axis=1) - 60
        return np.clip(vibration + temperature / 10, 0, 3).astype(np.float64)


def averages(vibration: float, temperature: float) -> Features:
    """Feature row of two spans with equal averages, 100 running hours, machine type 0."""
    return np.array([vibration, temperature, vibration, temperature, 100.0, 0.0], dtype=np.float32)


def found(features: Features, band: int, model: Wear | None = None) -> Counterfactual | None:
    return counterfactual_of(features, band, mean=MEAN, scale=SCALE, sensors=SENSORS, model=model or Wear())


def test_the_smallest_return_that_the_model_accepts_is_named() -> None:
    answer = found(averages(4.0, 60.0), PLAN)  # a risk of 2; watch begins below 1.75
    assert answer is not None
    assert (answer.sensor, answer.value, answer.band) == ("vibration", pytest.approx(3.5), "watch")
    assert answer.sentence == "vibration below 3.5 mm/s on average would bring it to watch"


def test_the_model_confirms_it() -> None:
    answer = found(averages(4.6, 61.0), URGENT)
    assert answer is not None
    assert Wear().risk(averages(answer.value, 61.0)[None])[0] < 2.5


def test_the_sensor_with_the_smaller_move_in_scales_is_chosen() -> None:
    # 0.35 to lose: a quarter of 15 scales of vibration, or five eighths of 3 scales of temperature
    answer = found(averages(3.5, 66.0), PLAN)
    assert answer is not None
    assert answer.sensor == "temperature"


def test_where_no_sensor_alone_lowers_the_band_there_is_none() -> None:
    assert found(averages(5.0, 90.0), URGENT) is None


@pytest.mark.parametrize("features", [averages(2.0, 60.0), averages(np.nan, np.nan)])
def test_a_machine_at_its_baseline_or_without_averages_has_none(features: Features) -> None:
    assert found(features, PLAN) is None


def test_without_advice_to_lower_the_model_is_not_asked() -> None:
    model = Wear()
    assert found(averages(4.0, 60.0), 0, model) is None
    assert model.rows == 0


def test_the_cost_is_bounded() -> None:
    model = Wear()
    found(averages(4.0, 70.0), PLAN, model)
    assert model.rows <= 32
