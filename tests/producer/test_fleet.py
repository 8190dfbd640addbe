"""Simulated machines: the same in parts as in the whole, plausible, and learnable from slow averages."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.plant import parse_plant
from producer.faults import InjectedFault
from producer.fleet import Fleet
from producer.physics import machine_ids
from producer.shifts import IDLE, MAINTENANCE, OFF, RUNNING
from runtime.errors import UsageError
from runtime.plants import load_plant
from tests.producer.plants import DAY, MONDAY, a_fleet, default_plant

POWER, TEMPERATURE, VIBRATION, RUNTIME, PRODUCTION = range(5)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.sets(st.integers(1, 3 * 288 - 1), max_size=5),
    fault_share=st.sampled_from([0.0, 0.1]),
)
def test_chunks_are_the_whole_to_the_last_bit(seed: int, cuts: set[int], fault_share: float) -> None:
    seconds = MONDAY + np.arange(3 * 288) * 300.0
    whole = a_fleet(seed=seed, fault_share=fault_share).observe(seconds)
    parted = a_fleet(seed=seed, fault_share=fault_share)
    pieces = [parted.observe(part) for part in np.split(seconds, sorted(cuts))]
    assert np.concatenate([piece.values for piece in pieces]).tobytes() == whole.values.tobytes()
    assert np.concatenate([piece.kinds for piece in pieces]).tobytes() == whole.kinds.tobytes()


def test_what_came_before_does_not_matter() -> None:
    late = MONDAY + 40 * DAY + np.arange(288) * 300.0
    looked_first = a_fleet()
    looked_first.observe(MONDAY + np.arange(300) * 1800.0)
    assert looked_first.observe(late).values.tobytes() == a_fleet().observe(late).values.tobytes()


def test_more_machines_do_not_change_those_that_were_there() -> None:
    seconds = MONDAY + np.arange(288) * 300.0
    few, many = a_fleet(machines=3).observe(seconds), a_fleet(machines=7).observe(seconds)
    assert (few.values == many.values[:, :3]).all()


def test_a_history_by_minutes_goes_on_by_seconds_without_a_jump() -> None:
    fleet = a_fleet(machines=8, interval_seconds=60.0, running_from=MONDAY)
    now = MONDAY + 9.5 * 3600
    before = fleet.observe(now - 60.0 * np.arange(30, 0, -1)).values
    after = fleet.observe(now + np.arange(60)).values
    spread = before.std(axis=0)
    moved = abs(after[:30].mean(axis=0) - before.mean(axis=0))
    for column in (POWER, TEMPERATURE, VIBRATION, PRODUCTION):
        assert (moved[:, column] < 2.0 * spread[:, column]).all()
    # and running hours count the seconds
    assert np.allclose(after[-1, :, RUNTIME] - after[0, :, RUNTIME], 59 / 3600, atol=2e-3)


def test_machines_differ_by_type_and_are_named_by_the_plant_file() -> None:
    assert a_fleet(machines=4).machine_ids == ("press-01", "pump-01", "compressor-01", "press-02")
    # names keep their order when there are many
    assert a_fleet(machines=400).machine_ids[-1] == "press-134"
    observed = a_fleet(machines=3).observe(MONDAY + 10 * 3600 + np.arange(12) * 300.0)
    press, pump, compressor = observed.values[:, :, POWER].mean(axis=0)
    assert 40 < press < 70
    assert 20 < pump < 45
    assert 70 < compressor < 105


def test_shifts_idle_hours_and_nights_are_seen_in_power_as_the_plant_file_reads_it() -> None:
    fleet = a_fleet(machines=6)
    observed = fleet.observe(MONDAY + np.arange(14 * 288) * 300.0)
    for index, machine in enumerate(fleet.machine_ids):
        kind = default_plant().type_of(machine)
        assert kind is not None
        power, state = observed.values[:, index, POWER], observed.states[:, index]
        assert (power[state == OFF] < kind.off_below).all()
        assert (power[state == MAINTENANCE] < kind.off_below).all()
        assert (power[state == IDLE] < kind.idle_below).all()
        assert (power[state == IDLE] >= kind.off_below).all()
        assert (power[state == RUNNING] > 1.3 * kind.idle_below).all()
    press = observed.states[:, 0].reshape(14, 288)
    sunday = press[6]
    assert (sunday == OFF).mean() > 0.9
    assert 0.6 < (press[1] == RUNNING).mean() < 0.7  # two shifts of eight hours with breaks


def test_shifts_are_meant_in_the_plants_own_time_across_a_change_of_clocks() -> None:
    fleet = a_fleet(machines=1, epoch=MONDAY)

    def first_running_minute(midnight: float) -> float:
        states = fleet.observe(midnight + np.arange(600) * 60.0).states[:, 0]
        return float(np.flatnonzero(states == RUNNING)[0])

    friday_before, friday_after = MONDAY + 81 * DAY, MONDAY + 88 * DAY  # clocks change on 2025-03-30 in Berlin
    assert first_running_minute(friday_before) - first_running_minute(friday_after) == pytest.approx(60, abs=25)


def test_temperature_follows_power_with_a_lag() -> None:
    values = a_fleet(machines=1).observe(MONDAY + 4 * 3600 + np.arange(300) * 60.0).values[:, 0]
    power, temperature = values[:, POWER], values[:, TEMPERATURE]
    start = int(np.flatnonzero(power > 30)[0])
    assert temperature[start + 1] < 35
    assert temperature[start + 20] - temperature[start + 1] > 10
    assert temperature[start + 150] > 50


def test_production_follows_load_and_stands_with_the_machine() -> None:
    observed = a_fleet(machines=2).observe(MONDAY + np.arange(5 * 288) * 300.0)
    for index in range(2):
        values, state = observed.values[:, index], observed.states[:, index]
        assert (values[state != RUNNING, PRODUCTION] == 0).all()
        running = state == RUNNING
        assert np.corrcoef(values[running, POWER], values[running, PRODUCTION])[0, 1] > 0.6


def test_running_hours_count_running_time_and_start_again_after_maintenance() -> None:
    fleet = a_fleet(machines=2, least_days=1.0)
    seconds = MONDAY + np.arange(60 * 1440) * 60.0
    observed = fleet.observe(seconds)
    for index in range(2):
        hours = observed.values[:, index, RUNTIME]
        life = fleet.timelines[index].lives.life_at(seconds)
        resets = np.flatnonzero(np.diff(hours) < 0)
        assert (resets == np.flatnonzero(np.diff(life))).all()
        assert len(resets) > 0
        assert (hours[resets + 1] == 0).all()
        stretch = slice(resets[0] + 1, resets[0] + 1 + 5 * 1440)
        counted = np.cumsum(observed.states[stretch, index] == RUNNING) / 60.0
        assert np.allclose(hours[stretch][1:], counted[:-1], atol=1e-3)


def test_vibration_rises_in_the_last_days_before_a_failure_and_is_new_after_it() -> None:
    fleet = a_fleet(machines=8)
    observed = fleet.observe(MONDAY + np.arange(120 * 48) * 1800.0)
    ratios = []
    for index in range(8):
        running = observed.states[:, index] == RUNNING
        left = observed.hours_to_failure[running, index]
        vibration = observed.values[running, index, VIBRATION]
        healthy = vibration[left > 15 * 24].mean()
        ratios.append(
            [vibration[(left < high) & (left >= low)].mean() / healthy for low, high in ((144, 192), (60, 84), (2, 26))]
        )
    week, three_days, day = np.mean(ratios, axis=0)
    assert 1.1 < week < 1.35
    assert 1.35 < three_days < 1.75
    assert 1.65 < day < 2.0


def test_always_running_machines_never_stand_from_then_on() -> None:
    night = MONDAY + 6 * DAY + 2 * 3600  # Sunday
    seconds = night + np.arange(-180, 180) * 60.0
    states = a_fleet(machines=6, running_from=night).observe(seconds).states
    assert (states[180:] == RUNNING).all()
    assert (states[:180] != RUNNING).any()


def test_a_scripted_fault_is_seen_between_its_start_and_its_end_only() -> None:
    fleet = a_fleet(machines=3, running_from=MONDAY)
    now = MONDAY + DAY
    seconds = now + np.arange(60.0)
    fault = InjectedFault(
        machine_id="pump-01", kind="overheat", start=now + 20, end=now + 32, sensors=("temperature",), strength=0.2
    )
    clean, spoilt = fleet.observe(seconds), fleet.observe(seconds, scripted=[fault])
    differs = (clean.values != spoilt.values).any(axis=2)
    assert not differs[:, [0, 2]].any()
    assert (np.flatnonzero(differs[:, 1]) == np.arange(20, 32)).all()
    assert (np.flatnonzero(spoilt.kinds[:, 1]) == np.arange(20, 32)).all()
    raised = (spoilt.values - clean.values)[20:32, 1, TEMPERATURE]
    assert raised[0] > 8
    assert raised[-1] > 25


def test_readings_before_the_beginning_are_refused() -> None:
    with pytest.raises(ValueError, match="before the beginning"):
        a_fleet().observe(np.array([MONDAY - 1.0]))


def test_a_plant_without_power_cannot_be_simulated_and_says_why() -> None:
    fleet = Fleet(plant=load_plant(Path("skab")), machines=2, seed=1, epoch=MONDAY, interval_seconds=1.0)
    with pytest.raises(UsageError, match=r"'skab' cannot be simulated: no sensor has the role power.*replay"):
        fleet.observe(np.array([MONDAY]))


def test_a_plant_of_ones_own_with_other_sensors_is_simulated_within_their_range() -> None:
    plant = parse_plant(
        'name = "own"\ntimezone = "America/New_York"\ninterval_seconds = 10\n'
        '[[sensors]]\nname = "load_kw"\nunit = "kW"\nrole = "power"\nminimum = 0\nmaximum = 100\n'
        '[[sensors]]\nname = "pressure"\nunit = "bar"\nminimum = 2\nmaximum = 12\n',
        source="own.toml",
    )
    fleet = Fleet(plant=plant, machines=2, seed=3, epoch=MONDAY, interval_seconds=10.0, fault_share=0.05)
    values = fleet.observe(MONDAY + np.arange(2 * 288) * 300.0).values
    assert fleet.machine_ids == ("machine-01", "machine-02")
    assert values[..., 0].max() > 30
    assert 2 <= values[..., 1].min() < values[..., 1].max() <= 12


def test_a_pattern_that_names_no_machine_of_its_own_is_refused() -> None:
    plant = parse_plant(
        'name = "own"\ntimezone = "UTC"\ninterval_seconds = 10\n'
        '[[sensors]]\nname = "p"\nunit = "kW"\nrole = "power"\nminimum = 0\nmaximum = 100\n'
        '[[machine_types]]\nname = "only"\nmachines = ["the-one"]\n',
        source="own.toml",
    )
    assert machine_ids(plant, 1) == ("the-one",)
    with pytest.raises(UsageError, match="press-"):
        machine_ids(plant, 2)
    with pytest.raises(UsageError, match="at least 1"):
        machine_ids(plant, 0)
