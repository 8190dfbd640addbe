"""What a worker knows of a partition, apart from any broker."""

from core.state import FleetState
from processor.pipeline import Partition
from runtime.plants import load_plant


def a_partition(next_offset: int) -> Partition:
    return Partition(number=0, state=FleetState(load_plant(None)), heard_at=0.0, next_offset=next_offset)


def test_records_that_follow_or_repeat_are_taken() -> None:
    held = a_partition(100)
    assert held.missing_before(100, reread=0) is None
    assert held.missing_before(40, reread=0) is None


def test_records_that_run_ahead_are_read_again_from_where_we_are() -> None:
    assert a_partition(0).missing_before(7000, reread=0) == 0


def test_a_gap_is_believed_only_after_it_was_read_again() -> None:
    held = a_partition(100)
    assert held.missing_before(101, reread=0) == 100
    assert held.missing_before(101, reread=0) == 100  # a second fetch left over from before
    assert held.missing_before(101, reread=1) is None


def test_another_gap_at_the_same_place_is_read_again_as_well() -> None:
    held = a_partition(100)
    assert held.missing_before(105, reread=0) == 100
    assert held.missing_before(103, reread=1) == 100
