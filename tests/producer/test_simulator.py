"""A simulated plant as a stream: history up to now, then live readings with faults whose truth is told."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from producer.faults import InjectedFault
from producer.live import live_readings
from producer.publish import Readings
from producer.simulator import FAULT_READINGS, Simulator
from runtime.errors import UsageError
from runtime.plants import load_plant
from tests.producer.plants import DAY, MONDAY, default_plant

NOW = MONDAY + 30 * DAY + 3 * 3600 + 17.0  # at night


def a_simulator(
    *,
    machines: int | Sequence[str] = 8,
    days: float = 1.0,
    interval_seconds: float = 1.0,
    always_running: bool = True,
    now: float = NOW,
    seed: int = 42,
) -> Simulator:
    return Simulator(
        plant=default_plant(),
        machines=machines,
        seed=seed,
        days=days,
        now=now,
        interval_seconds=interval_seconds,
        always_running=always_running,
    )


class Live:
    """Takes a live stream up to an instant, and remembers what it was told."""

    def __init__(self, simulator: Simulator, *, start: float, end: float | None, fault_every: float | None) -> None:
        self.faults: list[InjectedFault] = []
        self.waited: list[float] = []
        self.told_at: list[int] = []
        self.parts: list[Readings] = []
        self.stop_after = float("inf")
        self._stream = live_readings(
            simulator, start=start, end=end, fault_every=fault_every, wait=self._wait, on_fault=self._on_fault
        )

    def run(self) -> "Live":
        self.parts.extend(self._stream)
        return self

    def _wait(self, instant: float) -> bool:
        self.waited.append(instant)
        return instant <= self.stop_after

    def _on_fault(self, fault: InjectedFault) -> None:
        self.faults.append(fault)
        self.told_at.append(len(self.parts))


def test_history_ends_now_at_the_plants_pace_in_order_of_time() -> None:
    simulator = a_simulator(days=2.0, machines=3)
    parts = list(simulator.history())
    timestamps = np.concatenate([part.timestamps for part in parts])
    assert len(timestamps) == pytest.approx(2 * 1440 * 3, abs=3)
    assert (np.diff(timestamps) >= 0).all()
    assert NOW - 60 <= timestamps[-1] < NOW
    assert set(np.round(np.diff(np.unique(timestamps)), 3)) == {60.0}
    assert len(parts) == 2


def test_history_of_many_machines_comes_in_parts_that_fit_in_memory() -> None:
    simulator = a_simulator(days=0.5, machines=1500)
    first = next(iter(simulator.history()))
    assert len(first) <= 500_000


def test_no_history_is_asked_for_with_no_days() -> None:
    assert list(a_simulator(days=0.0).history()) == []


def test_the_same_start_makes_the_same_readings_whenever_it_is() -> None:
    one, other = a_simulator(machines=2), a_simulator(machines=2)
    for mine, theirs in zip(one.history(), other.history(), strict=True):
        assert mine.values.tobytes() == theirs.values.tobytes()
    different = next(iter(a_simulator(machines=2, seed=43).history()))
    assert different.values.tobytes() != next(iter(one.history())).values.tobytes()


def test_a_live_minute_at_night_shows_every_machine_at_work_with_clear_faults() -> None:
    live = Live(a_simulator(), start=NOW, end=NOW + 60, fault_every=7.0).run()
    timestamps = np.concatenate([part.timestamps for part in live.parts])
    values = np.concatenate([part.values for part in live.parts]).reshape(60, 8, 5)
    assert len(timestamps) == 60 * 8
    assert 6 <= len(live.faults) <= 10
    for fault in live.faults:
        assert fault.end - fault.start >= 8.0
        assert NOW < fault.start < fault.end <= NOW + 60
    power = np.where(np.isnan(values[..., 0]), 100.0, values[..., 0])
    assert (power > 8).all()  # nobody is off, not even in a dip


def test_a_machine_has_one_fault_at_a_time_and_a_rest_in_between() -> None:
    faults = Live(a_simulator(), start=NOW, end=NOW + 600, fault_every=2.0).run().faults
    assert len(faults) > 100
    for machine in {fault.machine_id for fault in faults}:
        of_machine = sorted((fault for fault in faults if fault.machine_id == machine), key=lambda fault: fault.start)
        for earlier, later in pairwise(of_machine):
            assert later.start >= earlier.end + 10


def test_readings_of_a_live_fault_differ_from_what_they_would_have_been() -> None:
    spoilt = Live(a_simulator(), start=NOW, end=NOW + 60, fault_every=7.0).run()
    clean = Live(a_simulator(), start=NOW, end=NOW + 60, fault_every=None).run()
    assert clean.faults == []
    values = np.concatenate([part.values for part in spoilt.parts]).reshape(60, 8, 5)
    expected = np.concatenate([part.values for part in clean.parts]).reshape(60, 8, 5)
    differs = ((values != expected) & ~(np.isnan(values) & np.isnan(expected))).any(axis=2)
    truth = np.zeros((60, 8), dtype=bool)
    for fault in spoilt.faults:
        machine = list(spoilt.parts[0].machine_ids).index(fault.machine_id)
        truth[int(np.ceil(fault.start - NOW)) : int(np.ceil(fault.end - NOW)), machine] = True
    assert not differs[~truth].any()
    assert differs[truth].mean() > 0.95  # the first reading of a stuck sensor is what it was


def test_a_fault_is_told_before_its_first_reading() -> None:
    live = Live(a_simulator(), start=NOW, end=NOW + 60, fault_every=7.0).run()
    for fault, parts_before in zip(live.faults, live.told_at, strict=True):
        assert live.parts[parts_before].timestamps[0] >= fault.start
        assert live.parts[parts_before - 1].timestamps[0] < fault.start


def test_an_endless_stream_ends_when_its_wait_says_so_and_plans_faults_on_and_on() -> None:
    live = Live(a_simulator(machines=3, interval_seconds=10.0), start=NOW, end=None, fault_every=60.0)
    live.stop_after = NOW + 4 * 3600
    live.run()
    assert live.waited[-1] > live.stop_after
    assert live.parts[-1].timestamps[-1] <= live.stop_after
    starts = np.array([fault.start for fault in live.faults])
    assert starts.max() > NOW + 3.8 * 3600
    assert len(starts) > 60


def test_instants_that_are_close_together_are_sent_together() -> None:
    live = Live(a_simulator(machines=2, interval_seconds=0.001), start=NOW, end=NOW + 1.0, fault_every=None).run()
    assert len(live.parts) == 50
    assert sum(map(len, live.parts)) == 2000


def test_by_shifts_faults_come_only_to_machines_that_run() -> None:
    simulator = a_simulator(always_running=False, days=1.0, interval_seconds=60.0)
    faults = simulator.script(NOW, NOW + 3600 * 2, every_seconds=300.0)
    assert {fault.machine_id.split("-")[0] for fault in faults} == {"pump", "compressor"}  # presses stand at night
    assert all(fault.end - fault.start == FAULT_READINGS * 60 for fault in faults)


def test_a_plant_that_cannot_be_simulated_is_refused_before_anything_is_sent() -> None:
    simulator = Simulator(plant=load_plant(Path("skab")), machines=2, seed=1, days=0, now=NOW, interval_seconds=1.0)
    with pytest.raises(UsageError, match="cannot be simulated"):
        simulator.check()


def test_a_rate_must_leave_time_between_readings() -> None:
    with pytest.raises(UsageError, match="must be above 0"):
        a_simulator(interval_seconds=0.0)
