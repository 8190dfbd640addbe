"""Child of the peers benchmark: Quix Streams, in an environment of its own, with nothing to do or with the same work.

The same work: each machine's running averages in Quix's own state (RocksDB with a changelog), both forests by ONNX
Runtime, and one score message a reading. The features are fewer and simpler than ours, which favours it.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from child import Meter  # beside this file: our packages are not in this environment
from quixstreams import Application

_SENSORS = ("power", "temperature", "vibration", "production")
_GAIN = 0.02


def forests(models: str) -> Any:
    """Return a function from four surprises and four averages to a score and a risk."""
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = []
    for name in ("anomaly", "maintenance"):
        file = next(Path(models).glob(f"**/{name}/*/model.onnx"))
        session = onnxruntime.InferenceSession(str(file), options)
        given = session.get_inputs()[0]
        sessions.append((session, given.name, int(given.shape[1])))

    def ask(surprises: list[float], averages: list[float]) -> list[float]:
        answers = []
        for (session, name, width), found in zip(sessions, (surprises, averages), strict=True):
            row = np.zeros((1, width), dtype=np.float32)
            row[0, : len(found)] = found
            answers.append(float(session.run(None, {name: row})[0].ravel()[0]))
        return answers

    return ask


def main() -> None:
    """Print a meter's figures and end; arguments: bootstrap servers, readings, "noop" or the models' folder."""
    servers, wanted, models = sys.argv[1:]
    meter = Meter(int(wanted))
    app = Application(
        broker_address=servers,
        consumer_group=f"quix-{os.getpid()}",
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(),
        loglevel="ERROR",
    )
    frame = app.dataframe(app.topic("nexova.readings", value_deserializer="json"))

    def count(_: Any) -> None:
        meter.add(1)

    if models == "noop":
        frame = frame.update(count)
    else:
        ask = forests(models)

        def score(reading: dict[str, Any], state: Any) -> dict[str, Any]:
            now = [reading[name] for name in _SENSORS]
            before = state.get("averages") or [now, [1.0] * len(now)]
            means, variances = before
            away = [(value - mean) / variance**0.5 for value, mean, variance in zip(now, means, variances, strict=True)]
            means = [mean + _GAIN * (value - mean) for value, mean in zip(now, means, strict=True)]
            variances = [
                variance + _GAIN * (min((value - mean) ** 2, 25 * variance) - variance) + 1e-9
                for value, mean, variance in zip(now, means, variances, strict=True)
            ]
            state.set("averages", [means, variances])
            surprises = [a * abs(a) ** 3 / (a**4 + 1e4) for a in away]
            anomaly, risk = ask(surprises, means)
            return {
                "machine_id": reading["machine_id"],
                "timestamp": reading["timestamp"],
                "anomaly_score": anomaly,
                "risk": risk,
            }

        frame = frame.apply(score, stateful=True).to_topic(app.topic("quix-scores", value_serializer="json"))
        frame = frame.update(count)
    app.run()


if __name__ == "__main__":
    main()
