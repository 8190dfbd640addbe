"""The processor's throughput alone, and with the API and 50 clients of its event stream beside it.

    python -m benchmarks.beside

2,000 machines on a real Kafka. The processor has the first core for itself in every run, and everything else (broker,
API, clients) the others: so what is compared is whether the processor waits for anything that the API does, and not
who gets how much of a core. Alone and beside take turns, twice each.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvloop

from benchmarks.api import usage
from benchmarks.throughput import messages, nexova, publish
from cli.train import train_on_the_spot
from runtime.apache_kafka import apache_kafka
from runtime.children import free_port
from runtime.kafka import create_topics
from runtime.plants import load_plant
from runtime.settings import KafkaSettings

CLIENTS = 50
ROUNDS = 2


@contextmanager
def api(kafka: KafkaSettings, models: Path, group: str) -> Iterator[tuple[int, int]]:
    """An API whose view is complete: its port and process id."""
    port = free_port()
    environment = os.environ | {
        "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "NEXOVA_KAFKA__GROUP": group,
        "MODEL_PATH": str(models),
        "LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen([sys.executable, "-m", "cli.main", "serve", "--port", str(port)], env=environment)
    try:
        deadline = time.monotonic() + 90
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2).close()
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("the API did not get ready")
            time.sleep(0.2)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def clients(port: int) -> Iterator[list[int]]:
    """Clients of the event stream; what is given counts the events that each has heard."""
    heard = [0] * CLIENTS

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /events?topics=alert,machine HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while part := await reader.read(1 << 20):
            heard[number] += part.count(b"\nevent: ")

    async def all_of_them() -> None:
        tasks = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        await asyncio.to_thread(over.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    over = threading.Event()
    thread = threading.Thread(target=lambda: uvloop.run(all_of_them()), daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join(10)


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=800_000)
    parser.add_argument("--machines", type=int, default=2_000)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    cores = os.sched_getaffinity(0)
    first = {min(cores)}
    os.sched_setaffinity(0, cores - first or cores)
    alone: list[float] = []
    beside: list[float] = []
    services: list[str] = []
    with tempfile.TemporaryDirectory() as folder, apache_kafka() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        models = Path(folder) / "models"
        train_on_the_spot(load_plant(None), models)
        publish(kafka, *messages(options.machines, options.readings))
        for number in range(ROUNDS):
            alone.append(nexova(kafka, options.readings, models, group=f"alone-{number}", cores=first)[0])
            group = f"beside-{number}"
            with api(kafka, models, group) as (port, pid), clients(port) as counts:
                (memory, busy), begun = usage(pid), time.monotonic()
                beside.append(nexova(kafka, options.readings, models, group=group, cores=first)[0])
                (grown, busier), lasted = usage(pid), time.monotonic() - begun
                services.append(
                    f"  the API meanwhile: {memory:.0f} MB before, {grown:.0f} MB after, "
                    f"{(busier - busy) / lasted:.0%} of a core, {sum(counts):,} events sent"
                )
    ratio = statistics.mean(beside) / statistics.mean(alone)
    if options.json:
        print(json.dumps({"alone": alone, "beside": beside, "ratio": ratio, "services": services}))
        return
    print(f"{options.machines:,} machines, {options.readings:,} readings, the processor on a core of its own:")
    print(f"  alone                            {_rates(alone)} readings/s")
    print(f"  beside the API with {CLIENTS} clients   {_rates(beside)} readings/s, {ratio:.0%} of that")
    print("\n".join(services))


def _rates(rates: list[float]) -> str:
    return " and ".join(f"{rate:,.0f}" for rate in rates)


if __name__ == "__main__":
    main()
