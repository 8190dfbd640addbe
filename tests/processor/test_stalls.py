"""A partition that stands still although more follows is noticed, with growing patience."""

from processor.stalls import FIRST_PATIENCE, Stalls


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_partition_that_stands_with_records_waiting_is_named_again_and_again_less_often() -> None:
    clock = Clock()
    stalls = Stalls(clock)
    named = []
    for second in range(60):
        clock.now = float(second)
        if stalls.stalled("readings", {3: 100, 4: 50}, {3: 7, 4: 0}):
            named.append(second)
    assert named == [FIRST_PATIENCE, 3 * FIRST_PATIENCE, 7 * FIRST_PATIENCE]


def test_a_partition_that_moves_is_left_alone_and_topics_are_apart() -> None:
    clock = Clock()
    stalls = Stalls(clock)
    for second in range(30):
        clock.now = float(second)
        assert not stalls.stalled("readings", {3: 100 + second}, {3: 7})
    assert not stalls.stalled("history", {3: 129}, {3: 7})


def test_a_partition_that_was_given_up_begins_anew() -> None:
    clock = Clock()
    stalls = Stalls(clock)
    assert not stalls.stalled("readings", {3: 100}, {3: 7})
    assert not stalls.stalled("readings", {}, {})
    clock.now = 100.0
    assert not stalls.stalled("readings", {3: 100}, {3: 7})
