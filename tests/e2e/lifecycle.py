"""Readings under way while models change, and what became of them: shared by the tests of the model lifecycle.

`CALM` anomaly models call every reading usual and `RARE` ones every reading rare, so that each score tells which of
them gave it.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from runtime.plants import shipped_plants
from schemas.topics import SCORES
from tests.brokers import Broker
from tests.e2e.workers import Worker, eventually, publish, read_all

MACHINES = tuple(f"pump-{number:02d}" for number in range(8))
CHUNK = 25
BEGIN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
CALM, RARE = (0.0, 0.005, 0.01), (0.98, 0.985, 0.99)
FIRST, SECOND = "20260301T120000Z", "20260301T120500Z"
WARM_UP = 40
Scored = dict[str, list[tuple[int, float | None, float | None]]]
"""By machine: (minute, anomaly score, risk) of each score message, in the order of publication."""


@dataclass
class Load:
    """Readings of all machines, published a chunk at a time until stopped. step: how many minutes are acknowledged."""

    broker: Broker
    step: int = 0
    end: dict[int, int] = field(default_factory=dict)
    failure: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            while not self._stop.wait(0.1):
                self.end |= publish(self.broker, self._chunk())
                self.step += CHUNK
        except BaseException as error:
            self.failure = error
            raise

    def _chunk(self) -> Iterator[tuple[str, bytes]]:
        values = np.random.default_rng(self.step).normal([40, 60, 2.5, 300], [2, 1, 0.2, 10], (CHUNK, len(MACHINES), 4))
        for row in range(CHUNK):
            minute = self.step + row
            at = datetime.fromtimestamp(BEGIN + 60 * minute, UTC).isoformat()
            for machine, machine_id in enumerate(MACHINES):
                names = ("power", "temperature", "vibration", "production")
                reading = dict(zip(names, values[row, machine].round(3).tolist(), strict=True))
                reading |= {"machine_id": machine_id, "timestamp": at, "runtime": round(minute / 60, 4)}
                yield machine_id, json.dumps(reading).encode()

    def passes(self, chunks: int = 2) -> None:
        """Waits until some more was published."""
        least = self.step + chunks * CHUNK
        eventually(lambda: self.step >= least or self.failure is not None, seconds=60, what="more load")
        assert self.failure is None, self.failure

    def done_by(self, *among: Worker) -> int:
        """Waits until these workers have dealt with all that is published by now; returns how many minutes that is."""
        step = self.step
        least = step * len(MACHINES)
        eventually(
            lambda: sum(worker.metric("nexova_readings_accepted_total") for worker in among) >= least,
            seconds=60,
            what=f"{least} readings taken by {len(among)} workers",
        )
        return step


@contextmanager
def load(broker: Broker) -> Iterator[Load]:
    running = Load(broker)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        running._stop.set()
        thread.join()


def a_plant_that_learns_quickly(folder: Path) -> Path:
    text = shipped_plants()["default"].read_text()
    for setting, value in (("warm_up_readings", WARM_UP), ("settle_seconds", 0)):
        lines = [f"{setting} = {value}" if line.startswith(f"{setting} ") else line for line in text.splitlines()]
        text = "\n".join(lines)
    plant = folder / "plant.toml"
    plant.write_text(text)
    return plant


def running_versions(worker: Worker) -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for labels in worker.labels("nexova_model_info"):
        versions.setdefault(labels["name"], []).append(labels["version"])
    return versions


def minute(text: str) -> int:
    return round((datetime.fromisoformat(text).timestamp() - BEGIN) / 60)


def scores_of(broker: Broker) -> Scored:
    """All score messages of a broker."""
    found: Scored = {}
    for _, value in read_all(broker, SCORES):
        score = json.loads(value or b"")
        row = (minute(score["timestamp"]), score["anomaly_score"], score["risk"])
        found.setdefault(score["machine_id"], []).append(row)
    return found
