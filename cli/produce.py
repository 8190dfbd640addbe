"""`nexova produce`: sends simulated or recorded readings to Kafka, at a pace, until done or stopped."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from core.plant import Plant
from producer.faults import InjectedFault
from producer.publish import FullSpeed, Pace, Paced, Publisher, merged
from producer.replay import read_readings_csv
from producer.simulator import Simulator
from runtime.errors import FailureError, UsageError
from runtime.kafka import list_topics, wait_for_broker
from runtime.plants import load_plant
from runtime.settings import Settings, load_settings
from schemas.topics import READINGS

app = typer.Typer(no_args_is_help=True, help="Send readings to Kafka.")

MAX_SPEED: Final = "max"
_PROGRESS_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.2

PlantOption = Annotated[
    Path | None, typer.Option("--plant", help="Plant file; default: NEXOVA_PLANT_FILE, else the shipped default.")
]
SpeedOption = Annotated[str, typer.Option("--speed", help="Times as fast as event time goes, or max.")]


@app.command()
def simulate(
    machines: Annotated[int, typer.Option(min=1, max=100_000, help="Number of machines.")] = 8,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Live readings a second of all machines; default: 1 each.")
    ] = None,
    days: Annotated[float, typer.Option(min=0, max=1000, help="Days of history to send first.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same plant.")] = 42,
    speed: SpeedOption = MAX_SPEED,
    duration: Annotated[
        float | None, typer.Option(min=0, help="Seconds of live readings; default: until stopped.")
    ] = None,
    fault_every: Annotated[
        float | None, typer.Option(min=1, help="Seconds between two live faults; default: none.")
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="Write the injected faults to this JSON lines file.")] = None,
    plant_file: PlantOption = None,
) -> None:
    """Send a simulated plant: its history at --speed, then live readings at --rate until stopped."""
    settings = load_settings()
    plant = load_plant(plant_file or settings.plant_file)
    pace = _pace(speed)
    interval = machines / rate if rate else 1.0
    publisher = _connected(settings)
    simulator = Simulator(
        plant=plant,
        machines=machines,
        seed=seed,
        days=days,
        now=float(int(time.time())),
        interval_seconds=interval,
        always_running=fault_every is not None,
    )
    with _until_stopped() as stopped, _progress(publisher):
        for part in simulator.history():
            publisher.publish(part, plant.sensor_names, pace=pace, stopped=stopped)
        _live(simulator, publisher, plant, duration=duration, fault_every=fault_every, truth=truth, stopped=stopped)
    _finish(publisher)


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="CSV files as the plant file describes them.")],
    plant_file: PlantOption = None,
    speed: SpeedOption = MAX_SPEED,
) -> None:
    """Send recorded readings: file by file at --speed max, else merged in order of time."""
    settings = load_settings()
    plant = load_plant(plant_file or settings.plant_file)
    pace = _pace(speed)
    # all files are read before the first message goes out: a mistake in the last one is no half replay
    parts = [read_readings_csv(path, plant)[0] for path in files]
    publisher = _connected(settings)
    with _until_stopped() as stopped, _progress(publisher):
        for part in parts if speed == MAX_SPEED else [merged(parts)]:
            publisher.publish(part, plant.sensor_names, pace=pace, stopped=stopped)
    _finish(publisher)


def _live(
    simulator: Simulator,
    publisher: Publisher,
    plant: Plant,
    *,
    duration: float | None,
    fault_every: float | None,
    truth: Path | None,
    stopped: Callable[[], bool],
) -> None:
    """Readings of now, one instant of all machines at a time."""
    began = time.time()
    end = began + (duration if duration is not None else 10 * 365 * 86_400)
    faults: tuple[InjectedFault, ...] = ()
    if fault_every is not None and duration is not None:
        faults = simulator.script(began, end, every_seconds=fault_every)
    elif fault_every is not None:
        raise UsageError("--fault-every needs --duration, so that every fault ends within it; add --duration")
    if truth is not None:
        truth.write_text("".join(json.dumps(asdict(fault)) + "\n" for fault in faults))

    step = 0
    while not stopped():
        instant = began + step * simulator.interval_seconds
        if instant >= end:
            return
        while (left := instant - time.time()) > 0 and not stopped():
            publisher.poll()
            time.sleep(min(left, _PAUSE_SECONDS))
        if not stopped():
            publisher.publish(simulator.at(np.array([instant]), faults), plant.sensor_names)
        step += 1


def _pace(speed: str) -> Pace:
    if speed == MAX_SPEED:
        return FullSpeed()
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise UsageError(f"--speed {speed}: must be a number above 0, or max; 1 is as fast as it happened")
    return Paced(factor)


def _connected(settings: Settings) -> Publisher:
    wait_for_broker(
        settings.kafka,
        max_retries=settings.max_retries,
        on_retry=lambda number, reason: typer.echo(f"no broker yet ({reason}); try {number}", err=True),
    )
    for topic in list_topics(settings.kafka):
        if topic.name == READINGS and topic.problem:
            raise FailureError(topic.problem)
    return Publisher(settings.kafka)


@contextmanager
def _until_stopped() -> Iterator[Callable[[], bool]]:
    """Gives a function that turns true at Ctrl-C or SIGTERM, for a clean stop between two readings."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(publisher: Publisher) -> Iterator[None]:
    """On a terminal, says now and then how far it is."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()

    def show() -> None:
        while not done.wait(_PROGRESS_SECONDS):
            typer.echo(f"\r{publisher.sent:,} sent, {publisher.delivered:,} delivered", nl=False, err=True)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        typer.echo("\r", nl=False, err=True)


def _finish(publisher: Publisher) -> None:
    publisher.flush()
    typer.echo(f"{publisher.delivered:,} messages delivered, {publisher.failed:,} failed")
    if publisher.failed:
        raise FailureError(f"{publisher.failed:,} messages were not delivered ({publisher.failure}); check the broker")
