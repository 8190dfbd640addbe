"""The API's figures: requests a second on one core, latency, 2,000 machines with 50 clients of the event stream.

    python -m benchmarks.api

The service runs on the first core and the load on the others, where the machine has more than one. It takes about
half a minute. The last part also feeds a processor's worth of messages through the broker, and prints what the
service's memory and processor time do meanwhile.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvloop
from confluent_kafka import Producer

from benchmarks.load import flood, request, steady
from producer.generator import IndustrialDataGenerator
from runtime.children import free_port
from runtime.embedded import embedded_broker
from runtime.kafka import create_topics, producer_config
from runtime.plants import load_plant
from runtime.settings import KafkaSettings
from schemas.topics import ALERTS, MACHINES, READINGS, SCORES
from tests.api.live_data import a_status, an_alert
from tests.trainer.splits import write_splits
from trainer.trainer import MLModelTrainer

ROW = {"power": 55, "temperature": 58, "vibration": 3.4, "runtime": 1.0, "production": 322.0}
_ALERT = re.compile(rb'"alert_id":"([^"]+)"')
MACHINE_COUNT, CLIENTS, SECONDS = 2_000, 50, 10


def train(folder: Path) -> Path:
    """Models from sixty generated days."""
    table = IndustrialDataGenerator(seed=2, plant=load_plant(None)).generate_energy_timeseries(60, "30min", 6)
    MLModelTrainer(write_splits(table, folder / "data"), folder / "models").train(["anomaly", "maintenance"])
    return folder / "models"


@contextmanager
def service(models: Path, servers: str) -> Iterator[tuple[int, int]]:
    """A service on the first core: its port and process id."""
    port = free_port()
    environment = os.environ | {"MODEL_PATH": str(models), "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": servers}
    environment |= {"LOG_LEVEL": "ERROR", "NEXOVA_API__REQUESTS_PER_SECOND": "1000000"}
    process = subprocess.Popen(
        [sys.executable, "-m", "nexova", "serve", "--port", str(port)],
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {0}),  # noqa: PLW1509  no threads here yet
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("the service did not start")
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)


def usage(pid: int) -> tuple[float, float]:
    """Resident megabytes and seconds of processor time so far."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return resident, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def requests(port: int) -> None:
    """Prints rates and latencies of POST /anomaly."""
    one = request("/anomaly", json.dumps({"data": [ROW]}).encode())
    rows = [ROW | {"power": 55 + n % 3, "production": 320 + n % 7} for n in range(1_000)]
    many = request("/anomaly", json.dumps({"data": rows}).encode())
    await flood(port, one, connections=8, seconds=1)
    full = await flood(port, one, connections=16, seconds=5)
    print(f"POST /anomaly, one row: {full.rate:,.0f} requests/s on one core (wanted: 1,000), {full.failed} failed")
    half = await steady(port, one, connections=32, per_second=500, seconds=5)
    print(
        f"    at 500/s: p50 {half.percentile(0.5):.1f} ms, p99 {half.percentile(0.99):.1f} ms (wanted: below 25), "
        f"{half.failed} failed"
    )
    large = await flood(port, many, connections=1, seconds=3)
    print(
        f"POST /anomaly, 1,000 rows: median {large.percentile(0.5):.1f} ms, p95 {large.percentile(0.95):.1f} ms "
        f"(wanted: below 30), {large.failed} failed"
    )


async def streams(port: int, pid: int, kafka: KafkaSettings) -> None:
    """Prints what 2,000 machines and 50 clients cost."""
    heard = [0] * CLIENTS
    delays: list[float] = []
    sent: dict[str, float] = {}

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /events?topics=alert,machine HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        rest = b""
        while part := await reader.read(1 << 20):
            # whole events only; what the last one lacks comes with the next part
            text, _, rest = (rest + part).rpartition(b"\n\n")
            heard[number] += text.count(b"event: machine") + text.count(b"event: alert")
            now = time.monotonic()
            delays.extend(now - sent[found.decode()] for found in _ALERT.findall(text))

    tasks = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
    await asyncio.sleep(2)
    memory, busy = usage(pid)
    producer = Producer(producer_config(kafka))
    # the first message of a producer waits for its id, which is no matter of the service
    producer.produce(ALERTS, an_alert(0).encode(), "alert-0000")
    producer.flush(10)
    sent["alert-0000"] = time.monotonic()
    await asyncio.sleep(0.5)
    delays.clear()
    statuses = [(f"press-{n:04}", a_status(f"press-{n:04}").encode()) for n in range(MACHINE_COUNT)]
    reading = json.dumps(ROW | {"machine_id": "x", "timestamp": "2026-03-01T12:00:00Z"}).encode()
    published = alerts = 0
    begun = time.monotonic()
    while (now := time.monotonic()) < begun + SECONDS:
        # each machine's status every 5 s, and a reading and a score a second; two alerts a second
        tick = int((now - begun) * 10)
        for name, status in statuses[tick % 50 :: 50]:
            producer.produce(MACHINES, status, name)
        for name, _ in statuses[tick % 10 :: 10]:
            producer.produce(READINGS, reading, name)
            producer.produce(SCORES, reading, name)
            published += 2
        if tick % 5 == 0:
            alerts += 1
            alert = an_alert(alerts, minutes=alerts)
            sent[alert.alert_id] = time.monotonic()
            producer.produce(ALERTS, alert.encode(), alert.alert_id)
        producer.poll(0)
        await asyncio.sleep(max(0.0, begun + (tick + 1) / 10 - time.monotonic()))
    producer.flush(10)
    await asyncio.sleep(1)
    after, done = usage(pid)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    delays.sort()
    print(
        f"{MACHINE_COUNT:,} machines, {CLIENTS} clients, {SECONDS} s: {sum(heard):,} events sent, {published:,} "
        f"readings and scores taken in; {len(delays)} of {alerts * CLIENTS} alerts heard, "
        f"p50 {delays[len(delays) // 2] * 1e3:.0f} ms, "
        f"p99 {delays[int(0.99 * (len(delays) - 1))] * 1e3:.0f} ms after they were published"
    )
    print(
        f"    memory {memory:.0f} MB before, {after:.0f} MB after; "
        f"{(done - busy) / (time.monotonic() - begun):.0%} of a core"
    )


def main() -> None:
    """Prints all figures."""
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {0} or {0})
    with tempfile.TemporaryDirectory() as folder, embedded_broker() as broker:
        models = train(Path(folder))
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        with service(models, broker.bootstrap_servers) as (port, pid):
            uvloop.run(requests(port))
            uvloop.run(streams(port, pid, kafka))


if __name__ == "__main__":
    main()
