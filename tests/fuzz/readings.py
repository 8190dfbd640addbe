"""Hostile readings among good ones through the rules: what is accepted, what is refused and why, memory and speed.

make fuzz MESSAGES=1000000 SEED=1
"""

import argparse
import gc
import random
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from core.admission import admitted
from core.assess import assess
from core.batch import Decoded, decode_records
from core.models import Models
from core.state.fleet import FleetState
from runtime.plants import load_plant
from schemas.codec import ReadingDecoder
from tests.fuzz.messages import Document, Sent, hostile_readings

BATCH: Final = 2048
"""Messages of a batch."""
MACHINES: Final = 200
MOST_MACHINES: Final = 2_000
NOW: Final = datetime(2026, 3, 2, tzinfo=UTC)
_MAX_BYTES: Final = 1_048_576


@dataclass(kw_only=True)
class Outcome:
    """What became of the readings. good, good_accepted: readings of well-behaved machines.

    ratios: readings accepted a second beside hostile messages over those without, by batch. growth_bytes: of the
    resident memory, from a tenth of the run to its end.
    """

    messages: int = 0
    hostile: int = 0
    sent: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    good: int = 0
    good_accepted: int = 0
    ratios: list[float] = field(default_factory=list)
    machines: int = 0
    growth_bytes: int = 0


class Door:
    """The door for readings: decoding, admission and rules, with the state of one partition."""

    def __init__(self) -> None:
        self.plant = load_plant(None)
        self.state = FleetState(self.plant)
        self._decoder = ReadingDecoder(self.plant.sensor_names)
        self._offset = 0

    def take(self, values: list[bytes | None]) -> tuple[Decoded, list[tuple[int, str]], list[str]]:
        """Process a batch; return what was decoded, what was turned away, and the machine of each accepted reading."""
        offsets = list(range(self._offset, self._offset + len(values)))
        self._offset += len(values)
        decoded = decode_records(
            offsets, values, decoder=self._decoder, plant=self.plant, now=NOW, max_message_bytes=_MAX_BYTES
        )
        batch, away = admitted(decoded.batch, self.state, most_machines=MOST_MACHINES)
        found = assess(batch, state=self.state, models=Models(), plant=self.plant)
        self.state = found.state
        taken = found.scores.batch
        return decoded, away, [taken.machine_ids[index] for index in taken.machine.tolist()]


def good_reading(number: int) -> Document:
    """Return a plausible reading of a well-behaved machine."""
    at = NOW - timedelta(hours=20) + timedelta(seconds=number // MACHINES)
    return {
        "machine_id": f"good-{number % MACHINES}", "timestamp": at.isoformat(), "power": 40 + number % 7,
        "temperature": 60 + number % 5, "vibration": 2.5, "runtime": 100.0, "production": 300 + number % 3,
    }  # fmt: skip


def run(messages: int, *, seed: int, share: float = 0.1) -> Outcome:
    """Send `messages` messages, `share` of them hostile, and as many good ones alone for comparison."""
    chance = random.Random(seed)
    hostile = hostile_readings(seed, lambda number: good_reading(number) | {"machine_id": f"bad-{number % 50}"})
    outcome, door, calm = Outcome(), Door(), Door()
    encode = msgspec.json.Encoder().encode
    numbers = {"mixed": 0, "calm": 0}
    start_bytes = 0

    def good(stream: str) -> bytes:
        numbers[stream] += 1
        return encode(good_reading(numbers[stream]))

    while outcome.messages < messages:
        drawn = [next(hostile) if chance.random() < share else None for _ in range(BATCH)]
        values = [good("mixed") if one is None else one.value for one in drawn]
        beside = [good("calm") for one in drawn if one is None]
        seconds = _seconds(calm.take, beside)
        before = time.process_time()
        decoded, away, taken = door.take(values)
        slower = time.process_time() - before
        outcome.ratios.append(len(taken) / slower / (len(beside) / seconds))
        _count(outcome, drawn, decoded, away, taken)
        if not start_bytes and outcome.messages >= messages / 10:
            gc.collect()
            start_bytes = _resident_bytes()
    gc.collect()
    outcome.growth_bytes = _resident_bytes() - start_bytes
    outcome.machines = len(door.state.ids)
    return outcome


def _count(outcome: Outcome, drawn: list[Sent | None], decoded: Decoded, away: list[Any], taken: list[str]) -> None:
    bad = [one for one in drawn if one is not None]
    outcome.messages += len(drawn)
    outcome.hostile += len(bad)
    outcome.good += len(drawn) - len(bad)
    outcome.sent += len(drawn) - len(bad) + sum(one.elements for one in bad)
    outcome.accepted += len(taken)
    outcome.good_accepted += sum(name.startswith("good-") for name in taken)
    for _, refusal in decoded.refused:
        outcome.refused[refusal.reason] += refusal.count
    outcome.refused["too_many_machines"] += len(away)


def _seconds(take: Any, values: list[bytes | None] | list[bytes]) -> float:
    before = time.process_time()
    take(values)
    return time.process_time() - before


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> None:
    """Run, and print what became of the messages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.1)
    options = parser.parse_args()
    found = run(options.messages, seed=options.seed, share=options.share)
    refused = sum(found.refused.values())
    whole = found.accepted + refused == found.sent
    lines = [
        f"{found.messages:,} messages, {found.hostile:,} of them hostile, seed {options.seed}",
        f"{found.sent:,} readings sent = {found.accepted:,} accepted + {refused:,} refused: {whole}",
        *(f"  {reason} {count:,}" for reason, count in found.refused.most_common()),
        f"good readings: {found.good_accepted:,} of {found.good:,} accepted",
        f"rate of accepted readings: {statistics.median(found.ratios):.2f} of that without hostile messages (median)",
        f"memory {found.growth_bytes / 1e6:+.1f} MB since a tenth of the run, {found.machines:,} machines",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(not whole)


if __name__ == "__main__":
    main()
