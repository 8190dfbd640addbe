"""Faults on a seeded schedule against the real processes and a real broker, and an oracle of what must come out.

    make chaos SEED=7 MINUTES=5

Two workers take readings on while they are killed, stopped, paused beyond their session, and while the broker stands
still. In the end the topics must say what the same rules say of the same readings without any of it.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from confluent_kafka import Producer

from core.advance import advance_time
from core.assess import assess
from core.batch import ReadingBatch
from core.models import Models
from core.state.fleet import FleetState
from processor.changelog import MACHINES as MACHINES_TABLE
from processor.changelog import changelog_of
from runtime.kafka import create_topics, producer_config
from runtime.plants import load_plant
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.topics import ALERTS, ENERGY, READINGS
from tests.brokers import Broker, running_apache_kafka
from tests.e2e.workers import Worker, Workers, read_all, wait_committed, workers

MACHINES: Final = tuple(f"pump-{number:02d}" for number in range(20))
PLANT: Final = load_plant(None)
BEGIN: Final = datetime(2026, 3, 2, 6, tzinfo=UTC).timestamp()
STEP_SECONDS: Final = 5.0
"""Event time between two readings of a machine."""
PAUSE_SECONDS: Final = (9.0, 14.0)
"""Longer than the session of a worker."""
OUTAGE_SECONDS: Final = (3.0, 20.0)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came out beside what must: differences by what they are in, empty where all is right; and what was done."""

    differences: dict[str, str]
    faults: Counter[str]
    recovery_seconds: dict[str, list[float]]
    readings: int


@dataclass
class Feed:
    """Readings of all machines, step by step, at a steady rate; remembers what it sent."""

    broker: Broker
    seed: int
    per_second: int = 400
    steps: int = 0
    ends: dict[int, int] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def values(self, step: int) -> np.ndarray:
        """Values (machines, sensors) of a step: steady machines; every fourth is too hot for a while now and then."""
        drawn = np.random.default_rng([self.seed, step]).normal([40, 60, 2.5, 0, 300], [2, 1, 0.2, 0, 10], (20, 5))
        drawn[:, 3] = step * STEP_SECONDS / 3600
        hot = (np.arange(20) % 4 == 0) & ((step // 20 + np.arange(20)) % 9 == 0)
        drawn[hot, 1] += 58
        return np.round(drawn, 3)

    def run(self) -> None:
        """Send until stopped."""
        producer = Producer(producer_config(self.broker.kafka) | {"message.timeout.ms": 300_000})
        began = time.monotonic()
        while not self.stopped.is_set():
            self.send(producer, self.steps)
            self.steps += 1
            producer.poll(0)
            self.stopped.wait(max(0.0, began + self.steps * len(MACHINES) / self.per_second - time.monotonic()))
        assert producer.flush(120) == 0

    def send(self, producer: Producer, step: int) -> None:
        """Send one step."""
        at = datetime.fromtimestamp(BEGIN + step * STEP_SECONDS, UTC).isoformat()
        for machine_id, row in zip(MACHINES, self.values(step).tolist(), strict=True):
            value = json.dumps(
                {"machine_id": machine_id, "timestamp": at} | dict(zip(PLANT.sensor_names, row, strict=True))
            )
            producer.produce(READINGS, value, machine_id, on_delivery=self._note)

    def _note(self, error: object, message: object) -> None:
        assert error is None, error
        partition, offset = message.partition(), message.offset()  # type: ignore[attr-defined]
        self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)


@dataclass
class Chaos:
    """One run. chance: draws the schedule, so that a seed repeats it."""

    broker: Broker
    group: Workers
    feed: Feed
    chance: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    recovery: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def run(self, seconds: float) -> None:
        """Do one fault after another until the time is over."""
        kinds: dict[str, Callable[[], None]] = {
            "kill -9": self.kill,
            "SIGTERM": self.term,
            "SIGSTOP beyond the session": self.pause,
            "broker stands still": self.outage,
            "a third worker comes and goes": self.join,
        }
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.chance.uniform(0.5, 4.0))
            kind = self.chance.choice(sorted(kinds))
            sys.stderr.write(f"{kind}\n")
            kinds[kind]()
            self.faults[kind] += 1
            began = time.monotonic()
            wait_committed(self.broker, dict(self.feed.ends), seconds=150)
            self.recovery[kind].append(time.monotonic() - began)

    def _alive(self) -> list[Worker]:
        return [worker for worker in self.group.started if worker.process.poll() is None]

    def kill(self) -> None:
        """Kill a worker, and start another."""
        self.chance.choice(self._alive()).kill()
        self.group.start()

    def term(self) -> None:
        """Stop a worker, which must end by itself, and start another."""
        worker = self.chance.choice(self._alive())
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(12) in {0, -signal.SIGTERM}
        self.group.start()

    def pause(self) -> None:
        """Pause a worker for longer than its session."""
        worker = self.chance.choice(self._alive())
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.uniform(*PAUSE_SECONDS))
        worker.process.send_signal(signal.SIGCONT)

    def outage(self) -> None:
        """Let the broker answer nobody for a while."""
        assert self.broker.pid is not None
        os.kill(self.broker.pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(*OUTAGE_SECONDS))
        os.kill(self.broker.pid, signal.SIGCONT)

    def join(self) -> None:
        """Start a third worker, and stop it once it has its share."""
        worker = self.group.start()
        self.group.wait_ready(seconds=120)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(12) in {0, -signal.SIGTERM}


