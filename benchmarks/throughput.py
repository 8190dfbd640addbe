"""Readings a second on a real Kafka, beside a Faust agent and a bare consumer that do nothing.

    make bench BENCH=throughput                  rounds of each in turn, on one broker
    .venv/bin/python -m benchmarks.throughput --readings 3000000 --machines 50 --rounds 1

The worker runs with both models, state, checkpoints and one score message a reading. A machine that others use as
well is now faster and now slower: in each round the agents and the worker run one right after the other, each from the
beginning of the same topic in a group of its own, and a ratio is that of one round. All rounds are shown. Rates are
taken from a tenth of the way on, so that starts and compilation do not count, to the last look at which the worker
still had readings before it; peak memory is that of the worker process.
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
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Producer

from cli.train import train_on_the_spot
from producer.publish import encoded
from producer.simulator import Simulator
from runtime.apache_kafka import apache_kafka
from runtime.children import free_port
from runtime.kafka import consumer_config, create_topics, producer_config
from runtime.plants import load_plant
from runtime.settings import KafkaSettings
from schemas.topics import READINGS

_LOOK_SECONDS = 0.4  # a look costs the worker some 20 ms
_LEAST_LOOKS = 4
_YARDSTICKS = {
    "json": "a no-op Faust agent with Faust's own codec, JSON",
    "raw": "a no-op Faust agent on bytes it does not look into",
}
_COLUMNS = {
    "no-op json": ",.0f",
    "no-op raw": ",.0f",
    "nexova": ",.0f",
    "nexova / no-op json": ".1f",
    "nexova / no-op raw": ".1f",
    "peak MiB half way": ".0f",
    "peak MiB at the end": ".0f",
}
"""What is shown of each round: readings a second, ratios and memory, and how they are written."""


def messages(machines: int, readings: int) -> tuple[list[str], list[bytes]]:
    """Keys and values of so many readings: a simulated plant, one reading a second and machine."""
    plant = load_plant(None)
    seconds = -(-readings // machines)
    now = float(int(time.time()))
    simulator = Simulator(
        plant=plant, machines=machines, seed=3, days=1, now=now, interval_seconds=1.0, always_running=True
    )
    keys, values = [], []
    for first in range(0, seconds, 600):
        instants = now - seconds + np.arange(first, min(first + 600, seconds), dtype=np.float64)
        for machine_id, _, value in encoded(simulator.at(instants), plant.sensor_names):
            keys.append(machine_id)
            values.append(value)
    return keys[:readings], values[:readings]


def publish(kafka: KafkaSettings, keys: list[str], values: list[bytes]) -> float:
    """Sends all; returns readings a second of the sending."""
    producer = Producer(producer_config(kafka))
    started = time.perf_counter()
    for key, value in zip(keys, values, strict=True):
        while True:
            try:
                producer.produce(READINGS, value, key)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
    return len(keys) / (time.perf_counter() - started)


def bare_consumer(kafka: KafkaSettings, wanted: int) -> float:
    """Readings a second of a consumer that only counts."""
    consumer = Consumer(consumer_config(kafka))
    consumer.subscribe([READINGS])
    done, started = 0, time.perf_counter()
    while done < wanted:
        got = len(consumer.consume(10_000, timeout=1))
        if done == 0 and got:
            started = time.perf_counter()
        done += got
    seconds = time.perf_counter() - started
    consumer.close()
    return done / seconds


def noop_faust(kafka: KafkaSettings, wanted: int, codec: str) -> float:
    """Readings a second of a Faust agent that does nothing with the bytes ("raw") or the documents ("json") it gets."""
    command = [sys.executable, "-m", "benchmarks.noop_faust", kafka.bootstrap_servers, str(wanted), codec]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    return float(figures["readings"] / figures["seconds"])


def nexova(
    kafka: KafkaSettings, wanted: int, models: Path, *, group: str | None = None, cores: set[int] | None = None
) -> tuple[float, float, float]:
    """Readings a second of one worker, and its peak memory in MiB half way and at the end. cores: it may use these."""
    port = free_port()
    environment = os.environ | {
        "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "NEXOVA_KAFKA__GROUP": group or f"bench-{os.getpid()}",
        "NEXOVA_PROCESSOR__WEB_PORT": str(port),
        "MODEL_PATH": str(models),
        "LOG_LEVEL": "WARNING",
    }
    worker = subprocess.Popen([sys.executable, "-m", "nexova", "process"], env=environment)
    if cores is not None:
        os.sched_setaffinity(worker.pid, cores)  # before it has threads, which inherit it
    try:
        looks: list[tuple[float, float]] = []
        half = done = 0.0
        deadline = time.monotonic() + 120
        while done < wanted and time.monotonic() < deadline and worker.poll() is None:
            time.sleep(_LOOK_SECONDS)
            done, now = _accepted(port), time.perf_counter()
            if wanted / 10 <= done < wanted:
                looks.append((now, done))
            if half == 0 and done >= wanted / 2:
                half = _peak_mib(worker.pid)
        if done < wanted or len(looks) < _LEAST_LOOKS:
            raise RuntimeError(
                f"{done:,.0f} of {wanted:,} readings were done and {len(looks)} looks taken, {_LEAST_LOOKS} are needed "
                "for a rate; give more --readings, or look why the worker stopped"
            )
        (began, first), (ended, last) = looks[0], looks[-1]
        return (last - first) / (ended - began), half, _peak_mib(worker.pid)
    finally:
        worker.terminate()
        worker.wait(30)


def _accepted(port: int) -> float:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            for line in answer:
                if line.startswith(b"nexova_readings_accepted_total "):
                    return float(line.split()[1])
    except OSError:
        pass  # not up yet
    return 0.0


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} tells no VmHWM; run on Linux")


def main() -> None:
    """Runs all rounds and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=600_000)
    parser.add_argument("--machines", type=int, default=50)
    parser.add_argument("--faust-readings", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    plant = load_plant(None)
    with tempfile.TemporaryDirectory() as folder, apache_kafka() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        models = Path(folder) / "models"
        train_on_the_spot(plant, models)
        keys, values = messages(options.machines, options.readings)
        once = {"publish": publish(kafka, keys, values), "bare_consumer": bare_consumer(kafka, options.readings)}
        rounds = [_round(kafka, models, options, number) for number in range(options.rounds)]
    if options.json:
        print(json.dumps(once | {"rounds": rounds}))
        return
    print(f"{options.readings:,} readings of {options.machines} machines on Apache Kafka, one worker")
    print(f"  once: published {once['publish']:,.0f}, read by a bare consumer {once['bare_consumer']:,.0f} readings/s")
    for name, format_ in _COLUMNS.items():
        figures = [each[name] for each in rounds]
        shown = " ".join(f"{figure:>9{format_}}" for figure in figures)
        middle, least, most = statistics.median(figures), min(figures), max(figures)
        print(f"  {name:20} {shown}   median {middle:{format_}} ({least:{format_}} to {most:{format_}})")
    for codec, what in _YARDSTICKS.items():
        print(f"  {codec}: {what}")


def _round(kafka: KafkaSettings, models: Path, options: argparse.Namespace, number: int) -> dict[str, float]:
    """Each agent, then the worker; figures by the names of `_COLUMNS`."""
    wanted = min(options.faust_readings, options.readings)
    figures = {f"no-op {codec}": noop_faust(kafka, wanted, codec) for codec in _YARDSTICKS}
    rate, half, end = nexova(kafka, options.readings, models, group=f"bench-{os.getpid()}-{number}")
    ratios = {f"nexova / no-op {codec}": rate / figures[f"no-op {codec}"] for codec in _YARDSTICKS}
    return figures | {"nexova": rate} | ratios | {"peak MiB half way": half, "peak MiB at the end": end}


if __name__ == "__main__":
    main()
