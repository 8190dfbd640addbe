"""Hourly energy: exact whatever the order, honest about gaps, published when the hour is over."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.advance import advance_time
from core.assess import assess
from core.energy.closing import closing_of
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from schemas.energy import EnergyWindow
from tests.builders import PUMP, START, ARow, a_bare_reading, a_batch, a_plant, a_sensor, the_usual_sensors
from tests.core.streams import PublishedOutputs, close_all, restored, run_batches, saved

PLANT = a_plant(
    sensors=[*the_usual_sensors(), a_sensor("output", unit="units/h", role="production")],
    energy={"grace_seconds": 120.0},
)
HOUR = 3600.0


def at(hours: float) -> datetime:
    return datetime.fromtimestamp(START + HOUR * hours, UTC)


def steady(
    first: float, last: float, *, every: float = 60.0, power: float | None = 30.0, machine_id: str = PUMP
) -> list[ARow]:
    """Readings of one power from `first` to before `last`, in seconds."""
    return [a_bare_reading(machine_id, at=float(when), power=power) for when in np.arange(first, last, every)]


def hours_of(rows: Sequence[ARow], plant: Plant = PLANT) -> dict[datetime, EnergyWindow]:
    """The hours of one machine, once all of them are over."""
    outputs, state = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=Models())
    close_all(outputs, state)
    return {window.start: window for window in outputs.hours.values()}


def the_hour_of(rows: Sequence[ARow]) -> EnergyWindow:
    [window] = hours_of(rows).values()
    return window


def test_an_hour_at_one_power_is_that_many_kilowatt_hours() -> None:
    window = the_hour_of(steady(0, HOUR))
    assert (window.start, window.end) == (at(0), at(1))
    assert (window.energy_kwh, window.mean_power_kw, window.peak_power_kw) == (30, 30, 30)
    assert (window.readings, window.expected_readings, window.completeness) == (60, 60, 1)
    assert window.revision == 0
    assert window.production is None


def three_hours(every: float, begin: float, power: float) -> tuple[float, float]:
    """Energy and hours covered of the three whole hours within a longer stretch of one power."""
    plant = PLANT.model_copy(update={"interval_seconds": every})
    hours = hours_of(steady(begin, 4 * HOUR + begin, every=every, power=power), plant)
    whole = [window for start, window in hours.items() if at(0) < start < at(4)]
    assert len(whole) == 3
    return sum(window.energy_kwh for window in whole), sum(window.completeness for window in whole)


begins = st.floats(0, 900)
powers = st.floats(-400, 400).map(lambda power: round(power, 3))


@given(st.sampled_from((5.0, 12.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0)), begins, powers)
@settings(max_examples=30)
def test_hours_at_one_power_add_up_to_its_exact_integral(every: float, begin: float, power: float) -> None:
    energy_kwh, covered = three_hours(every, begin, power)
    assert covered == pytest.approx(3)
    assert energy_kwh == pytest.approx(3 * power)


@given(st.floats(10, 1800), begins, powers)
@settings(max_examples=30)
def test_a_sampling_that_no_hour_divides_costs_at_most_one_interval_an_hour_and_invents_nothing(
    every: float, begin: float, power: float
) -> None:
    energy_kwh, covered = three_hours(every, begin, power)
    assert 3 - 3 * (every + 60) / HOUR <= covered < 3 + 1e-9
    assert energy_kwh == pytest.approx(power * covered)


def test_readings_of_five_minutes_fill_the_hour() -> None:
    window = the_hour_of(steady(0, HOUR, every=300))
    assert (window.energy_kwh, window.readings, window.expected_readings, window.completeness) == (30, 12, 12, 1)


def test_a_reading_a_second_weighs_as_much_as_a_reading_a_minute() -> None:
    """Half an hour at 10 kW told every minute, half an hour at 50 kW told every second."""
    window = the_hour_of([*steady(0, 1800, power=10), *steady(1800, HOUR, power=50, every=1)])
    assert window.energy_kwh == pytest.approx(30)
    assert window.mean_power_kw == pytest.approx(30)
    assert window.readings == 30 + 1800


def test_a_gap_stays_empty() -> None:
    """10 kW for ten minutes, nothing for half an hour, 40 kW for twenty minutes."""
    window = the_hour_of([*steady(0, 600, power=10), *steady(2400, HOUR, power=40)])
    assert window.completeness == 0.5
    assert window.energy_kwh == pytest.approx(10 / 6 + 40 / 3)
    assert window.mean_power_kw == pytest.approx(2 * window.energy_kwh)
    assert (window.readings, window.expected_readings) == (30, 60)


def test_a_single_missing_reading_is_bridged() -> None:
    rows = steady(0, HOUR)
    for missing in (0, 30, 59):
        window = the_hour_of(rows[:missing] + rows[missing + 1 :])
        assert window.completeness == pytest.approx(1 if missing else 59 / 60)


@pytest.mark.parametrize("minutes", [(0,), (0, 40), (0, 1, 40), (5, 30)])
def test_a_few_stray_readings_are_no_complete_hour(minutes: tuple[int, ...]) -> None:
    """A machine that is to speak every minute, and says next to nothing."""
    window = the_hour_of([a_bare_reading(at=60.0 * minute, power=30.0) for minute in minutes])
    assert window.completeness == pytest.approx(len(minutes) / 60)
    assert window.energy_kwh == pytest.approx(30 * len(minutes) / 60)
    assert (window.readings, window.expected_readings) == (len(minutes), 60)


def test_a_machine_that_is_to_speak_twice_an_hour_completes_it_with_two_readings() -> None:
    rows = [a_bare_reading(at=60.0 * minute, power=30.0) for minute in (0, 30)]
    [window] = hours_of(rows, PLANT.model_copy(update={"interval_seconds": 1800.0})).values()
    assert (window.energy_kwh, window.completeness, window.expected_readings) == (30, 1, 2)


def test_an_hour_that_a_machine_joins_late_is_incomplete() -> None:
    window = the_hour_of(steady(45 * 60, HOUR))
    assert window.completeness == 0.25
    assert window.energy_kwh == pytest.approx(7.5)


def test_power_fed_back_counts_negative() -> None:
    window = the_hour_of([*steady(0, 1800, power=20), *steady(1800, HOUR, power=-10)])
    assert window.energy_kwh == pytest.approx(5)
    assert window.peak_power_kw == 20


def test_readings_without_power_are_counted_and_give_no_energy() -> None:
    window = the_hour_of(steady(0, HOUR, power=None))
    assert (window.energy_kwh, window.mean_power_kw, window.peak_power_kw) == (0, None, None)
    assert (window.readings, window.completeness) == (60, 0)


def test_production_is_what_was_made_in_the_hour() -> None:
    rows = [a_bare_reading(at=60.0 * minute, power=30.0, output=120.0) for minute in range(60)]
    assert the_hour_of(rows).production == pytest.approx(120)
    assert the_hour_of(rows[:30]).production == pytest.approx(60)


@given(st.data())
@settings(max_examples=40)
def test_any_order_of_arrival_leads_to_the_same_hours(data: st.DataObject) -> None:
    """Within the time that hours take revisions."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    times = np.sort(random.integers(0, 3 * 3600, data.draw(st.integers(1, 200))))
    powers = np.where(random.random(len(times)) < 0.1, np.nan, random.normal(50, 30, len(times)))
    rows = [
        a_bare_reading(at=float(when), power=None if np.isnan(power) else float(power))
        for when, power in zip(times, powers, strict=True)
    ]
    shuffled = [rows[position] for position in random.permutation(len(rows))]
    assert hours_of(shuffled) == hours_of(rows)


