"""Live part of a simulation: readings at their due times, with faults that are reported as they begin."""

import math
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from producer.faults import InjectedFault
from producer.publish import Readings
from producer.simulator import FAULT_READINGS, REST_READINGS, Simulator

_ROUND_SECONDS: Final = 900.0  # faults are planned in rounds of at least this length
_ROUND_FAULTS: Final = 12  # … and at least this many faults
_TOGETHER_SECONDS: Final = 0.02  # instants closer than this are computed and sent together


def live_readings(
    simulator: Simulator,
    *,
    start: float,
    end: float | None,
    fault_every: float | None,
    wait: Callable[[float], bool],
    on_fault: Callable[[InjectedFault], None],
) -> Iterator[Readings]:
    """Yield readings of all machines from `start` until before `end` (epoch seconds; None: endless), as they are due.

    fault_every: seconds between two faults; None: no faults. wait: waits until an instant, and returns False to end
    the stream. on_fault: called with each fault before its first reading is yielded.
    """
    step = simulator.interval_seconds
    together = max(1, math.ceil(_TOGETHER_SECONDS / step))
    faults = _Faults(simulator, start=start, end=end, every=fault_every)
    first = 0
    while True:
        instants = np.round(start + (first + np.arange(together)) * step, 3)
        instants = instants if end is None else instants[instants < end]
        if not instants.size or not wait(float(instants[-1])):
            return
        yield simulator.at(instants, faults.until(float(instants[-1]), on_fault))
        first += together


class _Faults:
    """Planner of faults, one round at a time because the stream may be endless."""

    def __init__(self, simulator: Simulator, *, start: float, end: float | None, every: float | None) -> None:
        self._simulator = simulator
        self._every = every
        self._round_end = start
        self._end = end
        self._number = 0
        self._waiting: list[InjectedFault] = []
        self._begun: list[InjectedFault] = []

    def until(self, instant: float, on_fault: Callable[[InjectedFault], None]) -> tuple[InjectedFault, ...]:
        """Return the faults that may affect readings at or shortly before `instant`."""
        while self._every is not None and instant >= self._round_end and not self._ended():
            self._plan(self._every)
        while self._waiting and self._waiting[0].start <= instant:
            self._begun.append(self._waiting.pop(0))
            on_fault(self._begun[-1])
        self._begun = [fault for fault in self._begun if fault.end > instant - 1.0]
        return tuple(self._begun)

    def _ended(self) -> bool:
        return self._end is not None and self._round_end >= self._end

    def _plan(self, every: float) -> None:
        interval = self._simulator.interval_seconds
        begin = self._round_end + (REST_READINGS * interval if self._number else 0.0)
        length = max(_ROUND_SECONDS, _ROUND_FAULTS * every, 2 * (FAULT_READINGS + REST_READINGS) * interval)
        self._round_end = begin + length if self._end is None else min(begin + length, self._end)
        self._waiting += self._simulator.script(begin, self._round_end, every_seconds=every, number=self._number)
        self._number += 1
