import numpy as np
import pytest

from core.arrays import Floats
from core.assess import FLAG_AT, Assessment, assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant, parse_plant
from core.state import FleetState
from core.state.habits import habits_layout

STEP = 300.0
DAY = int(86_400 / STEP)
MONDAY = 1_767_571_200.0
PLANT = """
name = "hall"
timezone = "UTC"
interval_seconds = 300
[[sensors]]
name = "load"
unit = "kW"
minimum = -1000
maximum = 1000
"""


def a_plant(extra: str = "") -> Plant:
    return parse_plant(PLANT + extra, source="test")


def days(count: int, seed: int = 1) -> Floats:
    """A load that swings with the day, less at weekends, (count * DAY,)."""
    part = np.arange(count * DAY) % DAY / DAY
    weekend = np.arange(count * DAY) // DAY % 7 >= 5
    swing = np.where(weekend, 5.0, 20.0) * np.sin(2 * np.pi * part)
    return 100 + swing + np.random.default_rng(seed).normal(0, 1, count * DAY)


def assessed(values: Floats, *, plant: Plant | None = None, rows: int = 100_000) -> list[Assessment]:
    """The assessments of one machine's values, cut into batches of so many rows."""
    plant = plant or a_plant()
    state, found = FleetState(plant), []
    for begin in range(0, len(values), rows):
        part = values[begin : begin + rows, None]
        number = np.arange(begin, begin + len(part))
        batch = ReadingBatch.from_columns(["m"] * len(part), MONDAY + STEP * number, part, number)
        found.append(assess(batch, state=state, models=Models(), plant=plant))
        state = found[-1].state
    return found


def openings(values: Floats) -> list[int]:
    return [row for row, alert in assessed(values)[0].alerts if alert.state == "opened"]


def test_a_plant_of_one_slow_sensor_is_held_against_its_days() -> None:
    assert a_plant().detector == "seasonal"
    assert a_plant().alert_policy.readings_over == 1
    assert parse_plant(PLANT.replace("300", "1"), source="test").detector == "distance"
    assert a_plant('[detection]\ndetector = "distance"').detector == "distance"
    assert a_plant("[alerts]\nreadings_over = 3\nof_readings = 5").alert_policy.readings_over == 3


def test_a_swing_of_every_day_is_no_anomaly() -> None:
    assert len(openings(days(42))) <= 12  # of a budget of two a week


def test_a_night_in_the_middle_of_the_day_is_one_alert() -> None:
    values = days(42)
    begin = 37 * DAY + DAY // 6
    values[begin : begin + DAY // 6] = 82.0 + np.random.default_rng(2).normal(0, 1, DAY // 6)
    new = set(openings(values)) - set(openings(days(42)))
    found = [row for row in new if begin <= row < begin + DAY // 6 + 12]
    assert len(found) == 1
    assert found[0] - begin <= 24


def test_nothing_is_scored_before_two_days_are_over() -> None:
    scores = assessed(days(4))[0].scores
    assert np.isnan(scores.anomaly[: 2 * DAY]).all()
    assert not scores.warm[: 2 * DAY].any()
    assert np.isfinite(scores.anomaly[2 * DAY + 1 :]).all()
    assert ((scores.anomaly[2 * DAY + 1 :] >= 0) & (scores.anomaly[2 * DAY + 1 :] <= 1)).all()


@pytest.mark.parametrize("rows", [1, 37])
def test_how_readings_are_cut_into_batches_changes_nothing(rows: int) -> None:
    values = days(5)
    values[4 * DAY + 20 :] += 30
    values[700:720] = np.nan
    whole, cut = assessed(values)[0], assessed(values, rows=rows)
    assert np.array_equal(whole.scores.anomaly, np.concatenate([each.scores.anomaly for each in cut]), equal_nan=True)
    assert [alert for _, alert in whole.alerts] == [alert for each in cut for _, alert in each.alerts]


def test_a_restart_in_between_changes_nothing() -> None:
    values = days(6)
    values[5 * DAY :] += 25
    plant = a_plant()
    whole = assessed(values)[0].scores.anomaly[4 * DAY :]
    state = assessed(values[: 4 * DAY])[0].state
    restored = FleetState(plant)
    restored.restore(state.records_of([0]))
    number = np.arange(4 * DAY, len(values))
    batch = ReadingBatch.from_columns(["m"] * len(number), MONDAY + STEP * number, values[4 * DAY :, None], number)
    after = assess(batch, state=restored, models=Models(), plant=plant).scores.anomaly
    assert after == pytest.approx(whole, abs=1e-6)


def test_other_plants_keep_nothing_of_it() -> None:
    layout = habits_layout(parse_plant(PLANT.replace("300", "1"), source="test"))
    assert sum(np.prod(column.shape) * (column.dtype != "f8" or column.shape != ()) for column in layout.values()) == 0


def test_one_reading_at_the_limit_scores_a_half() -> None:
    values = days(21)
    values[20 * DAY : 20 * DAY + 40] += 60
    found = assessed(values)[0]
    opened = [row for row, alert in found.alerts if alert.state == "opened" and row >= 20 * DAY]
    assert opened
    assert found.scores.anomaly[opened[0]] >= FLAG_AT
    assert found.scores.anomaly[20 * DAY - 1] < FLAG_AT
