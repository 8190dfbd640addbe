"""`nexova capacity`: workers, partitions, memory and disk for a plant, from measured figures."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Annotated, Final

import typer

READINGS_A_WORKER: Final = 50_000.0
"""Readings a second planned for one worker: a third of the measured rate (README), to absorb bursts and restarts."""

BYTES_A_READING: Final = 160
BYTES_A_SCORE: Final = 250
STATE_A_MACHINE: Final = 16_384
WORKER_BASE_BYTES: Final = 640 * 1_048_576
FORECASTS_A_WORKER_HOUR: Final = 20_000
"""Forecasts that one worker's process makes within an hour; 1,000 took 101 to 134 s (README)."""

RETENTION_DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Resources for a plant. kafka_bytes: readings and scores over their retention, with all copies."""

    readings_per_second: float
    workers: int
    partitions: int
    worker_memory_bytes: int
    kafka_bytes: int
    network_bytes_per_second: int


def capacity_of(*, machines: int, interval_seconds: float, copies: int = 3) -> Capacity:
    """Return the resources for `machines` that each send one reading every `interval_seconds`."""
    rate = machines / interval_seconds
    by_rate = math.ceil(rate / READINGS_A_WORKER)
    by_forecasts = math.ceil(machines / FORECASTS_A_WORKER_HOUR)
    # one spare worker, so that the loss of one leaves enough
    workers = max(by_rate, by_forecasts, 1) + 1
    partitions = max(8, 2 ** math.ceil(math.log2(2 * workers)))
    stored = rate * 86_400 * (RETENTION_DAYS * BYTES_A_READING + BYTES_A_SCORE) * copies
    share = math.ceil(machines / (workers - 1))
    return Capacity(
        readings_per_second=rate,
        workers=workers,
        partitions=partitions,
        worker_memory_bytes=WORKER_BASE_BYTES + share * STATE_A_MACHINE,
        kafka_bytes=round(stored),
        network_bytes_per_second=round(rate * (BYTES_A_READING + BYTES_A_SCORE)),
    )


def capacity(
    machines: Annotated[int, typer.Option(min=1, max=10_000_000, help="Number of machines.")],
    interval: Annotated[float, typer.Option(min=0.001, max=86_400, help="Seconds between two readings of a machine.")],
    copies: Annotated[int, typer.Option(min=1, max=15, help="Replicas of each topic.")] = 3,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Estimate workers, partitions, memory and disk of a plant, with room for bursts and the loss of a worker."""
    needed = capacity_of(machines=machines, interval_seconds=interval, copies=copies)
    if as_json:
        typer.echo(json.dumps(asdict(needed)))
        return
    rows = (
        ("readings a second", f"{needed.readings_per_second:,.1f}"),
        ("workers, one of them spare", f"{needed.workers}, a core each and one for forecasts"),
        ("partitions", f"{needed.partitions} (NEXOVA_KAFKA__PARTITIONS; never change it later)"),
        ("memory of a worker", _size(needed.worker_memory_bytes)),
        ("Kafka's disk, all copies", f"{_size(needed.kafka_bytes)} (readings 7 days, scores 1 day; uncompressed)"),
        ("network", f"{_size(needed.network_bytes_per_second)}/s"),
    )
    for name, value in rows:
        typer.echo(f"{name:<28}{value}")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004  the step of binary units
            return f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