class TestPublishing:
    """Hours, with 120 s of grace and 2 h of revisions.

    10 kW    |hour 0          |hour 1          |hour 2          |hour 3
    closes                      ^ 01:02
    takes revisions             ----------------------------------^ 03:02
    """

    def run_batches(
        self, *rows: ARow, state: FleetState | None = None, first_offset: int = 0
    ) -> tuple[PublishedOutputs, FleetState]:
        batch = a_batch(*rows, plant=PLANT, first_offset=first_offset)
        return run_batches([batch], plant=PLANT, models=Models(), state=state)

    def test_an_hour_is_published_when_its_grace_is_over(self) -> None:
        outputs, state = self.run_batches(*steady(0, HOUR + 120))
        assert not outputs.windows
        outputs, _ = self.run_batches(*steady(HOUR + 120, HOUR + 180), state=state, first_offset=100)
        assert [window.start for window in outputs.windows.values()] == [at(0)]

    def test_it_is_published_once(self) -> None:
        outputs, state = self.run_batches(*steady(0, 2 * HOUR))
        assert len(outputs.windows) == 1
        assert closing_of(PLANT).by_own_time(state.windows, [PUMP], np.array([0]), state.tracks.last_seen) == []

    def test_late_readings_revise_it(self) -> None:
        rows = steady(0, HOUR)
        outputs, state = self.run_batches(*rows[:30], *rows[40:], *steady(HOUR, 2 * HOUR))
        [first] = outputs.windows.values()
        outputs, _ = self.run_batches(*rows[30:40], state=state, first_offset=200)
        assert not outputs.windows
        [second] = advance_time(state, plant=PLANT, now=START + 2 * HOUR, idle_seconds=0).energy_windows
        assert (first.revision, second.revision) == (0, 1)
        assert (first.completeness, second.completeness) == (pytest.approx(50 / 60), 1)
        assert second.key == first.key

    def test_readings_that_come_too_late_are_counted_and_change_nothing(self) -> None:
        outputs, state = self.run_batches(*steady(0, HOUR), *steady(3 * HOUR, 3 * HOUR + 240))
        assert outputs.late == 0
        late, state = self.run_batches(*steady(0, 600), state=state, first_offset=200)
        assert (late.late, late.windows) == (10, {})
        assert {hour for _, hour in state.windows} == {int(START / HOUR) + 3}

    def test_the_last_moment_for_a_late_reading(self) -> None:
        _, state = self.run_batches(*steady(0, HOUR), *steady(3 * HOUR, 3 * HOUR + 121))
        outputs, _ = self.run_batches(*steady(0, 60), state=state, first_offset=200)
        assert outputs.late == 0

    def test_a_machine_that_was_cut_off_finds_its_hours_as_it_left_them(self) -> None:
        """pump-02 goes on; pump-01 comes back after six hours and first sends what it kept."""
        _, state = self.run_batches(*steady(0, 1800), *steady(0, 6 * HOUR, machine_id="pump-02"))
        outputs, state = self.run_batches(*steady(1800, 2 * HOUR), state=state, first_offset=1000)
        assert outputs.late == 0
        window = outputs.windows[f"{PUMP}@2026-01-01T00:00:00Z"]
        assert (window.revision, window.readings, window.completeness) == (0, 60, 1)

    def test_a_clock_that_runs_ahead_does_not_make_others_late(self) -> None:
        _, state = self.run_batches(*steady(0, 1800), *steady(9 * HOUR, 9 * HOUR + 60, machine_id="pump-02"))
        outputs, _ = self.run_batches(*steady(1800, HOUR + 180), state=state, first_offset=1000)
        assert outputs.late == 0
        assert outputs.windows[f"{PUMP}@2026-01-01T00:00:00Z"].completeness == 1

    def test_a_partition_without_readings_closes_its_hours_by_the_clock(self) -> None:
        _, state = self.run_batches(*steady(0, HOUR))
        assert not advance_time(state, plant=PLANT, now=START + HOUR + 400, idle_seconds=299).energy_windows
        assert not advance_time(state, plant=PLANT, now=START + HOUR + 119, idle_seconds=300).energy_windows
        [window] = advance_time(state, plant=PLANT, now=START + HOUR + 120, idle_seconds=300).energy_windows
        assert window.completeness == 1
        assert not advance_time(state, plant=PLANT, now=START + 2 * HOUR, idle_seconds=4000).energy_windows

    def test_an_hour_closed_by_the_clock_goes_on_when_the_readings_do(self) -> None:
        """Recorded readings are replayed with a pause: their time is years behind the clock."""
        _, state = self.run_batches(*steady(0, 1800))
        [first] = advance_time(state, plant=PLANT, now=START + 1e8, idle_seconds=600).energy_windows
        outputs, _ = self.run_batches(*steady(1800, 2 * HOUR), state=state, first_offset=100)
        second = outputs.windows[first.key]
        assert (second.revision, second.readings, second.completeness) == (1, 60, 1)

    def test_what_was_published_stays_published_over_a_restart(self) -> None:
        _, state = self.run_batches(*steady(0, HOUR))
        records = saved(state)
        [first] = advance_time(state, plant=PLANT, now=START + 2 * HOUR, idle_seconds=3600).energy_windows
        assert (first.revision, first.final) == (0, False)
        # pump-01 sent nothing more, but its hour went out meanwhile
        state = restored(records + saved(state), plant=PLANT)
        outputs, _ = self.run_batches(*steady(2 * HOUR, 2 * HOUR + 60), state=state, first_offset=400)
        [second] = outputs.windows.values()
        assert (second.revision, second.final) == (1, True)

    def test_a_clock_that_runs_ahead_closes_no_hour_of_the_others(self) -> None:
        """pump-02 is an hour ahead; all windows of pump-01 come once, complete and final."""
        rows = [
            row
            for minute in range(200)
            for row in (
                a_bare_reading(at=60.0 * minute, power=50.0),
                a_bare_reading("pump-02", at=60.0 * minute + 3599, power=50.0),
            )
        ]
        state, published = FleetState(PLANT), []
        for first in range(0, len(rows), 2):
            batch = a_batch(*rows[first : first + 2], plant=PLANT, first_offset=first)
            published += assess(batch, state=state, models=Models(), plant=PLANT).energy_windows
            published += advance_time(state, plant=PLANT, now=START + 30.0 * first, idle_seconds=0).energy_windows
        own = [window for window in published if window.machine_id == PUMP]
        assert [(window.start, window.completeness, window.final) for window in own] == [
            (at(hour), 1, True) for hour in range(3)
        ]

    def test_a_window_is_revised_once_a_minute_at_most(self) -> None:
        rows = steady(0, HOUR)
        _, state = self.run_batches(*rows[:30], *rows[50:], *steady(HOUR, 2 * HOUR))
        revisions = []
        for number, row in enumerate(rows[30:50]):
            _, state = self.run_batches(row, state=state, first_offset=200 + number)
            now = START + 3 * HOUR + 10 * number
            revisions += advance_time(state, plant=PLANT, now=now, idle_seconds=0).energy_windows
        revisions += advance_time(state, plant=PLANT, now=START + 4 * HOUR, idle_seconds=0).energy_windows
        assert [window.revision for window in revisions] == [1, 2, 3, 4, 5]
        assert [window.readings for window in revisions] == [41, 47, 53, 59, 60]
