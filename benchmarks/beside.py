"""The processor's throughput alone, and with the API and 50 clients of its event stream beside it.

    python -m benchmarks.beside

2,000 machines on a real Kafka. The processor has the first core for itself in every run, and everything else (broker,
API, clients) the others. Cores that share caches, and two threads of one core all the more, slow each other down
whatever they do; so a third kind of run has a program beside it that does nothing of use and takes as much processor
time as the API, its clients and what the broker does for them. All three take turns.
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
_IDLER = """
import sys, time
share = float(sys.argv[1])
while True:
    end = time.perf_counter() + 0.01 * share
    while time.perf_counter() < end:
        pass
    time.sleep(0.01 * (1 - share))
"""


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
    process = subprocess.Popen([sys.executable, "-m", "nexova", "serve", "--port", str(port)], env=environment)
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


@contextmanager
def measured(*pids: int) -> Iterator[list[float]]:
    """The share of a core that processes took while the block ran; there once it has ended."""
    share: list[float] = []
    before, begun = sum(usage(pid)[1] for pid in pids), time.monotonic()
    yield share
    share.append((sum(usage(pid)[1] for pid in pids) - before) / (time.monotonic() - begun))


@contextmanager
def something_else(share: float) -> Iterator[None]:
    """A program beside us that takes this share of a core and does nothing with it."""
    process = subprocess.Popen([sys.executable, "-c", _IDLER, str(min(share, 0.95))])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=500_000)
    parser.add_argument("--machines", type=int, default=2_000)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    cores = os.sched_getaffinity(0)
    first = {min(cores)}
    os.sched_setaffinity(0, cores - first or cores)
    alone: list[float] = []
    beside: list[float] = []
    unrelated: list[float] = []
    services: list[str] = []
    with tempfile.TemporaryDirectory() as folder, apache_kafka() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        models = Path(folder) / "models"
        train_on_the_spot(load_plant(None), models)
        publish(kafka, *messages(options.machines, options.readings))
        for number in range(ROUNDS):
            with measured(broker.pid, os.getpid()) as usual:
                alone.append(nexova(kafka, options.readings, models, group=f"alone-{number}", cores=first)[0])
            group = f"beside-{number}"
            with api(kafka, models, group) as (port, pid), clients(port) as counts:
                memory = usage(pid)[0]
                with measured(pid) as own, measured(broker.pid, os.getpid()) as others:
                    beside.append(nexova(kafka, options.readings, models, group=group, cores=first)[0])
                services.append(
                    f"  the API meanwhile: {memory:.0f} MB before, {usage(pid)[0]:.0f} MB after, "
                    f"{own[0]:.0%} of a core, {sum(counts):,} events sent"
                )
            with something_else(own[0] + max(0.0, others[0] - usual[0])):
                unrelated.append(nexova(kafka, options.readings, models, group=f"else-{number}", cores=first)[0])
    mean = statistics.mean(alone)
    if options.json:
        print(json.dumps({"alone": alone, "unrelated": unrelated, "beside": beside, "services": services}))
        return
    print(f"{options.machines:,} machines, {options.readings:,} readings, the processor on a core of its own:")
    for name, rates in (
        ("alone", alone),
        (f"beside the API with {CLIENTS} clients", beside),
        ("beside as much work of no use", unrelated),
    ):
        shown = " and ".join(f"{rate:,.0f}" for rate in rates)
        print(f"  {name:32} {shown} readings/s, {statistics.mean(rates) / mean:.0%}")
    print("\n".join(services))


if __name__ == "__main__":
    main()
