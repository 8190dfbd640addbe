"""Hidden wear: it grows towards a failure, ends there or at a maintenance, and begins anew."""

import numpy as np
import pytest

from producer.chance import Chance
from producer.wear import DAY_SECONDS, Lives
from tests.producer.plants import MONDAY


def some_lives(*, seed: int = 1, least_days: float = 14.0, stagger: float = 0.5) -> Lives:
    return Lives(chance=Chance.of("lives", seed), components=3, epoch=MONDAY, least_days=least_days, stagger=stagger)


def hours(days: float) -> np.ndarray:
    return MONDAY + np.arange(int(days * 24)) * 3600.0


def test_wear_at_the_same_time_to_failure_is_alike_and_never_the_same_in_every_life() -> None:
    lives = some_lives()
    seconds = hours(2000)
    left = lives.hours_to_failure(seconds)
    worst = lives.wear(seconds).max(axis=1)
    three_days_before = worst[(left > 71) & (left < 73)]
    assert len(three_days_before) > 50
    assert 0.4 < three_days_before.mean() < 0.7
    assert 0.005 < three_days_before.std() < 0.06


@pytest.mark.parametrize(
    ("days_left", "low", "high"), [(14, 0.03, 0.15), (7, 0.18, 0.34), (3, 0.45, 0.66), (1, 0.7, 0.95)]
)
def test_wear_grows_ever_faster_towards_the_failure(days_left: int, low: float, high: float) -> None:
    lives = some_lives(seed=2)
    seconds = hours(2000)
    left = lives.hours_to_failure(seconds)
    near = abs(left - 24 * days_left) < 1
    assert low < np.median(lives.wear(seconds)[near].max(axis=1)) < high


def test_hours_to_failure_run_down_and_jump_up_only_where_a_new_life_begins() -> None:
    lives = some_lives(seed=3)
    seconds = hours(400)
    left = lives.hours_to_failure(seconds)
    life = lives.life_at(seconds)
    assert left.min() >= 0
    same = np.diff(life) == 0
    assert np.allclose(np.diff(left)[same], -1.0)
    assert (np.diff(left)[~same] > 24 * 9).all()  # a new life is at least eleven days long


def test_some_lives_end_in_maintenance_before_the_failure_and_most_do_not() -> None:
    lives = some_lives(seed=4)
    last_minute = lives.starts[1:401] - 60.0
    planned = lives.hours_to_failure(last_minute) > 1.0
    assert 0.08 < planned.mean() < 0.25


@pytest.mark.parametrize("stagger", [0.0, 0.3, 0.999])
def test_no_machine_fails_sooner_than_the_least_days(stagger: float) -> None:
    for seed in range(30):
        lives = some_lives(seed=seed, stagger=stagger, least_days=10.0)
        assert lives.starts[0] <= MONDAY
        assert lives.starts[1] >= MONDAY + 10.0 * DAY_SECONDS - 60.0


def test_where_machines_start_in_their_lives_is_spread_by_stagger() -> None:
    ages = [MONDAY - some_lives(stagger=stagger, least_days=0.0).starts[0] for stagger in (0.1, 0.5, 0.9)]
    assert ages == sorted(ages, reverse=True)
    assert ages[0] > 8 * DAY_SECONDS
