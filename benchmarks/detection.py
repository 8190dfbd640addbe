"""Cost of features and detectors, in microseconds a reading of one process, at 50 and at 10,000 machines.

    make bench BENCH=detection
    .venv/bin/python -m benchmarks.detection --rounds 9

Readings of the default plant, five sensors, in batches of 4,096, all machines learned. Timed is `observe`: features,
distance and surprise; not decoding, forests, alerts, energy or messages. Rounds of both sizes alternate; shown are
the least and the median of each, in CPU time, as a machine that others use as well is slower at times, never faster.
"""

import argparse
import statistics
import time

import numpy as np

from core.batch import ReadingBatch
from core.detection.features import observe, physical
from core.plant import Plant
from core.state import FleetState
from runtime.plants import load_plant

BATCH = 4096
WARM_UP = 60
MEASURED = 20 * BATCH
SIZES = (50, 10_000)


class Fleet:
    """So many machines that have learned, and readings that go round among them."""

    def __init__(self, machines: int, plant: Plant) -> None:
        self.machines, self.plant = machines, plant
        self.state = FleetState(plant)
        self.random = np.random.default_rng(machines)
        self.ids = [f"press-{number}" for number in range(machines)]
        self.slots = self.state.slots_of(self.ids)
        self.next = 0
        # a fit takes milliseconds: fifty machines learn, and the others are like them
        self.machines = min(machines, SIZES[0])
        self.run(self.machines * (WARM_UP + 1))
        for column in self.state.tracks:
            column[:machines] = column[np.arange(machines) % self.machines]
        self.machines = machines

    def run(self, readings: int) -> float:
        """Observe so many readings; return the time taken, s."""
        taken = 0.0
        for begin in range(0, readings, BATCH):
            count = min(BATCH, readings - begin)
            number = np.arange(self.next, self.next + count)
            machine = number % self.machines
            self.next += count
            values = self.random.normal([50.0, 60.0, 2.5, 100.0, 300.0], [2.0, 1.0, 0.1, 0.0, 5.0], (count, 5))
            batch = ReadingBatch(
                machine_ids=tuple(self.ids),
                machine=machine,
                timestamps=1_767_571_200.0 + 60.0 * (number // self.machines),
                values=values,
                offsets=number,
            )
            began = time.thread_time()
            observe(
                batch,
                slots=self.slots[machine],
                values=physical(values, self.plant),
                tracks=self.state.tracks,
                traits=self.state.traits,
                warm_ups=self.state.warm_ups,
                plant=self.plant,
                habits=self.state.habits,
            )
            taken += time.thread_time() - began
        return taken


def main() -> None:
    """Print the cost at both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    plant = load_plant(None)
    plant = plant.model_copy(update={"detection": plant.detection.model_copy(update={"warm_up_readings": WARM_UP})})
    fleets = [Fleet(machines, plant) for machines in SIZES]
    costs: dict[int, list[float]] = {machines: [] for machines in SIZES}
    for _ in range(rounds):
        for fleet in fleets:
            costs[fleet.machines].append(fleet.run(MEASURED) / MEASURED * 1e6)
    for machines, each in costs.items():
        print(f"{machines:>6,} machines: {min(each):.2f} us a reading at least, median {statistics.median(each):.2f}")


if __name__ == "__main__":
    main()
