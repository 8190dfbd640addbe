"""What a fleet costs: rate, CPU by stage, memory, state written, stop and restart; 50, 10,000 and 100,000 machines.

    make bench BENCH=fleet
    .venv/bin/python -m benchmarks.fleet --machines 10000 --readings 600000

Each reading is its machine's only one in that minute; machines have learned their baselines (of 20 readings here)
before the figures are taken. CPU is that of the worker process alone, per reading, which a busy machine disturbs less
than rates. State is what was written to the changelog, before compression, for each byte of readings.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from confluent_kafka import Producer

from benchmarks.throughput import publish
from runtime.apache_kafka import apache_kafka
from runtime.children import free_port
from runtime.kafka import create_topics, producer_config
from runtime.metrics.processor import Stage
from runtime.settings import KafkaSettings
from schemas.topics import READINGS

_WARM_UP = 20
_PLANT = Path(__file__).parents[1] / "plants" / "default.toml"
_BEGIN = time.time() - 60 * 86_400  # so far back that no reading lies in the future
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Worker:
    """A `nexova process` of its own."""

    process: subprocess.Popen[bytes]
    port: int

    def metric(self, name: str) -> float:
        """The sum of a metric's series; 0 before the worker is up."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def stage_seconds(self) -> dict[Stage, float]:
        """CPU seconds of each stage of the batches."""
        stages: tuple[Stage, ...] = get_args(Stage)
        return {stage: self.metric(f'nexova_stage_cpu_seconds_total{{stage="{stage}"}}') for stage in stages}

    def cpu_seconds(self) -> float:
        """CPU time that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def look(self, done: float) -> tuple[float, float, float, float]:
        """The time, so many readings done, CPU seconds, and bytes of state written."""
        return time.perf_counter(), done, self.cpu_seconds(), self.metric("nexova_changelog_bytes_total")

    def peak_mib(self) -> float:
        """Peak memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def readings(machines: int, first: int, last: int) -> tuple[list[str], list[bytes]]:
    """Keys and values of the readings of these numbers: machines in turn, a minute between two of one machine."""
    random = np.random.default_rng(first)
    values = np.round(random.normal([40, 60, 2.5, 300], [2, 1, 0.2, 10], (last - first, 4)), 3).tolist()
    keys, found = [], []
    for number, (power, temperature, vibration, production) in zip(range(first, last), values, strict=True):
        name, step = f"machine-{number % machines:06d}", number // machines
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_BEGIN + 60 * step))
        keys.append(name)
        found.append(
            f'{{"machine_id":"{name}","timestamp":"{stamp}","power":{power},"temperature":{temperature},'
            f'"vibration":{vibration},"runtime":{step / 60:.3f},"production":{production}}}'.encode()
        )
    return keys, found


def started(kafka: KafkaSettings, folder: Path) -> Worker:
    """A worker with a plant file whose machines learn quickly."""
    plant = folder / "plant.toml"
    lines = _PLANT.read_text().splitlines()
    plant.write_text("\n".join(f"warm_up_readings = {_WARM_UP}" if "warm_up_readings" in one else one for one in lines))
    port = free_port()
    environment = os.environ | {
        "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "NEXOVA_KAFKA__GROUP": kafka.group,
        "NEXOVA_PROCESSOR__WEB_PORT": str(port),
        "NEXOVA_PLANT_FILE": str(plant),
        "NEXOVA_FORECASTS__ENABLED": "false",
        "MODEL_PATH": str(folder / "models"),
        "LOG_LEVEL": "WARNING",
    }
    return Worker(subprocess.Popen([sys.executable, "-m", "nexova", "process"], env=environment), port)


def until(worker: Worker, wanted: float, *, seconds: float) -> Iterator[float]:
    """The number of readings done, again and again until all are."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if worker.process.poll() is not None:
            raise RuntimeError("the worker ended; see its last words above")
        done = worker.metric("nexova_readings_accepted_total")
        yield done
        if done >= wanted:
            return
        time.sleep(0.4)
    raise RuntimeError(f"{done:,.0f} of {wanted:,.0f} readings in {seconds:g} s; give more time or fewer readings")


def figures(machines: int, total: int, *, seconds: float) -> dict[str, float]:
    """All figures of one size."""
    warm = machines * (_WARM_UP + 2)
    with tempfile.TemporaryDirectory() as name, apache_kafka() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        keys, values = readings(machines, 0, warm + total)
        publish(kafka, keys, values)
        worker = started(kafka, Path(name))
        seen = until(worker, warm + total, seconds=seconds)
        looks, stages = [], []
        for done in seen:
            if warm <= done < warm + total:
                looks.append(worker.look(done))
                stages.append(worker.stage_seconds())
        (began, first, cpu, state), (ended, last, cpu_then, state_then) = looks[0], looks[-1]
        size = sum(map(len, values)) / len(values)
        peak = worker.peak_mib()
        stopped_at = time.perf_counter()
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(60)
        stop = time.perf_counter() - stopped_at
        restarted_at = time.perf_counter()
        worker = started(kafka, Path(name))
        _send(kafka, *readings(machines, warm + total, warm + total + 100))
        for _ in until(worker, 1, seconds=seconds):
            pass
        restart = time.perf_counter() - restarted_at
        worker.process.kill()
        worker.process.wait(10)
    return {
        "readings/s": (last - first) / (ended - began),
        "CPU us a reading": (cpu_then - cpu) / (last - first) * 1e6,
        **{f"  {stage} us": (stages[-1][stage] - spent) / (last - first) * 1e6 for stage, spent in stages[0].items()},
        "peak MiB": peak,
        "state bytes a byte": (state_then - state) / ((last - first) * size),
        "stop s": stop,
        "restart to first score s": restart,
    }


def _send(kafka: KafkaSettings, keys: list[str], values: list[bytes]) -> None:
    producer = Producer(producer_config(kafka))
    for key, value in zip(keys, values, strict=True):
        producer.produce(READINGS, value, key)
    producer.flush()


def main() -> None:
    """Measures each size once and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", type=int, nargs="*", default=[50, 10_000, 100_000])
    parser.add_argument("--readings", type=int, default=600_000, help="measured, beside those of the warm-up")
    parser.add_argument("--seconds", type=float, default=600.0, help="patience with one size")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    found = {machines: figures(machines, options.readings, seconds=options.seconds) for machines in options.machines}
    if options.json:
        print(json.dumps(found))
        return
    print(f"{'machines':28}" + "".join(f"{machines:>12,}" for machines in found))
    for name in next(iter(found.values())):
        print(f"{name:28}" + "".join(f"{each[name]:>12,.2f}" for each in found.values()))


if __name__ == "__main__":
    main()
