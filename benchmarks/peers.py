"""Rates and costs beside the peers, on one real Kafka, in interleaved rounds.

    make bench BENCH=peers
    .venv/bin/python -m benchmarks.peers --rounds 5 --machines 50

In each round every contestant reads the same topic from its beginning, one right after the other, in a process of its
own; a ratio is that of one round. Shown are medians and, in brackets, the least and the most. CPU is of the
contestant's process, for each reading; the broker is apart. Quix Streams gets an environment of its own
in the cache folder of the user.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.fleet import Worker, readings, started, until
from benchmarks.throughput import publish
from cli.train import train_on_the_spot
from runtime.apache_kafka import apache_kafka
from runtime.kafka import create_topics
from runtime.plants import load_plant
from runtime.settings import KafkaSettings

_HERE = Path(__file__).parent
_QUIX = ("quixstreams==3.28.1", "onnxruntime==1.32.0", "numpy")
_TIMEOUT = 240
Figures = dict[str, float]
OURS = "nexova"


def quix_python() -> Path:
    """Return the interpreter of Quix's environment, made where it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "nexova" / "peers" / "-".join(_QUIX).replace("=", "")
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *_QUIX], check=True)
        (folder / "ready").touch()
    return python


def child(command: list[str]) -> Figures:
    """Run a contestant to its end; return readings a second, CPU and memory."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "Quix__Telemetry__Enabled": "false"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, env=environment)
    if done.returncode != 0 or not done.stdout.strip():
        raise RuntimeError(f"{' '.join(command[1:4])} ended with {done.returncode}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "rate": found["readings"] / found["seconds"],
        "cpu": found["cpu_seconds"] / found["readings"] * 1e6,
        "peak": found["peak_mib"],
    }


def ours(kafka: KafkaSettings, folder: Path, wanted: int) -> Figures:
    """Return the same of one worker with all that it does: both models, durable state, one score message a reading."""
    worker: Worker = started(kafka, folder)
    try:
        looks = [worker.look(done) for done in until(worker, wanted, seconds=_TIMEOUT) if wanted / 10 <= done < wanted]
        (began, first, cpu, _), (ended, last, cpu_then, _) = looks[0], looks[-1]
        done = last - first
        return {"rate": done / (ended - began), "cpu": (cpu_then - cpu) / done * 1e6, "peak": worker.peak_mib()}
    finally:
        worker.process.terminate()
        worker.process.wait(30)


def contestants(kafka: KafkaSettings, folder: Path, wanted: int) -> dict[str, Callable[[], Figures]]:
    """Return what runs each contestant once; slow ones are given fewer readings."""
    servers, models, plant = kafka.bootstrap_servers, str(folder / "models"), str(folder / "plant.toml")

    def number(most: int) -> str:
        return str(min(most, wanted))

    def module(name: str, *arguments: str) -> Callable[[], Figures]:
        return lambda: child([sys.executable, "-m", f"benchmarks.{name}", servers, *arguments])

    def quix(*arguments: str) -> Callable[[], Figures]:
        return lambda: child([str(quix_python()), str(_HERE / "quix_agent.py"), servers, *arguments])

    return {
        OURS: lambda: ours(kafka.model_copy(update={"group": f"peers-{time.monotonic_ns()}"}), folder, wanted),
        "bare librdkafka, same work": module("bare", number(wanted), "librdkafka", plant, models),
        "bare aiokafka, same work": module("bare", number(wanted), "aiokafka", plant, models),
        "Quix Streams, no-op": quix(number(150_000), "noop"),
        "Quix Streams, same work": quix(number(8_000), models),
        "Faust, no-op": module("noop_faust", number(20_000), "json"),
        "Faust, scikit-learn a reading": module("noop_faust", number(300), "json", "sklearn"),
    }


def table(rounds: list[dict[str, Figures]]) -> list[str]:
    """Return the rows of a table of medians and spreads; ratios are those of one round."""
    lines = ["| contestant | readings/s | CPU us a reading | peak MiB | nexova is so many times as fast |"]
    lines.append("|---|---:|---:|---:|---:|")
    for name in rounds[0]:
        ratios = [each[OURS]["rate"] / each[name]["rate"] for each in rounds]
        cells = [_spread([each[name][figure] for each in rounds]) for figure in ("rate", "cpu", "peak")]
        lines.append(f"| {name} | {' | '.join(cells)} | {_spread(ratios)} |")
    return lines


def _spread(values: list[float]) -> str:
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    return f"{middle:,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def measured(machines: int, total: int, count: int, *, only: tuple[str, ...] = ()) -> list[dict[str, Figures]]:
    """Return the figures of each round, by contestant."""
    with tempfile.TemporaryDirectory() as name, apache_kafka() as broker:
        folder = Path(name)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        create_topics(kafka)
        train_on_the_spot(load_plant(None), folder / "models")
        publish(kafka, *readings(machines, 0, total))
        runs = contestants(kafka, folder, total)
        rounds: list[dict[str, Figures]] = []
        for number in range(count):
            figures: dict[str, Figures] = {}
            for contestant, run in runs.items():
                if not only or contestant in only:
                    figures[contestant] = run()
                    found = figures[contestant]
                    print(
                        f"round {number + 1}: {contestant}: {found['rate']:,.0f}/s, {found['cpu']:.1f} us, "
                        f"{found['peak']:.0f} MiB",
                        file=sys.stderr,
                        flush=True,
                    )
            rounds.append(figures)
        return rounds


def main() -> None:
    """Run all rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", type=int, default=50)
    parser.add_argument("--readings", type=int, default=600_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    rounds = measured(options.machines, options.readings, options.rounds)
    if options.json:
        print(json.dumps(rounds))
        return
    print(
        f"{options.readings:,} readings of {options.machines:,} machines, {options.rounds} rounds on one Apache Kafka"
    )
    print("\n".join(table(rounds)))


if __name__ == "__main__":
    main()
