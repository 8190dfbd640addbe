"""What is saved of hours and forecasts, and what a next owner makes of it."""

from datetime import UTC, datetime, timedelta

import numpy as np

from core.arrays import WEEK
from core.forecasting.series_state import Outgoing, SeriesTable
from schemas.forecasts import plant_series
from tests.builders import PUMP, a_window

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
FIRST = int(BEGIN.timestamp()) // 3600


def watched(hours: int, *, energy: float = 10.0) -> SeriesTable:
    table = SeriesTable(13 * WEEK)
    for hour in range(hours):
        table.record_window(a_window(BEGIN + timedelta(hours=hour), mean_power_kw=energy), at=0.0)
    return table


def issue(table: SeriesTable, origin: int, text: bytes = b"forecast", memory: bytes = b"memory") -> None:
    flat = np.full(72, 10.0)
    table.states[PUMP].accuracy.issue(origin, value=flat, lower=flat - 1, upper=flat + 1, champion=flat, median=flat)
    table.issue(PUMP, origin, (("topic", PUMP, text),), memory=memory)


def next_owner(records: dict[str, bytes]) -> tuple[SeriesTable, list[Outgoing]]:
    table = SeriesTable(13 * WEEK)
    return table, table.restore(records.values(), at=0.0)


def test_the_next_owner_knows_the_same() -> None:
    table = watched(30)
    issue(table, FIRST + 30)
    other, _ = next_owner(dict(table.changed_records()))
    assert other.states[PUMP].history.values.tolist() == [10.0] * 30
    assert (other.states[PUMP].issued, other.states[PUMP].memory) == (FIRST + 30, b"memory")
    window = a_window(BEGIN + timedelta(hours=30), mean_power_kw=12.0)
    first, second = table.record_window(window, at=0.0), other.record_window(window, at=0.0)
    assert first is not None
    np.testing.assert_array_equal(first, second)


def test_a_series_waits_for_a_forecast_once_a_new_hour_is_there() -> None:
    table = watched(30)
    assert set(table.waiting) == {PUMP}
    table.waiting.clear()
    issue(table, FIRST + 30)
    table.record_window(a_window(BEGIN, mean_power_kw=11.0, revision=1), at=1.0)
    assert not table.waiting
    table.record_window(a_window(BEGIN + timedelta(hours=30)), at=2.0)
    assert table.waiting == {PUMP: 2.0}


def test_a_plants_series_waits_for_no_fit_not_even_at_its_next_owner() -> None:
    table = SeriesTable(13 * WEEK)
    table.record_measured(plant_series("test"), FIRST, 10.0, at=5.0)
    other, _ = next_owner(dict(table.changed_records()))
    assert other.states[plant_series("test")].history.values.tolist() == [10.0]
    assert (table.waiting, other.waiting) == ({}, {})


def test_only_what_changed_is_saved_and_the_memory_in_a_record_of_its_own() -> None:
    table = watched(3)
    assert [name for name, _ in table.changed_records()] == [f"h/{PUMP}"]
    assert not list(table.changed_records())
    issue(table, FIRST + 3)
    assert [name for name, _ in table.changed_records()] == [f"m/{PUMP}", f"h/{PUMP}"]
    issue(table, FIRST + 4)
    assert [name for name, _ in table.changed_records()] == [f"h/{PUMP}"]


def test_a_forecast_is_given_out_only_when_it_is_saved_and_once() -> None:
    table = watched(3)
    issue(table, FIRST + 3)
    list(table.changed_records())
    assert table.unsent() == [("topic", PUMP, b"forecast")]
    assert table.unsent() == []


def test_a_next_owner_gives_out_again_what_was_saved_last_and_nothing_older() -> None:
    table = watched(3)
    issue(table, FIRST + 3, b"older")
    saved = dict(table.changed_records())
    table.record_window(a_window(BEGIN, machine_id="pump-02"), at=0.0)
    table.issue("pump-02", FIRST + 1, (("topic", "pump-02", b"newer"),), memory=b"")
    saved |= dict(table.changed_records())
    table.record_window(a_window(BEGIN + timedelta(hours=1), machine_id="pump-02"), at=0.0)
    saved |= dict(table.changed_records())  # a save without forecasts
    other, again = next_owner(saved)
    assert again == [("topic", "pump-02", b"newer")]
    issue(other, FIRST + 4, b"newest")
    saved |= dict(other.changed_records())
    assert next_owner(saved)[1] == [("topic", PUMP, b"newest")]


def test_an_hour_that_comes_again_after_a_crash_is_judged_once() -> None:
    table = watched(3)
    issue(table, FIRST + 3)
    window = a_window(BEGIN + timedelta(hours=3))
    assert table.record_window(window, at=0.0) is not None
    assert table.record_window(window, at=0.0) is None
    assert table.states[PUMP].accuracy.scores(days=7)[0].points == 1


def test_imports_fill_the_past_and_do_not_move_time_on_where_a_machine_is_measured() -> None:
    table = watched(3)
    assert table.record_imported(PUMP, FIRST - 5, 4.0, at=0.0)
    assert not table.record_imported(PUMP, FIRST - 5, 4.0, at=0.0)
    assert not table.record_imported(PUMP, FIRST + 1, 4.0, at=0.0)
    assert not table.record_imported(PUMP, FIRST + 50, 4.0, at=0.0)
    assert table.states[PUMP].history.end == FIRST + 3
    assert table.record_imported("new", FIRST + 50, 4.0, at=0.0)
    assert set(table.waiting) == {PUMP, "new"}