def expected(feed: Feed) -> tuple[dict[str, Alert], dict[str, EnergyWindow]]:
    """What the same rules say of each machine's readings, in one go: the last of each alert and window."""
    alerts: dict[str, Alert] = {}
    windows: dict[str, EnergyWindow] = {}
    values = np.stack([feed.values(step) for step in range(feed.steps)])
    times = BEGIN + STEP_SECONDS * np.arange(feed.steps)
    for machine, machine_id in enumerate(MACHINES):
        batch = ReadingBatch.from_columns([machine_id] * feed.steps, times, values[:, machine])
        assessment = assess(batch, state=FleetState(PLANT), models=Models(), plant=PLANT)
        alerts |= {alert.alert_id: alert for _, alert in assessment.alerts}
        windows |= {window.key: window for window in assessment.energy_windows}
        passed = advance_time(assessment.state, plant=PLANT, now=times[-1] + 1e5, idle_seconds=1e5)
        windows |= {window.key: window for window in passed.energy_windows}
    # numbers are rounded on the wire
    return (
        {key: Alert.model_validate_json(alert.encode()) for key, alert in alerts.items()},
        {key: EnergyWindow.model_validate_json(window.encode()) for key, window in windows.items()},
    )


def verdict(broker: Broker, feed: Feed) -> dict[str, str]:
    """What differs between the topics and what must be in them."""
    alerts, windows = expected(feed)
    said = [Alert.model_validate_json(value) for _, value in read_all(broker, ALERTS) if value]
    last = {alert.alert_id: alert for alert in said if alert.kind != "silent"}
    hours = [EnergyWindow.model_validate_json(value) for _, value in read_all(broker, ENERGY) if value]
    closed = {window.key: window for window in hours}
    state = FleetState(PLANT)
    state.restore([(key or b"", value) for key, value in read_all(broker, changelog_of(broker.kafka, MACHINES_TABLE))])
    counts = {name: int(state.tracks.readings[state.slots[name]]) for name in MACHINES if name in state.slots}
    found = {}
    wrong = [name for name in MACHINES if counts.get(name) != feed.steps]
    if wrong:
        found["counts"] = f"{len(wrong)} machines, such as {wrong[0]}: {counts.get(wrong[0])} of {feed.steps}"
    others = [one for one in alerts.keys() | last.keys() if alerts.get(one) != last.get(one)]
    if others:
        found["alerts"] = f"{len(others)} of {len(alerts)}: {alerts.get(others[0])} and {last.get(others[0])}"
    plain = {key: _plain(window) for key, window in closed.items()}
    unequal = [key for key, window in plain.items() if window != _plain(windows[key])]
    if unequal:
        found["windows"] = f"{len(unequal)} of {len(closed)}: {closed[unequal[0]]} and {windows[unequal[0]]}"
    revisions: dict[str, int] = {}
    for window in hours:
        if window.revision <= revisions.get(window.key, -1):
            found["revisions"] = f"{window.key}: {window.revision} after {revisions[window.key]}"
        revisions[window.key] = window.revision
    return found


def _plain(window: EnergyWindow) -> EnergyWindow:
    return window.model_copy(update={"revision": 0, "final": True})


def run(*, seed: int, seconds: float) -> Verdict:
    """One run of faults from a seed."""
    with tempfile.TemporaryDirectory() as folder, running_apache_kafka() as broker:
        create_topics(broker.kafka)
        feed = Feed(broker=broker, seed=seed)
        with workers(broker, Path(folder)) as group:
            group.start()
            group.start()
            group.wait_ready(seconds=150)
            sender = threading.Thread(target=feed.run, daemon=True)
            sender.start()
            chaos = Chaos(broker=broker, group=group, feed=feed, chance=random.Random(seed))
            try:
                chaos.run(seconds)
            finally:
                feed.stopped.set()
                sender.join(150)
            wait_committed(broker, dict(feed.ends), seconds=150)
        return Verdict(
            differences=verdict(broker, feed),
            faults=chaos.faults,
            recovery_seconds=dict(chaos.recovery),
            readings=feed.steps * len(MACHINES),
        )


def main() -> None:
    """Run and print the table of docs/reliability.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    found = run(seed=options.seed, seconds=60 * options.minutes)
    lines = ["| Fault | Times | Recovered in s, median and most |", "| --- | --- | --- |"]
    for kind, count in sorted(found.faults.items()):
        seconds = sorted(found.recovery_seconds[kind])
        lines.append(f"| {kind} | {count} | {seconds[len(seconds) // 2]:.1f}, {seconds[-1]:.1f} |")
    result = "counts, alerts, windows and revisions as without faults"
    lines += ["", f"{found.readings:,} readings, seed {options.seed}: {found.differences or result}", ""]
    sys.stdout.write("\n".join(lines))
    sys.exit(bool(found.differences))


if __name__ == "__main__":
    main()
