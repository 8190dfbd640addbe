"""Windows are the same whatever happens on the way: disorder within grace, any batches, restarts, replays, moves."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arrays import HOUR
from core.batch import ReadingBatch
from core.energy.windows import REVISION_SECONDS
from core.models import Models
from tests.builders import START, a_bare_reading, a_batch, a_plant, a_sensor, the_usual_sensors
from tests.core.stories import Story, published_after, with_interruptions
from tests.core.streams import close_all, run_batches

GRACE: Final = 120.0
PLANT: Final = a_plant(
    sensors=[*the_usual_sensors(), a_sensor("output", unit="units/h", role="production")],
    energy={"grace_seconds": GRACE},
)
_POWER: Final = PLANT.sensor_names.index("power")
_OUTPUT: Final = PLANT.sensor_names.index("output")


@st.composite
def stories(draw: st.DrawFn) -> Story:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows: list[tuple[float, str, list[float]]] = []
    for machine_id in ("pump-01", "pump-02", "mixer-01")[: draw(st.integers(1, 3))]:
        every = draw(st.sampled_from((17.0, 60.0, 300.0, 900.0)))
        at = draw(st.floats(0, 2 * HOUR))
        for _ in range(draw(st.integers(1, 4))):
            for _ in range(draw(st.integers(1, 60))):
                values = [np.nan] * len(PLANT.sensors)
                values[_POWER] = np.nan if random.random() < 0.1 else round(random.normal(40, 20), 3)
                values[_OUTPUT] = np.nan if random.random() < 0.1 else round(random.uniform(0, 100), 3)
                rows.append((at, machine_id, values))
                at += every * random.uniform(0.5, 1.5)
            at += draw(st.sampled_from((0.0, 700.0, 5000.0)))
    # each comes at most a grace later than it happened: none is late, whatever overtakes it
    delays = random.random(len(rows)) * draw(st.sampled_from((0.0, GRACE / 2, GRACE)))
    order = np.argsort([at for at, _, _ in rows] + delays, kind="stable")
    arrival = ReadingBatch.from_columns(
        [rows[position][1] for position in order],
        START + np.array([rows[position][0] for position in order]),
        np.array([rows[position][2] for position in order]),
    )
    return draw(with_interruptions(arrival))


def by_hand(story: Story) -> dict[str, tuple[float, int]]:
    """Energy and readings of each hour, straight from the definition and in order of time."""
    batch = story.arrival
    found: dict[str, tuple[float, int]] = {}
    for index, machine_id in enumerate(batch.machine_ids):
        mine = batch.machine == index
        for hour in np.unique(batch.timestamps[mine] // HOUR):
            rows = mine & (batch.timestamps // HOUR == hour)
            minutes = (batch.timestamps[rows] - hour * HOUR) // 60
            power = batch.values[rows, _POWER]
            known = ~np.isnan(power)
            spoken = np.unique(minutes[known])
            steps = np.diff(spoken)
            usual = float(np.sort(steps)[(len(steps) - 1) // 2]) if len(spoken) > 2 else 1.0
            weights = np.append(steps, max(60 - spoken[-1], usual)) if len(spoken) else np.empty(0)
            weights = np.where(weights > 2 * usual, usual, weights)
            means = np.array([np.mean(power[known & (minutes == minute)]) for minute in spoken])
            hours = min(60.0, weights.sum()) / 60
            energy = float((means * weights).sum() / weights.sum() * hours) if len(spoken) else 0.0
            moment = np.datetime64(int(hour * HOUR), "s")
            found[f"{machine_id}@{moment}Z"] = (energy, int(rows.sum()))
    return found


@given(stories())
@settings(max_examples=150)
def test_whatever_happens_on_the_way_the_last_windows_are_those_of_the_definition(story: Story) -> None:
    outputs = published_after(story, plant=PLANT)
    assert outputs.late == 0
    expected = by_hand(story)
    assert outputs.windows.keys() == expected.keys()
    for key, (energy, readings) in expected.items():
        assert outputs.windows[key].energy_kwh == pytest.approx(energy, abs=1e-6)
        assert outputs.windows[key].readings == readings


@given(stories())
@settings(max_examples=100)
def test_whatever_happens_on_the_way_they_are_those_of_an_undisturbed_run_to_the_last_digit(story: Story) -> None:
    straight = published_after(Story(arrival=story.arrival, events=()), plant=PLANT)
    assert published_after(story, plant=PLANT).hours == straight.hours


@given(st.integers(0, 8 * HOUR), st.integers(1, 30))
@settings(max_examples=100)
def test_a_reading_counts_or_is_counted_as_late_and_nothing_else(age: int, number: int) -> None:
    """`age`: how far the readings lie behind the machine's newest one.

    |-- hour --|grace|--- revisions ---|  too late
    """
    newest = 9 * HOUR + 1800.0
    rows = [a_bare_reading(at=newest, power=10.0)]
    _, state = run_batches([a_batch(*rows, plant=PLANT)], plant=PLANT, models=Models())
    when = newest - age
    late_rows = [a_bare_reading(at=when, power=30.0)] * number
    outputs, state = run_batches(
        [a_batch(*late_rows, plant=PLANT, first_offset=5)], plant=PLANT, models=Models(), state=state
    )
    end = (when // HOUR + 1) * HOUR
    too_late = end + GRACE + REVISION_SECONDS < newest
    assert outputs.late == (number if too_late else 0)
    close_all(outputs, state)
    assert sum(window.readings for window in outputs.windows.values()) == 1 + number - outputs.late
