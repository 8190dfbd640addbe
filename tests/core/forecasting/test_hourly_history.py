"""Hours of a machine: the same in whatever order they come, and as often."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.forecasting.hourly_history import IMPORTED, MEASURED, HourlyHistory, energy_of
from tests.builders import a_window

FIRST = 490_000
MEASURED_ONE = st.tuples(st.integers(0, 60), st.integers(0, 5).map(float), st.just(MEASURED))
IMPORTED_ONE = st.tuples(st.integers(0, 60), st.integers(0, 5).map(float), st.just(IMPORTED))


def a_history(*values: float, capacity: int = 1000, source: int = MEASURED) -> HourlyHistory:
    history = HourlyHistory(capacity)
    for hour, value in enumerate(values):
        history.put(FIRST + hour, value, source)
    return history


def test_an_hour_is_what_was_put_there_and_others_are_not_made_up() -> None:
    history = HourlyHistory(100)
    assert history.put(FIRST + 5, 2.5, MEASURED)
    assert history.put(FIRST + 2, 1.5, MEASURED)
    assert [history.at(FIRST + hour) for hour in (2, 5)] == [1.5, 2.5]
    assert np.isnan([history.at(FIRST + hour) for hour in (1, 3, 4, 6)]).all()
    assert (history.first_hour, history.end) == (FIRST + 2, FIRST + 6)


def test_putting_the_same_again_changes_nothing_and_a_revision_does() -> None:
    history = a_history(1, 2)
    assert not history.put(FIRST, 1, MEASURED)
    assert history.put(FIRST, 1.25, MEASURED)
    assert history.at(FIRST) == 1.25


def test_what_was_measured_goes_before_what_was_imported() -> None:
    history = a_history(1, 2)
    assert not history.put(FIRST, 9, IMPORTED)
    assert history.put(FIRST - 1, 9, IMPORTED)
    assert history.put(FIRST - 1, 3, MEASURED)
    assert [history.at(FIRST + hour) for hour in (-1, 0, 1)] == [3, 1, 2]


def test_only_so_many_hours_are_kept() -> None:
    history = a_history(*range(10), capacity=4)
    assert history.values.tolist() == [6, 7, 8, 9]
    assert not history.put(FIRST + 5, 1, MEASURED)
    history.put(FIRST + 500, 7, MEASURED)
    assert (history.end, len(history.values)) == (FIRST + 501, 4)
    assert np.isnan(history.values[:-1]).all()


def test_a_gap_moves_time_on_and_says_nothing() -> None:
    history = a_history(1, float("nan"), float("nan"))
    assert history.end == FIRST + 3
    assert history.put(FIRST + 1, 5, IMPORTED)


@given(st.lists(st.one_of(MEASURED_ONE, IMPORTED_ONE), max_size=40), st.randoms(), st.integers(1, 80))
def test_any_order_and_any_repeat_lead_to_the_same_measured_hours(puts: list, random: object, capacity: int) -> None:
    # of one hour and source, one value: what the last of several revisions says is a matter of order
    distinct = list({(hour, source): (hour, value, source) for hour, value, source in puts}.values())
    again = distinct + distinct[: len(distinct) // 2]
    random.shuffle(again)  # type: ignore[attr-defined]
    first, second = HourlyHistory(capacity), HourlyHistory(capacity)
    for hour, value, source in distinct:
        first.put(FIRST + hour, value, source)
    for hour, value, source in again:
        second.put(FIRST + hour, value, source)
    hours = range(FIRST - 2, FIRST + 64)
    assert first.end == second.end
    np.testing.assert_array_equal([first.at(h) for h in hours], [second.at(h) for h in hours])


@given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=50), st.integers(1, 60))
def test_packed_and_unpacked_it_is_the_same(values: list[float], capacity: int) -> None:
    history = a_history(*values)
    again = HourlyHistory.unpack(history.pack(), capacity=capacity)
    kept = values[-capacity:]
    assert again.values.tolist() == kept
    assert (again.end, again.first_hour) == (history.end, history.end - len(kept))


@pytest.mark.parametrize(("completeness", "energy"), [(1.0, 12.0), (0.5, 12.0), (0.49, None)])
def test_an_hour_is_its_mean_power_where_enough_of_it_is_covered(completeness: float, energy: float | None) -> None:
    window = a_window(completeness=completeness, energy_kwh=12 * completeness, mean_power_kw=12.0)
    found = energy_of(window)
    assert np.isnan(found) if energy is None else found == energy
