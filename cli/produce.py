"""`nexova produce`: simulated or recorded readings sent to Kafka at a given speed, until done or stopped."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.shared_options import PlantOption
from producer.faults import InjectedFault
from producer.live import live_readings
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

SpeedOption = Annotated[str, typer.Option("--speed", help="Factor over real time, or max.")]


@app.command()
def simulate(
    machines: Annotated[int, typer.Option(min=1, max=100_000, help="Number of machines.")] = 8,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="Live readings per second over all machines; default: 1 per machine."),
    ] = None,
    days: Annotated[float, typer.Option(min=0, max=1000, help="Days of history sent before the live readings.")] = 0,
    seed: Annotated[int, typer.Option(help="Random seed of the simulated plant.")] = 42,
    speed: SpeedOption = MAX_SPEED,
    duration: Annotated[
        float | None, typer.Option(min=0, help="Duration of the live readings in seconds; default: until stopped.")
    ] = None,
    fault_every: Annotated[
        float | None, typer.Option(min=1, help="Seconds between two injected faults; default: no faults.")
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="JSON lines file for the injected faults.")] = None,
    plant_file: PlantOption = None,
    *,
    always_running: Annotated[
        bool | None,
        typer.Option(
            "--always-running/--by-shifts",
            help="Machines run always, or stop at night and on Sundays; default: run always if faults are injected.",
        ),
    ] = None,
) -> None:
    """Send readings of a simulated plant: history at --speed, then live readings at --rate."""
    settings = load_settings()
    plant = load_plant(plant_file or settings.plant_file)
    stop = threading.Event()
    pace = _pace(speed, stop)
    interval = machines / rate if rate else 1.0
    simulator = Simulator(
        plant=plant,
        machines=machines,
        seed=seed,
        days=days,
        now=float(int(time.time())),
        interval_seconds=interval,
        always_running=fault_every is not None if always_running is None else always_running,
    )
    simulator.check()
    publisher = _connected(settings)
    with _until_stopped(stop) as stopped, _progress(publisher), _truth(truth) as on_fault:
        for part in simulator.history():
            publisher.publish(part, plant.sensor_names, pace=pace, stopped=stopped)
            if stopped():
                break
        start = round(time.time(), 3)
        for part in live_readings(
            simulator,
            start=start,
            end=None if duration is None else start + duration,
            fault_every=fault_every,
            wait=partial(_wait, publisher, stopped),
            on_fault=on_fault,
        ):
            publisher.publish(part, plant.sensor_names, stopped=stopped)
    _finish(publisher)


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files with the plant's sensors as columns.")],
    plant_file: PlantOption = None,
    speed: SpeedOption = MAX_SPEED,
) -> None:
    """Send recorded readings: file by file at --speed max, otherwise merged in order of time."""
    settings = load_settings()
    plant = load_plant(plant_file or settings.plant_file)
    stop = threading.Event()
    pace = _pace(speed, stop)
    # all files are read before the first message is sent, so that an error in the last one causes no partial replay
    latest = datetime.now(UTC) + timedelta(seconds=plant.readings.latest_ahead_seconds)
    note = partial(typer.echo, err=True)
    parts = [read_readings_csv(path, plant, latest=latest, note=note)[0] for path in files]
    publisher = _connected(settings)
    with _until_stopped(stop) as stopped, _progress(publisher):
        for part in parts if speed == MAX_SPEED else [merged(parts)]:
            publisher.publish(part, plant.sensor_names, pace=pace, stopped=stopped)
    _finish(publisher)


def _wait(publisher: Publisher, stopped: Callable[[], bool], instant: float) -> bool:
    """Handle delivery reports until `instant`, epoch seconds; return False if stopped before."""
    while not stopped():
        left = instant - time.time()
        if left <= 0:
            return True
        publisher.poll()
        time.sleep(min(left, _PAUSE_SECONDS))
    return False


@contextmanager
def _truth(path: Path | None) -> Iterator[Callable[[InjectedFault], None]]:
    """Provide a function that appends a fault to the file as a line of JSON and flushes it."""
    if path is None:
        yield lambda _: None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise FailureError(f"{path}: cannot be written: {error}") from error

    def write(fault: InjectedFault) -> None:
        file.write(json.dumps(asdict(fault)) + "\n")
        file.flush()

    with file:
        yield write


def _pace(speed: str, stop: threading.Event) -> Pace:
    if speed == MAX_SPEED:
        return FullSpeed()
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise UsageError(f"--speed {speed}: must be a number above 0, or max; 1 is real time")
    # a wait that ends at once on a stop
    return Paced(factor, sleep=stop.wait)


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
def _until_stopped(stop: threading.Event) -> Iterator[Callable[[], bool]]:
    """Set `stop` at Ctrl-C or SIGTERM, for a clean end between two readings; provide its getter."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(publisher: Publisher) -> Iterator[None]:
    """Show the progress every two seconds, on a terminal only."""
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
        raise FailureError(
            f"{publisher.failed:,} messages were not delivered to {READINGS} ({publisher.failure}); check the "
            "broker, and the rights that `nexova topics acl producer` prints"
        )
