"""Energy by a meter's register: what each step says, and which hour it belongs to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from core.advance import advance_time
from core.energy.meter import counter_rules
from core.models import Models
from core.plant import EnergyCounter, Plant
from core.state.fleet import FleetState
from schemas.energy import CounterSteps, EnergyWindow
from tests.builders import PUMP, START, ARow, a_bare_reading, a_batch, a_plant, a_sensor, the_usual_sensors
from tests.core.streams import PublishedOutputs, close_all, restored, run_batches, saved

HOUR = 3600.0
MINUTE = 60.0


def a_counting_plant(*, power: bool = True, interval_seconds: float = 60.0, **counter: Any) -> Plant:
    """A plant whose machines have an energy counter, and draw at most 100 kW."""
    register = a_sensor(
        "register",
        unit="kWh",
        role="energy_counter",
        minimum=0.0,
        maximum=1000.0,
        counter=EnergyCounter(**{"maximum_power": 100.0, **counter}),
    )
    usual = the_usual_sensors() if power else the_usual_sensors()[1:]
    return a_plant(sensors=[*usual, register], interval_seconds=interval_seconds)


PLANT = a_counting_plant()


def at(minute: float, register: float | None, **values: float | None) -> ARow:
    return a_bare_reading(at=minute * MINUTE, register=register, **values)


def rising(first: float, last: float, *, every: float = 1.0, power: float = 30.0, begin: float = 100.0) -> list[ARow]:
    """A register between two minutes, at one power."""
    return [at(when, begin + power * (when - first) / 60) for when in np.arange(first, last, every).tolist()]


def played(rows: Sequence[ARow], plant: Plant = PLANT) -> tuple[dict[int, EnergyWindow], FleetState]:
    """The hours of one machine by number, once all of them are over."""
    outputs, state = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=Models())
    close_all(outputs, state)
    return {round((w.start.timestamp() - START) / HOUR): w for w in outputs.hours.values()}, state


def hours_of(rows: Sequence[ARow], plant: Plant = PLANT) -> dict[int, EnergyWindow]:
    return played(rows, plant)[0]


def steps_of(window: EnergyWindow) -> CounterSteps:
    assert window.counter is not None
    return window.counter


def test_an_hour_is_what_its_register_rose_by() -> None:
    window = hours_of(rising(0, 150))[1]
    assert window.energy_kwh == pytest.approx(30)
    assert window.mean_power_kw == pytest.approx(30)
    assert (window.completeness, window.readings, window.expected_readings) == (1, 60, 60)
    assert (window.peak_power_kw, window.counter) == (None, CounterSteps())


def test_a_reading_that_comes_after_its_hour_has_ended_counts_in_both_hours() -> None:
    """Power is steady, so that what the late one changes is how much of either hour is known."""
    outputs, state = run_batches(
        [a_batch(at(50, 100), at(61, 111), at(62, 112), plant=PLANT)], plant=PLANT, models=Models()
    )
    late, state = run_batches(
        [a_batch(at(59.5, 109.5), plant=PLANT, first_offset=10)], plant=PLANT, models=Models(), state=state
    )
    outputs.publish(late.windows.values())
    close_all(outputs, state)
    assert [window.energy_kwh for window in outputs.windows.values()] == pytest.approx([10, 2])


def test_where_an_hour_ends_between_two_readings_their_energy_is_divided_by_time() -> None:
    """Every 2 minutes: at 59 the register says 10, at 61 it says 12, and half of it lies on either side."""
    hours = hours_of([at(57, 9), at(59, 10), at(61, 12), at(63, 14)])
    assert hours[0].energy_kwh == pytest.approx(1 + 1)
    assert hours[1].energy_kwh == pytest.approx(1 + 2)
    assert hours[0].completeness == pytest.approx(3 / 60)


def test_a_gap_within_an_hour_is_known_by_its_register() -> None:
    """Power would have to leave the half hour empty."""
    window = hours_of([*rising(0, 15, power=20), *rising(45, 61, power=20, begin=115)])[0]
    assert window.energy_kwh == pytest.approx(115 + 5 - 100)
    assert window.completeness == pytest.approx(1)


def test_the_energy_of_a_gap_over_the_end_of_an_hour_is_known_but_not_when_it_was_drawn() -> None:
    """20 minutes and 30 kWh between the last reading of one hour and the first of the next."""
    hours = hours_of([at(40, 100), at(50, 110), at(70, 140), at(80, 142)])
    assert (hours[0].energy_kwh, hours[1].energy_kwh) == (10, 2)
    assert (hours[0].completeness, hours[1].completeness) == (pytest.approx(1 / 6), pytest.approx(1 / 6))
    assert (steps_of(hours[0]).unplaced_kwh, steps_of(hours[1]).unplaced_kwh) == (0, 30)


def test_it_is_divided_where_the_plant_file_allows_for_the_gap() -> None:
    hours = hours_of([at(40, 100), at(50, 110), at(70, 140)], a_counting_plant(longest_gap_seconds=1200))
    assert (hours[0].energy_kwh, hours[1].energy_kwh) == (25, 15)


def test_an_hour_without_a_reading_has_its_share_of_a_gap_that_is_no_longer_than_planned() -> None:
    hours = hours_of([at(50, 100), at(140, 190)], a_counting_plant(interval_seconds=3600.0))
    assert [hours[hour].energy_kwh for hour in (0, 1, 2)] == [10, 60, 20]
    assert (hours[1].readings, hours[1].completeness) == (0, 1)


def test_hours_of_a_longer_gap_are_not_invented() -> None:
    hours = hours_of([at(50, 100), at(310, 190)])
    assert hours.keys() == {0, 5}
    assert steps_of(hours[5]).unplaced_kwh == 90


def test_a_reading_on_the_hour_ends_the_one_and_begins_the_other() -> None:
    hours = hours_of([at(0, 100), at(60, 130), at(120, 170)])
    assert (hours[0].energy_kwh, hours[1].energy_kwh) == (30, 40)
    assert hours[0].completeness == hours[1].completeness == 1
    assert steps_of(hours[1]) == CounterSteps()


def test_after_a_reset_the_register_counts_from_0() -> None:
    window = hours_of([at(0, 500), at(10, 505), at(11, 0.5), at(20, 3)])[0]
    assert window.energy_kwh == pytest.approx(5 + 0.5 + 2.5)
    assert steps_of(window).resets == 1


def test_a_device_that_had_counted_elsewhere_is_unknown_energy_and_is_counted() -> None:
    window = hours_of([at(0, 500), at(10, 505), at(11, 300), at(20, 303)])[0]
    assert window.energy_kwh == pytest.approx(5 + 3)
    assert steps_of(window) == CounterSteps(unknown=1)
    assert window.completeness == pytest.approx(19 / 60)


@pytest.mark.parametrize(
    ("registers", "energy"),
    [
        ([500, 505, 0, 506, 507], 7),  # reads 0 once and comes back
        ([500, 505, 0, 0, 506, 507], 7),
        ([500, 505, 9000, 506, 507], 7),  # reads far too much once
        ([500, 505, 504, 505, 506, 507], 7),  # falls by a step
        ([500, 505, 499, 500, 501], 7),  # falls for good by less than a tenth
    ],
)
def test_a_wrong_reading_that_is_taken_back_is_no_energy_and_no_step(registers: list[float], energy: float) -> None:
    window = hours_of([at(5 * i, register) for i, register in enumerate(registers)])[0]

    assert window.energy_kwh == pytest.approx(energy)
    assert steps_of(window) == CounterSteps()


@pytest.mark.parametrize("wrong", [58, 59, 60, 61])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_wrong_reading_at_the_end_of_an_hour_changes_neither_hour(wrong: int, *, backwards: bool) -> None:
    rows = [at(minute, 0 if minute == wrong else 500 + minute) for minute in range(130)]
    hours = hours_of(rows[::-1] if backwards else rows)

    assert [hours[hour].energy_kwh for hour in (0, 1)] == pytest.approx([60, 60])
    assert steps_of(hours[0]) == steps_of(hours[1]) == CounterSteps()


def test_a_register_rolls_over_at_its_modulus() -> None:
    window = hours_of([at(0, 998), at(2, 999.5), at(4, 0.5), at(6, 2)], a_counting_plant(modulus=1000.0))[0]
    assert window.energy_kwh == pytest.approx(4)
    assert steps_of(window) == CounterSteps(rollovers=1)


def test_far_from_its_modulus_a_fall_is_a_reset() -> None:
    window = hours_of([at(0, 500), at(2, 0.5)], a_counting_plant(modulus=1000.0))[0]
    assert (window.energy_kwh, steps_of(window)) == (0.5, CounterSteps(resets=1))


def test_a_step_of_the_register_is_believed_however_short_the_time() -> None:
    """It counts in steps of 10 kWh, one of which comes between two seconds."""
    rows = [at(0, 100), at(0.99, 100), at(1.01, 110), at(5, 110)]
    assert hours_of(rows, a_counting_plant(resolution=10.0))[0].energy_kwh == 10
    assert steps_of(hours_of(rows)[0]).unknown == 1


class TestBesidePower:
    def test_the_counter_goes_before_power(self) -> None:
        window = hours_of([at(minute, 100 + minute / 2, power=50.0) for minute in range(62)])[0]
        assert (window.energy_kwh, window.peak_power_kw) == (pytest.approx(30), 50)
        assert window.counter is not None

    def test_an_hour_in_which_it_says_little_goes_by_power(self) -> None:
        window = hours_of([at(minute, 100.0 if minute < 10 else None, power=50.0) for minute in range(60)])[0]
        assert (window.energy_kwh, window.completeness, window.counter) == (50, 1, None)

    def test_a_plant_without_a_counter_says_nothing_of_one(self) -> None:
        plant = a_plant()
        outputs, state = run_batches([a_batch(a_bare_reading(power=30.0), plant=plant)], plant=plant, models=Models())
        close_all(outputs, state)
        [window] = outputs.windows.values()
        assert window.counter is None

    def test_a_plant_may_have_a_counter_and_no_power(self) -> None:
        assert hours_of(rising(0, 150), a_counting_plant(power=False))[1].energy_kwh == pytest.approx(30)


class TestPublishing:
    """Hours of a machine that says its register every 15 minutes, longest gap 30 minutes, grace 2 minutes.

    register |0   15   30   45   |60-
    closes                         ^ when the reading after the hour came, or 30 + 2 minutes after the last one
    """

    plant = a_counting_plant(interval_seconds=900.0)

    def run_batches(
        self, *rows: ARow, state: FleetState | None = None, first_offset: int = 0
    ) -> tuple[list[EnergyWindow], FleetState]:
        batch = a_batch(*rows, plant=self.plant, first_offset=first_offset)
        outputs, state = run_batches([batch], plant=self.plant, models=Models(), state=state)
        return [window for window in outputs.windows.values() if window.machine_id == PUMP], state

    def test_an_hour_waits_for_the_reading_that_completes_it(self) -> None:
        _, state = self.run_batches(*rising(5, 60, every=15))
        others = a_bare_reading("pump-02", at=64 * MINUTE)
        closed, state = self.run_batches(others, state=state, first_offset=10)
        assert closed == []
        closed, _ = self.run_batches(at(65, 130), state=state, first_offset=20)
        [window] = closed
        assert (window.revision, window.completeness) == (0, pytest.approx(55 / 60))

    def by_the_clock(self, state: FleetState, minute: float) -> list[EnergyWindow]:
        """What closes when nothing more has come by this minute."""
        now = START + minute * MINUTE
        return list(advance_time(state, plant=self.plant, now=now, idle_seconds=1900).energy_windows)

    def test_it_does_not_wait_longer_than_the_reading_could_help(self) -> None:
        _, state = self.run_batches(*rising(5, 60, every=15))
        assert self.by_the_clock(state, 81.9) == []
        assert [(window.revision, window.final) for window in self.by_the_clock(state, 82)] == [(0, False)]
        # it helps whenever it comes, and one beyond the gap changes nothing
        late, _ = self.run_batches(at(79, 140), state=state, first_offset=30)
        assert [(window.revision, window.final) for window in late] == [(1, True)]

    def test_a_reading_beyond_the_longest_gap_says_only_that_the_hour_is_final(self) -> None:
        _, state = self.run_batches(*rising(5, 60, every=15))
        [first] = self.by_the_clock(state, 82)
        [second], _ = self.run_batches(at(90, 140), at(95, 141), state=state, first_offset=20)
        assert second == first.model_copy(update={"revision": 1, "final": True})

    def test_the_energy_of_a_silence_of_days_is_told_when_the_machine_is_back(self) -> None:
        _, state = self.run_batches(*rising(5, 60, every=15))
        outputs = PublishedOutputs()
        outputs.publish(advance_time(state, plant=self.plant, now=START + 9e5, idle_seconds=1e6).energy_windows)
        state = restored(saved(state), plant=self.plant)
        _, state = self.run_batches(at(5 * 1440, 400), at(5 * 1440 + 30, 401), state=state, first_offset=20)
        last = PublishedOutputs()
        close_all(last, state)
        [window] = last.windows.values()
        assert steps_of(window).unplaced_kwh == pytest.approx(400 - 122.5)


class TestState:
    def test_records_of_before_there_were_counters_are_restored(self) -> None:
        """The plant file gets a counter; hours that are open go on by power."""
        old = a_plant()
        _, state = run_batches(
            [a_batch(*[a_bare_reading(at=m * MINUTE, power=30.0) for m in range(30)], plant=old)],
            plant=old,
            models=Models(),
        )
        state = restored(saved(state), plant=PLANT)
        rows = [at(m, 100 + m / 2, power=30.0) for m in range(30, 70)]
        outputs, state = run_batches(
            [a_batch(*rows, plant=PLANT, first_offset=100)], plant=PLANT, models=Models(), state=state
        )
        close_all(outputs, state)
        first = outputs.hours[f"{PUMP}@2026-01-01T00:00:00Z"]
        assert (first.readings, first.energy_kwh, first.completeness) == (60, 15, 0.5)

    def test_a_plant_file_that_lost_its_counter_restores_what_was_kept(self) -> None:
        _, state = run_batches([a_batch(*rising(0, 30), plant=PLANT)], plant=PLANT, models=Models())
        state = restored(saved(state), plant=a_plant())
        outputs = PublishedOutputs()
        close_all(outputs, state)
        [window] = outputs.windows.values()
        assert (window.readings, window.counter) == (30, None)


def test_the_rules_come_from_the_plant_file() -> None:
    plant = a_plant(sensors=[*the_usual_sensors(), a_sensor("r", unit="kWh", role="energy_counter", minimum=0.0)])
    rules = counter_rules(plant)
    assert rules is not None
    assert (rules.modulus, rules.resolution, rules.maximum_power, rules.longest_gap) == (None, 1.0, 500.0, 120.0)
    assert counter_rules(a_plant()) is None
