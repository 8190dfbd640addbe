"""What is saved costs what was read; what waits is bounded by time and by bytes."""

from processor.allowance import Allowance
from processor.rhythm import Rhythm


def a_rhythm(**changes: float) -> Rhythm:
    return Rhythm(
        **({"share": 2.0, "shortest": 0.0, "longest": 300.0, "most_bytes": 1_000_000, "saved_at": 0.0} | changes)  # type: ignore[arg-type]
    )


def test_few_machines_are_saved_at_every_look() -> None:
    assert a_rhythm().is_due(now=1.0, dirty=10, bytes_read=1_000)


def test_many_machines_wait_until_their_readings_are_worth_it() -> None:
    rhythm = a_rhythm()
    assert not rhythm.is_due(now=1.0, dirty=1_000, bytes_read=100_000)
    assert rhythm.is_due(now=1.0, dirty=1_000, bytes_read=250_000)


def test_the_wait_is_bounded_by_time_and_by_bytes() -> None:
    rhythm = a_rhythm()
    assert not rhythm.is_due(now=299.0, dirty=100_000, bytes_read=0)
    assert rhythm.is_due(now=300.0, dirty=100_000, bytes_read=0)
    assert rhythm.is_due(now=1.0, dirty=100_000, bytes_read=1_000_000)


def test_what_records_are_large_is_learned() -> None:
    rhythm = a_rhythm()
    assert rhythm.is_due(now=1.0, dirty=100, bytes_read=25_000)
    for _ in range(20):
        rhythm.saved(now=0.0, machines=100, size=500_000)
    assert not rhythm.is_due(now=1.0, dirty=100, bytes_read=25_000)


def test_an_allowance_has_a_burst_and_a_rate() -> None:
    now = [0.0]
    allowance = Allowance(rate=2.0, clock=lambda: now[0])
    assert [allowance.take() for _ in range(21)] == [True] * 20 + [False]
    now[0] += 1.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now[0] -= 100.0  # a clock that was set back gives nothing and takes nothing
    assert not allowance.take()
    now[0] += 0.5
    assert allowance.take()
