"""Values that belong together become one reading, however they are cut into records and runs."""

import math

from hypothesis import given
from hypothesis import strategies as st

from core.sources.gather import Gatherer
from core.sources.record import MappedReading, MappedValue

values = st.builds(
    MappedValue,
    machine_id=st.sampled_from(["a", "b"]),
    seconds=st.sampled_from([0.0, 1.0, 2.0]),
    column=st.sampled_from([0, 1, 2]),
    value=st.sampled_from([1.5, 2.5, math.nan]),
)


def a_gatherer(*, within: float = 0.0, wait: float = 2.0) -> Gatherer:
    return Gatherer(width=4, columns=[0, 1, 2], within=within, wait=wait)


def a_value(column: int, *, machine_id: str = "a", seconds: float = 0.0) -> MappedValue:
    return MappedValue(machine_id, seconds, column, float(column))


def shown(readings: list[MappedReading]) -> list[str]:
    return sorted(map(str, readings))


def test_a_reading_is_ready_when_all_sensors_of_the_source_spoke() -> None:
    gatherer = a_gatherer()
    gatherer.add([a_value(0), a_value(1), a_value(2, machine_id="b")], written_at=0, now=0)
    assert gatherer.ready(0) == []
    gatherer.add([a_value(2)], written_at=0.1, now=0.1)
    (reading,) = gatherer.ready(0.1)
    assert (reading.machine_id, reading.values[:3]) == ("a", [0.0, 1.0, 2.0])
    assert len(gatherer) == 1, "that of b still waits"


def test_a_reading_waits_for_the_rest_by_our_clock_or_by_that_of_later_records() -> None:
    gatherer = a_gatherer()
    gatherer.add([a_value(0)], written_at=0, now=100)
    assert gatherer.ready(101.9) == []
    assert len(gatherer.ready(102)) == 1
    gatherer.add([a_value(0)], written_at=10, now=200)
    gatherer.add([a_value(0, machine_id="b")], written_at=12, now=200)
    assert [reading.machine_id for reading in gatherer.ready(200)] == ["a"]


def test_values_close_in_time_are_one_reading_but_two_of_a_sensor_are_two() -> None:
    gatherer = a_gatherer(within=0.5)
    gatherer.add([a_value(0, seconds=0), a_value(1, seconds=0.4), a_value(0, seconds=0.5)], written_at=0, now=0)
    first, second = gatherer.flush()
    assert (first.seconds, first.values[:2]) == (0, [0.0, 1.0])
    assert second.seconds == 0.5


@given(st.lists(values, max_size=30), st.integers(0, 30))
def test_a_restart_between_two_values_changes_nothing(given_values: list[MappedValue], cut: int) -> None:
    whole = a_gatherer(wait=math.inf)
    whole.add(given_values, written_at=0, now=0)
    before, after = a_gatherer(wait=math.inf), a_gatherer(wait=math.inf)
    before.add(given_values[:cut], written_at=0, now=0)
    ready = before.ready(0)
    after.restore(before.pack(4000), now=0)
    after.add(given_values[cut:], written_at=0, now=0)
    assert shown(ready + after.ready(0) + after.flush()) == shown(whole.ready(0) + whole.flush())


def test_what_does_not_fit_is_sent_as_it_is_and_not_lost() -> None:
    gatherer = a_gatherer()
    gatherer.add([a_value(0, machine_id=f"m{number}") for number in range(500)], written_at=0, now=0)
    packed = gatherer.pack(2000)
    assert 0 < len(packed) <= 2000
    assert len(gatherer.ready(0)) + len(gatherer) == 500
