"""What a worker knows of a partition, apart from any broker."""

from processor.partitions import Position


def a_partition(next_offset: int) -> Position:
    return Position(next_offset=next_offset)


def test_records_that_follow_or_repeat_are_taken() -> None:
    held = a_partition(100)
    assert held.place_of(100, reread=0) == "follows"
    assert held.place_of(40, reread=0) == "follows"


def test_records_that_run_ahead_are_read_again() -> None:
    assert a_partition(0).place_of(7000, reread=0) == "ahead"


def test_what_was_asked_for_before_a_partition_was_set_back_does_not_set_it_back_again() -> None:
    held = a_partition(100)
    assert held.place_of(200, reread=3) == "ahead"
    assert held.place_of(300, reread=3) == "outdated"
    assert held.place_of(100, reread=3) == "follows"  # the set-back took effect while this fetch was under way


def test_a_gap_is_fetched_again_as_long_as_it_is_there() -> None:
    held = a_partition(100)
    assert held.place_of(101, reread=0) == "ahead"
    assert held.place_of(101, reread=0) == "outdated"
    assert held.place_of(101, reread=1) == "ahead"
    assert held.place_of(100, reread=2) == "follows"


def test_a_gap_that_was_closed_is_fetched_again_when_it_opens_again() -> None:
    held = a_partition(100)
    assert held.place_of(200, reread=0) == "ahead"
    assert held.place_of(100, reread=1) == "follows"
    assert held.place_of(200, reread=1) == "ahead"


def test_a_position_never_goes_back() -> None:
    held = a_partition(100)
    held.advance(105)
    held.advance(103)
    assert held.next_offset == 105
