"""Child of the benchmarks: a Faust agent that does nothing, or asks scikit-learn for each reading, timed."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import faust
import numpy as np
from sklearn.ensemble import IsolationForest, RandomForestRegressor

from benchmarks.child import Meter
from schemas.topics import READINGS

_SENSORS = ("power", "temperature", "vibration", "production")
_TREES = 100


def forests() -> Callable[[dict[str, float]], None]:
    """Return what asks an isolation forest and a random forest for one reading."""
    rows = np.random.default_rng(1).normal([40, 60, 2.5, 300], [2, 1, 0.2, 10], (5000, 4))
    anomaly = IsolationForest(n_estimators=_TREES, random_state=1).fit(rows)
    maintenance = RandomForestRegressor(n_estimators=_TREES, min_samples_leaf=20, random_state=1).fit(rows, rows[:, 0])

    def ask(reading: dict[str, float]) -> None:
        row = np.array([[reading[name] for name in _SENSORS]])
        anomaly.decision_function(row)
        maintenance.predict(row)

    return ask


def main() -> None:
    """Print a meter's figures and end; arguments: bootstrap servers, readings, codec, "sklearn" for forests."""
    broker, wanted, codec = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    ask = forests() if "sklearn" in sys.argv[4:] else None
    folder = tempfile.TemporaryDirectory()
    app = faust.App(
        f"noop-{os.getpid()}",
        broker=f"kafka://{broker}",
        store="memory://",
        datadir=folder.name,
        autodiscover=False,
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic(READINGS, value_serializer=codec, key_serializer="raw")
    meter = Meter(wanted)

    @app.agent(topic)
    async def noop(stream: Any) -> None:
        done = 0
        async for reading in stream:
            if ask is not None:
                ask(reading)
            done += 1
            meter.add(1)
            if done % 4096 == 0:
                await asyncio.sleep(0)

    faust.Worker(app, loglevel="ERROR", override_logging=False, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
