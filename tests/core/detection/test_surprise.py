import numpy as np
import pytest

from core.assess import FLAG_AT
from core.plant import Plant
from tests.core.detection.test_detection import a_plain_plant, assessed, noise


def a_plant(detector: str, *, least: float = 0.0) -> Plant:
    plain = a_plain_plant(3)
    return plain.model_copy(
        update={
            "detection": plain.detection.model_copy(update={"detector": detector}),
            "sensors": tuple(each.model_copy(update={"minimum_deviation": least}) for each in plain.sensors),
        }
    )


def test_a_jump_is_flagged_with_its_first_reading() -> None:
    values = noise(500)
    values[450, :, 1] += 40
    scores = assessed(values, a_plant("surprise")).scores.anomaly.reshape(500, -1)
    assert (scores[450] >= FLAG_AT).all()
    assert (scores[451:] < FLAG_AT).all()


def test_the_sensor_that_jumped_carries_the_score() -> None:
    values = noise(500)
    values[450:, :, 1] += 60
    opened = [alert for _, alert in assessed(values, a_plant("surprise")).alerts if alert.state == "opened"]
    assert len(opened) == 20
    for alert in opened:
        assert alert.signals[0].sensor == "s1"
        assert sum(signal.contribution for signal in alert.signals) == pytest.approx(1.0, abs=1e-6)


def test_a_jump_below_the_least_deviation_raises_nothing() -> None:
    values = noise(500)
    values[450:, :, 1] += 60
    assert not assessed(values, a_plant("surprise", least=90.0)).alerts


def test_of_both_the_higher_score_counts() -> None:
    values = noise(500)
    values[450:, :, 1] += 40
    one, other, both = (
        np.nan_to_num(assessed(values, a_plant(detector)).scores.anomaly)
        for detector in ("distance", "surprise", "both")
    )
    assert both == pytest.approx(np.maximum(one, other))
