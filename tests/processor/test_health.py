"""Nothing stands still in silence: each stall is said with its remedy, and ends the process in time."""

from dataclasses import dataclass

import pytest

from processor.health import Health


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def a_health(clock: Clock, **changes: float) -> Health:
    return Health(stall_seconds=60, exit_after_seconds=180, clock=clock, **changes)  # type: ignore[arg-type]


def tell(health: Health, clock: Clock, **changes: object) -> None:
    facts = {
        "records_done": 0,
        "lag": {},
        "recovering": False,
        "loop_lag_seconds": 0.0,
        "checkpointed_at": clock.now,
        "answered_at": clock.now,
        "dead_letters": 0,
    }
    health.observe(**(facts | changes))  # type: ignore[arg-type]


def test_a_worker_without_work_is_healthy() -> None:
    clock = Clock()
    health = a_health(clock)
    for _ in range(10):
        clock.now += 60
        tell(health, clock)
    assert health.failures() == {}


def test_waiting_records_without_progress_turn_it_red_and_then_end_it() -> None:
    clock = Clock()
    health = a_health(clock)
    tell(health, clock, records_done=5, lag={0: 10})
    clock.now += 61
    tell(health, clock, records_done=5, lag={0: 10})
    assert "10 records wait" in health.failures()["agent"]
    assert health.fatal() is None
    clock.now += 120
    tell(health, clock, records_done=5, lag={0: 10})
    assert "records wait" in (health.fatal() or "")


def test_progress_heals_it() -> None:
    clock = Clock()
    health = a_health(clock)
    tell(health, clock, records_done=5, lag={0: 10})
    clock.now += 100
    tell(health, clock, records_done=5, lag={0: 10})
    tell(health, clock, records_done=6, lag={0: 9})
    assert health.failures() == {}
    assert health.fatal() is None


def test_a_recovery_that_never_ends_is_a_failure() -> None:
    clock = Clock()
    health = a_health(clock)
    tell(health, clock, recovering=True)
    clock.now += 61
    tell(health, clock, recovering=True, checkpointed_at=0.0)
    assert set(health.failures()) == {"recovery"}


def test_a_partition_that_is_assigned_but_never_read_is_a_failure_that_names_it_and_ends_the_process() -> None:
    clock = Clock()
    health = a_health(clock)
    for _ in range(62):
        tell(health, clock, pending=[3, 5])
        clock.now += 1
    assert health.failures() == {
        "recovery": "partitions 3, 5 are not ready after 62 s; check the broker and the changelog"
    }
    clock.now += 120
    tell(health, clock, pending=[3, 5])
    assert "partitions 3, 5" in (health.fatal() or "")


def test_assignments_that_follow_each_other_without_a_reading_are_one_recovery() -> None:
    clock = Clock()
    health = a_health(clock)
    for step in range(62):
        tell(health, clock, recovering=step % 5 == 0, pending=[0])
        clock.now += 1
    assert set(health.failures()) == {"recovery"}


def test_a_long_restore_that_goes_on_is_healthy() -> None:
    clock = Clock()
    health = a_health(clock)
    for step in range(10):
        tell(health, clock, pending=[0], restore_steps=step)
        clock.now += 50
    assert health.failures() == {}
    tell(health, clock)
    assert health.failures() == {}


def test_a_check_that_fails_or_passes_again_is_news_once() -> None:
    clock = Clock()
    health = a_health(clock)
    tell(health, clock)
    assert health.news() == {}
    clock.now += 61
    tell(health, clock, pending=[1])
    assert health.news() == {}, "it may be for a moment"
    clock.now += 3
    tell(health, clock, pending=[1])
    assert set(health.news()) == {"recovery"}
    assert health.news() == {}
    tell(health, clock)
    assert health.news() == {"recovery": None}
    assert health.news() == {}


def test_checkpoints_that_fail_are_a_failure_but_a_recovery_without_them_is_none() -> None:
    clock = Clock()
    health = a_health(clock)
    tell(health, clock)
    saved = clock.now
    clock.now += 61
    tell(health, clock, checkpointed_at=saved)
    assert set(health.failures()) == {"checkpoints"}
    tell(health, clock, checkpointed_at=saved, recovering=True)
    tell(health, clock, checkpointed_at=saved)
    assert health.failures() == {}


def test_a_blocked_event_loop_is_said() -> None:
    clock = Clock()
    health = a_health(clock)
    tell(health, clock, loop_lag_seconds=7.5)
    assert "7.5 s" in health.failures()["event_loop"]


@pytest.mark.parametrize(("letters", "red"), [(500, False), (700, True)])
def test_too_many_dead_letters_a_second_are_a_failure(letters: int, red: bool) -> None:  # noqa: FBT001
    clock = Clock()
    health = a_health(clock, dead_letters_per_second=10.0)
    tell(health, clock, dead_letters=0)
    clock.now += 60
    tell(health, clock, dead_letters=letters)
    assert ("dead_letters" in health.failures()) == red


def test_a_broker_that_is_away_fails_a_check_even_where_nothing_is_to_be_saved() -> None:
    clock = Clock()
    health = a_health(clock)
    tell(health, clock)
    answered = clock.now
    clock.now += 61
    tell(health, clock, answered_at=answered)
    assert health.failures() == {"broker": "no broker answered for 61 s; check the broker and the network"}
    clock.now += 120
    tell(health, clock, answered_at=answered)
    assert health.fatal() == "no broker answered for 181 s; check the broker and the network"
