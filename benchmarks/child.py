"""What a contestant's process tells of itself; of the standard library alone, as Quix runs apart from our packages."""

import json
import os
import resource
import time
from pathlib import Path


class Meter:
    """Counts readings; times those after the first tenth, and ends the process with the figures on stdout."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._done = 0
        self._from: tuple[int, float, float] | None = None

    def add(self, readings: int) -> None:
        """Count readings that are done."""
        self._done += readings
        if self._from is None and self._done >= self._wanted // 10:
            self._from = self._done, time.perf_counter(), _cpu_seconds()
        if self._done >= self._wanted and self._from is not None:
            first, began, cpu = self._from
            figures = {
                "readings": self._done - first,
                "seconds": time.perf_counter() - began,
                "cpu_seconds": _cpu_seconds() - cpu,
                "peak_mib": _peak_mib(),
            }
            print(json.dumps(figures), flush=True)
            os._exit(0)  # the measurement is over; a clean stop would take seconds and tell nothing


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mib() -> float:
    # ru_maxrss would be that of the parent where this is the larger one
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
