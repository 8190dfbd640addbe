"""What it costs to decode readings of others, as a multiple of what our own cost, for each value.

    python -m benchmarks.decode

Rounds of all kinds take turns, so that what else the machine does falls on all of them; the medians are compared.
"""

import argparse
import gc
import json
import math
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from core.batch import decode_records
from core.plant import parse_plant
from core.sources.documents import json_documents
from core.sources.gather import Gatherer
from core.sources.mapping import compile_source, long_columns
from core.sources.reading import record_reader
from core.sources.record import MappedValue, Raw
from runtime.plants import plant_path
from schemas.codec import ReadingDecoder

READINGS = 4_000
MACHINES = 50
START = 1_772_366_400
NAMES = ("power", "temperature", "vibration", "runtime", "production")
WIDE = """
[[source]]
topic = "wide"
machine_id = "device.id"
time = "ts"
time_format = "ms"
[source.sensors]
power = { path = "d.P", unit = "W" }
temperature = { path = "d.T", unit = "°F" }
vibration = "d.V"
runtime = "d.H"
production = "d.N"
[[source]]
topic = "long"
form = "long"
tag = "path:tag {machine_id}/{sensor}"
time = "ts"
time_format = "ms"
[[source]]
topic = "text"
machine_id = "m"
time = "ts"
time_format = "ms"
"""


def rows() -> list[tuple[str, int, dict[str, float]]]:
    """Return machine, time and values of readings."""
    return [
        (
            f"press-{n % MACHINES:02d}",
            START + n // MACHINES,
            {name: 40.0 + n % 97 + i / 7 for i, name in enumerate(NAMES)},
        )
        for n in range(READINGS)
    ]


def kinds() -> dict[str, tuple[int, Callable[[], int]]]:
    """Return for each kind how many values it has, and the function that decodes them and returns as many."""
    plant = parse_plant(plant_path(None).read_text(encoding="utf-8") + WIDE, source="benchmark")
    now, total = datetime.now(UTC), READINGS * len(NAMES)
    ours, nested, tags, words = [], [], [], []
    for machine_id, second, values in rows():
        at = datetime.fromtimestamp(second, UTC).isoformat()
        ours.append(json.dumps({"machine_id": machine_id, "timestamp": at} | values).encode())
        short = dict(zip("PTVHN", values.values(), strict=True))
        nested.append(json.dumps({"device": {"id": machine_id}, "ts": second * 1000, "d": short}).encode())
        words.append(
            json.dumps({"m": machine_id, "ts": second * 1000} | {n: str(v) for n, v in values.items()}).encode()
        )
        for name, value in values.items():
            tags.append(json.dumps({"tag": f"{machine_id}/{name}", "ts": second * 1000, "value": value}).encode())
    decoder = ReadingDecoder(plant.sensor_names)
    offsets = list(range(READINGS))

    def default() -> int:
        found = decode_records(offsets, ours, decoder=decoder, plant=plant, now=now, max_message_bytes=1_048_576)
        return len(found.batch) * len(NAMES)

    def mapped(source_of: int, messages: list[bytes]) -> Callable[[], int]:
        source = plant.source[source_of]
        slow = compile_source(source, plant, lambda raw: json_documents(raw.value or b""))
        read = record_reader(source, plant, slow)
        records = [Raw(message, None, (), source.name, 0.0) for message in messages]

        def run() -> int:
            readings = 0
            columns = [column for column, *_ in long_columns(source, plant).values()]
            gatherer = Gatherer(width=len(NAMES), columns=columns, within=0.0, wait=math.inf)
            for found in map(read, records):
                if type(found) is MappedValue:
                    gatherer.add_one(found, 0.0, 0.0)
                else:
                    readings += 1
            return (readings + len(gatherer.flush())) * len(NAMES)

        return run

    return {
        "readings as ours": (total, default),
        "wide, nested, scaled": (total, mapped(0, nested)),
        "wide, numbers as text": (total, mapped(2, words)),
        "long, one value a message": (total, mapped(1, tags)),
    }


def main() -> None:
    """Measure, and print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {}
    measured = kinds()
    # as the bridge and the workers do
    gc.freeze()
    gc.set_threshold(100_000)
    for number in range(rounds + 1):
        for name, (total, run) in measured.items():
            gc.collect()
            began = time.perf_counter()
            assert run() == total, name  # noqa: S101
            if number:  # the first round warms up
                taken.setdefault(name, []).append((time.perf_counter() - began) / total)
    base = taken["readings as ours"]
    for name, times in taken.items():
        ratios = sorted(one / ours for one, ours in zip(times, base, strict=True))
        print(
            f"{name:28} {statistics.median(times) * 1e9:6.0f} ns a value, {statistics.median(ratios):5.2f} x ours "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
