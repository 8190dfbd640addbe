import numpy as np
import pytest

from core.assess import FLAG_AT, assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state import FleetState
from tests.core.detection.test_detection import START, a_plain_plant, assessed, noise


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
    learned = 20 * 400
    assert both[learned:] == pytest.approx(np.maximum(one, other)[learned:])


@pytest.mark.parametrize("detector", ["distance", "surprise", "both"])
def test_a_new_machine_is_covered_from_its_tenth_reading(detector: str) -> None:
    values = noise(200)
    values[10:15, :, 1] += 90
    found = assessed(values, a_plant(detector))
    opened = [alert for _, alert in found.alerts if alert.state == "opened"]
    assert len(opened) == 20
    assert all(alert.warm_up for alert in opened)
    scores = found.scores.anomaly.reshape(200, -1)
    assert np.isnan(scores[:10]).all()
    assert np.isfinite(scores[10:]).all()


def test_a_restart_while_a_machine_learns_changes_nothing() -> None:
    plant = a_plant("surprise")
    values = noise(200, machines=1)
    values[150:155, :, 1] += 60

    def batch(begin: int, end: int) -> ReadingBatch:
        return ReadingBatch.from_columns(
            ["m0"] * (end - begin),
            START + 60.0 * np.arange(begin, end),
            values[begin:end, 0],
            np.arange(begin, end),
        )

    whole = assess(batch(0, 200), state=FleetState(plant), models=Models(), plant=plant).scores.anomaly[130:]
    before = assess(batch(0, 130), state=FleetState(plant), models=Models(), plant=plant).state
    restored = FleetState(plant)
    restored.restore(before.records_of([0]))
    after = assess(batch(130, 200), state=restored, models=Models(), plant=plant).scores.anomaly
    assert after == pytest.approx(whole, abs=1e-6)
