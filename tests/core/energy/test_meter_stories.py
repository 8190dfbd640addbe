"""Hours by a counter are the same whatever happens on the way, and no energy is lost or invented.

A register is drawn with rises, resets and rollovers; readings come late, twice, in any batches, over crashes and moves.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arrays import HOUR
from core.batch import ReadingBatch
from core.plant import EnergyCounter
from tests.builders import START, a_plant, a_sensor, the_usual_sensors
from tests.core.stories import Story, published_after, with_interruptions

GRACE: Final = 120.0
MODULUS: Final = 500.0
MOST: Final = 120.0
RESOLUTION: Final = 0.001
LONGEST_GAP: Final = 1800.0
PLANT: Final = a_plant(
    sensors=[
        *the_usual_sensors(),
        a_sensor(
            "register",
            unit="kWh",
            role="energy_counter",
            minimum=0.0,
            maximum=MODULUS,
            counter=EnergyCounter(
                modulus=MODULUS, resolution=RESOLUTION, maximum_power=MOST, longest_gap_seconds=LONGEST_GAP
            ),
        ),
    ],
    energy={"grace_seconds": GRACE},
)
_REGISTER: Final = PLANT.sensor_names.index("register")


@dataclass(frozen=True, kw_only=True)
class Metered:
    """A story, and of each machine the readings of its register in order of time, with the energy of each step."""

    story: Story
    readings: dict[str, list[tuple[float, float, float]]]


@st.composite
def metered(draw: st.DrawFn) -> Metered:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows: list[tuple[float, str, float]] = []
    readings: dict[str, list[tuple[float, float, float]]] = {}
    for machine_id in ("pump-01", "pump-02", "mixer-01")[: draw(st.integers(1, 3))]:
        # of two readings in a minute the later counts, so each has a minute of its own here
        every = draw(st.sampled_from((61.0, 300.0, 900.0)))
        when, register = draw(st.floats(0, 2 * HOUR)), float(random.uniform(0, MODULUS))
        drawn: list[tuple[float, float, float]] = []
        for _ in range(draw(st.integers(2, 50))):
            gap = draw(st.sampled_from((0.0, 0.0, 0.0, 0.0, 0.0, 700.0, 5000.0, 20_000.0)))
            past = every * random.uniform(1.0, 1.5) + gap
            energy = min(random.uniform(0, MOST) * past / HOUR, 0.4 * MODULUS)
            if not drawn:
                energy = 0.0
            elif random.random() < 0.2 and energy / 0.9 < register < energy + MODULUS - MOST * past / HOUR - 1:
                # another device, which has counted this step from its beginning; nearer to its end it rolled over, and
                # a fall by less than a tenth is none of a reset
                register = 0.0
            when, register = when + past, (register + energy) % MODULUS
            drawn.append((when, register, energy))
            rows.append((when, machine_id, register))
        readings[machine_id] = drawn
    delays = random.random(len(rows)) * draw(st.sampled_from((0.0, GRACE / 2, GRACE)))
    order = np.argsort([row[0] for row in rows] + delays, kind="stable").tolist()
    # some come twice, one after the other
    order = [place for place in order for _ in range(2 if random.random() < 0.1 else 1)]
    values = np.full((len(order), len(PLANT.sensors)), np.nan)
    values[:, _REGISTER] = [rows[place][2] for place in order]
    arrival = ReadingBatch.from_columns(
        [rows[place][1] for place in order], START + np.array([rows[place][0] for place in order]), values
    )
    return Metered(story=draw(with_interruptions(arrival)), readings=readings)


def by_hand(readings: list[tuple[float, float, float]]) -> tuple[dict[int, float], float]:
    """Energy of each hour, and all that was drawn over gaps, straight from what was drawn."""
    hours: dict[int, float] = {}
    apart = 0.0
    for (before, _, _), (after, _, energy) in pairwise(readings):
        first, last = int(before // HOUR), int(-(-after // HOUR)) - 1
        if first == last or after - before <= LONGEST_GAP:
            for hour in range(first, last + 1):
                within = min(after, (hour + 1) * HOUR) - max(before, hour * HOUR)
                hours[hour] = hours.get(hour, 0.0) + energy * within / (after - before)
        else:
            apart += energy
    return hours, apart


@given(metered())
@settings(max_examples=150)
def test_whatever_happens_on_the_way_hours_and_total_are_what_was_drawn(drawn: Metered) -> None:
    outputs = published_after(drawn.story, plant=PLANT)
    assert outputs.late == 0
    for machine_id, readings in drawn.readings.items():
        windows = [window for window in outputs.windows.values() if window.machine_id == machine_id]
        expected, apart = by_hand(readings)
        found = {round((window.start.timestamp() - START) // HOUR): window for window in windows}
        assert {hour: found[hour].energy_kwh for hour in expected} == pytest.approx(expected, abs=1e-6)
        steps = [window.counter for window in windows if window.counter is not None]
        assert len(steps) == len(windows)
        assert sum(step.unplaced_kwh for step in steps) == pytest.approx(apart, abs=1e-6)
        assert sum(window.energy_kwh for window in windows) + apart == pytest.approx(
            sum(energy for _, _, energy in readings), abs=1e-6
        )
        falls = sum(after < before for (_, before, _), (_, after, _) in pairwise(readings))
        assert sum(step.resets + step.rollovers for step in steps) == falls
        assert sum(step.unknown for step in steps) == 0


@given(metered())
@settings(max_examples=100)
def test_whatever_happens_on_the_way_they_are_those_of_an_undisturbed_run_to_the_last_digit(drawn: Metered) -> None:
    straight = published_after(Story(arrival=drawn.story.arrival, events=()), plant=PLANT)
    energy = {key: (window.energy_kwh, window.counter) for key, window in straight.windows.items()}
    found = published_after(drawn.story, plant=PLANT).windows
    assert {key: (window.energy_kwh, window.counter) for key, window in found.items()} == energy


@given(st.data())
@settings(max_examples=60)
def test_any_values_in_any_order_lead_to_the_same_hours_and_never_to_less_than_no_energy(data: st.DataObject) -> None:
    """Within the time that hours take revisions; several readings a minute, and at the same instant."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count = data.draw(st.integers(1, 150))
    span = data.draw(st.sampled_from((600.0, 2.5 * HOUR)))
    times = START + np.sort(np.round(random.random(count) * span, data.draw(st.sampled_from((0, -1)))))
    registers = np.where(random.random(count) < 0.1, np.nan, np.round(random.random(count) * MODULUS, 1))
    order = random.permutation(count)

    def windows_of(places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> dict[str, object]:
        values = np.full((count, len(PLANT.sensors)), np.nan)
        values[:, _REGISTER] = registers[places]
        arrival = ReadingBatch.from_columns([f"pump-{1:02d}"] * count, times[places], values)
        cut = data.draw(st.integers(1, count))
        outputs = published_after(Story(arrival=arrival, events=((cut, "save"),)), plant=PLANT)
        assert all(window.energy_kwh >= 0 for window in outputs.windows.values())
        return outputs.hours

    assert windows_of(order) == windows_of(np.arange(count))
