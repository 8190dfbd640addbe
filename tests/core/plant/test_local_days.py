"""Days of the plant's own zone: 23, 24 and 25 hours, whatever UTC thinks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plant.local_days import days_of, hours_in, wall_hours
from schemas.energy import EnergyWindow
from tests.builders import a_window

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "Pacific/Apia")


def local_day(day: date, zone: ZoneInfo = BERLIN) -> list[EnergyWindow]:
    """Every hour that starts within a local day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
    hours = [start + timedelta(hours=number) for number in range(54)]
    return [a_window(hour) for hour in hours if hour.astimezone(zone).date() == day]


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 3, 30), 24), (date(2026, 10, 25), 25)])
def test_a_day_on_which_clocks_change_has_as_many_hours_as_it_has(day: date, hours: int) -> None:
    [found] = days_of(local_day(day), BERLIN)
    assert (found.day, found.hours, found.completeness) == (day, hours, 1)
    assert (found.energy_kwh, found.production, found.readings) == (10 * hours, 5 * hours, 60 * hours)


def test_a_day_begins_at_local_midnight() -> None:
    before, after = datetime(2026, 7, 1, 21, tzinfo=UTC), datetime(2026, 7, 1, 22, tzinfo=UTC)
    assert [one.day for one in days_of([a_window(after), a_window(before)], BERLIN)] == [
        date(2026, 7, 1),
        date(2026, 7, 2),
    ]


def test_hours_that_are_missing_are_not_made_up() -> None:
    [found] = days_of(local_day(date(2026, 10, 25))[:5], BERLIN)
    assert (found.energy_kwh, found.completeness) == (50, 0.2)


def test_the_last_revision_counts_whatever_comes_first() -> None:
    start = datetime(2026, 7, 1, 10, tzinfo=UTC)
    second = a_window(start, energy_kwh=11.0, revision=1)
    for windows in ([a_window(start), second], [second, a_window(start)]):
        [found] = days_of(windows, BERLIN)
        assert (found.energy_kwh, found.readings) == (11, 60)


def test_what_no_window_knows_stays_unknown() -> None:
    start = datetime(2026, 7, 1, 10, tzinfo=UTC)
    [found] = days_of([a_window(start, production=None, peak_power_kw=None, mean_power_kw=None)], BERLIN)
    assert (found.production, found.peak_power_kw) == (None, None)


def test_machines_have_days_of_their_own() -> None:
    start = datetime(2026, 7, 1, 10, tzinfo=UTC)
    found = days_of([a_window(start, machine_id="b"), a_window(start, machine_id="a")], BERLIN)
    assert [(one.machine_id, one.energy_kwh) for one in found] == [("a", 10), ("b", 10)]


@given(st.sampled_from(ZONES), st.dates(date(2000, 1, 3), date(2037, 12, 1)))
def test_local_days_share_out_all_hours(name: str, first: date) -> None:
    zone = ZoneInfo(name)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    windows = [a_window(start + timedelta(hours=number)) for number in range(96)]
    days = days_of(windows, zone)
    assert sum(day.energy_kwh for day in days) == 960
    for day in days[1:-1]:
        # in zones of half hours a day may lose an hour to its neighbour where clocks change
        assert abs(day.energy_kwh / 10 - hours_in(day.day, zone)) <= (0 if name != "Australia/Lord_Howe" else 1)


def test_the_wall_clock_repeats_an_hour_in_autumn_and_skips_one_in_spring() -> None:
    spring = int(datetime(2026, 3, 29, tzinfo=UTC).timestamp()) // 3600
    autumn = int(datetime(2026, 10, 25, tzinfo=UTC).timestamp()) // 3600
    assert np.diff(wall_hours(spring - 1, 5, BERLIN)).tolist() == [1, 2, 1, 1]
    assert np.diff(wall_hours(autumn - 1, 5, BERLIN)).tolist() == [1, 0, 1, 1]


@given(st.sampled_from(ZONES), st.integers(262_000, 590_000), st.integers(1, 200))
def test_the_wall_clock_is_that_of_the_zone_in_every_hour(name: str, first: int, count: int) -> None:
    zone = ZoneInfo(name)
    expected = [
        int(datetime.fromtimestamp(hour * 3600, zone).replace(tzinfo=UTC).timestamp() // 3600)
        for hour in range(first, first + count)
    ]
    assert wall_hours(first, count, zone).tolist() == expected
