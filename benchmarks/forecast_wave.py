"""What a wave of forecasts costs the scoring: readings a second of one worker without and with fits beside it.

    .venv/bin/python -m benchmarks.forecast_wave
    .venv/bin/python -m benchmarks.forecast_wave --readings 600000 --series 400 --rounds 3 --json

The same backlog is scored in turn with forecasts switched off, and while hundreds of series that are all due at once
are fitted; every other pair begins with the wave, so that a machine that grows slower speaks for neither. The hours of
these series are taken in beforehand, by a worker of the same group, so that they are no part of what is measured. Rates
are taken from a tenth of the way on, as in benchmarks/throughput.py. The lag is that of the event loop's timers, looked
at once a second.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from benchmarks.throughput import messages, publish
from cli.history import messages_of, send
from cli.train import train_on_the_spot
from core.forecasting.engine import HourlySeries
from runtime.apache_kafka import apache_kafka
from runtime.children import free_port
from runtime.kafka import consumer_config, create_topics
from runtime.plants import load_plant
from runtime.settings import KafkaSettings
from schemas.topics import HISTORY

_LOOK_SECONDS = 0.4
_PATIENCE = 180.0
_HOURS = 13 * 168
_ACCEPTED = "nexova_readings_accepted_total"
_FORECASTS = "nexova_forecasts_total"
_LAG = "nexova_event_loop_lag_seconds"


def import_series(kafka: KafkaSettings, number: int) -> int:
    """Thirteen weeks of hours of so many machines, with shifts, weekends and noise; returns the hour after the last."""
    random = np.random.default_rng(7)
    first = int(time.time()) // 3600 - _HOURS
    hours = first + np.arange(_HOURS)
    shift = np.where((hours % 24 >= 6) & (hours % 24 < 22) & ((hours // 24 + 3) % 7 < 5), 40.0, 8.0)
    series = [HourlySeries(first_hour=first, values=shift + random.normal(0, 3, _HOURS)) for _ in range(number)]
    send([part for machine, one in enumerate(series) for part in messages_of(f"forecast-{machine:04d}", one)], kafka)
    return first + _HOURS


def figures_of(port: int) -> dict[str, float]:
    """The worker's figures of interest; empty before it is up."""
    found: dict[str, float] = {}
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                name, _, value = line.rpartition(" ")
                name = name.partition("{")[0]
                if name in {_ACCEPTED, _FORECASTS, _LAG}:
                    found[name] = found.get(name, 0.0) + float(value)
    except OSError:
        pass  # not up yet
    return found


@contextmanager
def worker(
    kafka: KafkaSettings, models: Path, *, group: str, forecasts: bool
) -> Iterator[tuple[int, Callable[[], bool]]]:
    """A worker of a group; gives its port and whether it lives."""
    port = free_port()
    environment = os.environ | {
        "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "NEXOVA_KAFKA__GROUP": group,
        "NEXOVA_PROCESSOR__WEB_PORT": str(port),
        "NEXOVA_FORECASTS__ENABLED": str(forecasts).lower(),
        "NEXOVA_FORECASTS__SPREAD_SECONDS": "0",
        "MODEL_PATH": str(models),
        "LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen([sys.executable, "-m", "nexova", "process"], env=environment)
    try:
        yield port, lambda: process.poll() is None
    finally:
        process.terminate()
        process.wait(30)


def take_hours_in(kafka: KafkaSettings, models: Path, *, group: str) -> None:
    """Lets a worker take the imported hours into the state of its group, and ends it."""
    asked = Consumer(consumer_config(kafka, group))
    places = [TopicPartition(HISTORY, number) for number in range(kafka.partitions)]
    ends = [asked.get_watermark_offsets(place)[1] for place in places]
    deadline = time.monotonic() + _PATIENCE
    with worker(kafka, models, group=group, forecasts=False) as (_, lives):
        while [max(0, place.offset) for place in asked.committed(places)] != ends:
            if time.monotonic() > deadline or not lives():
                raise RuntimeError("the worker did not take the hours in")
            time.sleep(_LOOK_SECONDS)
    asked.close()


def score(kafka: KafkaSettings, models: Path, wanted: int, *, group: str, forecasts: bool) -> dict[str, float]:
    """Readings a second of a new worker on the whole backlog, forecasts made meanwhile, and the worst lag."""
    marks: list[tuple[float, float, float]] = []
    lags = []
    deadline = time.monotonic() + _PATIENCE
    with worker(kafka, models, group=group, forecasts=forecasts) as (port, lives):
        while not marks or marks[-1][1] < wanted:
            if time.monotonic() > deadline or not lives():
                raise RuntimeError(f"the worker did not score {wanted:,} readings in time")
            time.sleep(_LOOK_SECONDS)
            seen = figures_of(port)
            done = seen.get(_ACCEPTED, 0.0)
            if done >= 0.1 * wanted:
                marks.append((time.perf_counter(), done, seen.get(_FORECASTS, 0.0)))
                lags.append(seen.get(_LAG, 0.0))
    (began, first, made), (ended, last, all_made) = marks[0], marks[-1]
    return {"rate": (last - first) / (ended - began), "forecasts": all_made - made, "lag": max(lags)}


def main() -> None:
    """Runs both in turn, in pairs, and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=600_000)
    parser.add_argument("--machines", type=int, default=50)
    parser.add_argument("--series", type=int, default=400, help="machines with imported hours, all due at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, apache_kafka() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        models = Path(folder) / "models"
        train_on_the_spot(load_plant(None), models)
        import_series(kafka, options.series)
        turns = [
            (f"bench-{number}-{forecasts}", forecasts)
            for number in range(options.rounds)
            for forecasts in ((False, True) if number % 2 == 0 else (True, False))
        ]
        for group, _ in turns:
            take_hours_in(kafka, models, group=group)
        publish(kafka, *messages(options.machines, options.readings))
        runs: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for group, forecasts in turns:
            runs[forecasts].append(score(kafka, models, options.readings, group=group, forecasts=forecasts))
    without, beside = (statistics.median(run["rate"] for run in runs[one]) for one in (False, True))
    drops = [1 - wave["rate"] / alone["rate"] for alone, wave in zip(runs[False], runs[True], strict=True)]
    drop = statistics.median(drops)
    meanwhile = statistics.median(run["forecasts"] for run in runs[True])
    lag = max(run["lag"] for run in runs[True])
    if options.json:
        figures = {"without": without, "beside": beside, "drop": drop, "drops": drops}
        figures |= {"forecasts_meanwhile": meanwhile, "loop_lag_seconds": lag}
        print(json.dumps(figures | {"runs": [runs[False], runs[True]]}))
        return
    print(f"{options.readings:,} readings of {options.machines} machines, {options.series} series due for a forecast")
    for forecasts, label in ((False, "no forecasts"), (True, "during a wave")):
        rates = ", ".join(f"{run['rate']:,.0f}" for run in runs[forecasts])
        print(f"  {label:14} {statistics.median(run['rate'] for run in runs[forecasts]):>10,.0f} readings/s ({rates})")
    each = ", ".join(f"{one:.1%}" for one in drops)
    print(f"  drop, median of the pairs {drop:.1%} ({each}), {meanwhile:.0f} forecasts meanwhile")
    print(f"  worst lag of the event loop during a wave: {lag * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
