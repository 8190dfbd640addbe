"""The daily wave of forecasts: so many series, 72 h each, a seventh of them fitted anew, on two processes.

python -m benchmarks.forecasts [--series 1000] [--weeks 13] [--workers 2] [--json]
"""

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from core.arrays import DAY, WEEK
from core.forecasting.engine import Calendar, HourlySeries, Memory, forecast_next

HORIZON = 72
REFITTED = 7
FIRST_HOUR = 18_631 * DAY  # a Monday


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One forecast: its memory as it goes back to the state, and the seconds that it took."""

    memory: bytes
    seconds: float
    fitted: bool


def machine(seed: int, hours: int) -> HourlySeries:
    """Energy of a machine in shifts, with a load that wanders, by the hour."""
    random = np.random.default_rng(seed)
    days = -(-hours // DAY)
    first, last = random.integers(5, 8), random.integers(16, 23)
    hour = np.arange(days * DAY) % DAY
    weekday = np.repeat(np.arange(days) % 7, DAY)
    on = (hour >= first) & (hour < last) & (weekday < random.integers(5, 8))
    load = np.zeros(days)
    for day in range(1, days):
        load[day] = 0.8 * load[day - 1] + random.normal(0, 0.1)
    course = 5 + np.where(on, random.uniform(20, 200), 0) * np.exp(np.repeat(load, DAY))
    return HourlySeries(first_hour=FIRST_HOUR, values=(course * random.lognormal(0, 0.1, len(course)))[:hours])


def forecast_one(seed: int, hours: int, memory: bytes | None, refit: bool | None) -> Done:  # noqa: FBT001
    """What a worker process does for one series."""
    series = machine(seed, hours)
    began = time.perf_counter()
    known = None if memory is None else Memory.unpack(memory)
    _, after = forecast_next(series, horizon=HORIZON, calendar=Calendar(), memory=known, refit=refit)
    packed = after.pack()
    fitted = known is None or known.fitted_at != after.fitted_at
    return Done(memory=packed, seconds=time.perf_counter() - began, fitted=fitted)


def wave(pool: ProcessPoolExecutor, jobs: Iterable[tuple[int, int, bytes | None, bool | None]]) -> list[Done]:
    """All jobs, spread over the pool."""
    return list(pool.map(forecast_one, *zip(*jobs, strict=True), chunksize=4))


def milliseconds(done: Iterable[Done], *, fitted: bool) -> float:
    """Median cost of the forecasts with, or without, a fit."""
    return 1000 * float(np.median([one.seconds for one in done if one.fitted == fitted]))


def main() -> None:
    """Runs the first day, on which every series is fitted, and an ordinary one, and prints their cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--weeks", type=int, default=13, help="of history that each series has")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the processes are the parallel part
    hours = options.weeks * WEEK
    count = range(options.series)
    with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        wave(pool, [(seed, 2 * WEEK, None, None) for seed in range(2 * options.workers)])  # imports
        began = time.perf_counter()
        first = wave(pool, [(seed, hours, None, None) for seed in count])
        first_seconds = time.perf_counter() - began
        began = time.perf_counter()
        daily = wave(pool, [(seed, hours + DAY, first[seed].memory, seed % REFITTED == 0) for seed in count])
        daily_seconds = time.perf_counter() - began
    figures = {
        "series": options.series,
        "weeks": options.weeks,
        "workers": options.workers,
        "first_day_seconds": first_seconds,
        "daily_seconds": daily_seconds,
        "fit_and_forecast_ms": milliseconds(daily, fitted=True),
        "forecast_ms": milliseconds(daily, fitted=False),
        "memory_kib": float(np.median([len(one.memory) for one in daily])) / 1024,
    }
    if options.json:
        print(json.dumps(figures))
        return
    print(
        f"{options.series:,} series x {HORIZON} h, {options.weeks} weeks of history each, {options.workers} processes"
    )
    print(f"  a day, one in {REFITTED} fitted anew {daily_seconds:>8.1f} s")
    print(f"  the first day, all are fitted {first_seconds:>7.1f} s")
    print(f"  a forecast {figures['forecast_ms']:.1f} ms, with a fit {figures['fit_and_forecast_ms']:.1f} ms")
    print(f"  remembered of each series: {figures['memory_kib']:.0f} KiB")


if __name__ == "__main__":
    main()
