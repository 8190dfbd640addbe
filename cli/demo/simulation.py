"""Simulated plant of a demo run: a history at the plant's interval, then live machines with injected faults."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
import numpy as np

from core.plant import Plant
from producer.faults import InjectedFault
from producer.publish import Publisher, Readings
from producer.simulator import Simulator
from runtime.errors import FailureError
from runtime.settings import KafkaSettings

LIVE_INTERVAL_SECONDS: Final = 0.5
FAULT_EVERY_SECONDS: Final = 5.0
_ROUND_SECONDS: Final = 60.0  # of an endless live phase, for which faults are planned ahead
_BAD_AT: Final = (0.2, 0.45, 0.7)  # fractions of a round at which a bad message is sent
_LEAD_SECONDS: Final = 0.5


class Simulation:
    """Simulated machines that publish readings.

    faults: injected in the live phase; cut_faults: those cut short by its end. live_from, live_until: its first
    reading and its end, epoch seconds; ends_at: its planned end, None: when it is stopped. grace_seconds: see
    `cli.demo.truth`.
    """

    def __init__(self, plant: Plant, kafka: KafkaSettings, *, machines: int, seed: int, days: float) -> None:
        self._plant = plant
        self._publisher = Publisher(kafka)
        self._simulator = Simulator(
            plant=plant,
            machines=machines,
            seed=seed,
            days=days,
            now=float(np.floor(time.time() / 60.0) * 60.0),
            interval_seconds=LIVE_INTERVAL_SECONDS,
            # machines run around the clock, so that a demo shows activity at any time of day
            always_running=True,
        )
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._round: tuple[float, float] = (0.0, 0.0)
        self._bad_due: list[float] = []
        self.machine_ids = self._simulator.fleet.machine_ids
        self.faults: tuple[InjectedFault, ...] = ()
        self.cut_faults: tuple[InjectedFault, ...] = ()
        self.backfilled = 0
        self.bad_messages = 0
        self.live_from = self.live_until = self._simulator.now
        self.ends_at: float | None = None
        self.grace_seconds = plant.alerts.resolve_after_readings * LIVE_INTERVAL_SECONDS

    @property
    def delivered(self) -> int:
        """Number of messages acknowledged by the broker."""
        return self._publisher.delivered

    def backfill(self) -> None:
        """Publish the history, without faults.

        Raises:
            FailureError: the broker did not acknowledge all of it.
        """
        for readings in self._simulator.history():
            self._publisher.publish(readings, self._plant.sensor_names)
        self._publisher.flush()
        self.check()
        self.backfilled = self.delivered

    def start(self, duration: float | None) -> None:
        """Start the live phase in a thread; it lasts `duration` seconds, or until `stop`."""
        # rounded to a tenth, so that no further rounding puts the first reading before it
        self.live_from = float(np.ceil((time.time() + _LEAD_SECONDS) * 10.0) / 10.0)
        self.ends_at = None if duration is None else self.live_from + duration
        self._plan(self.live_from, _ROUND_SECONDS if duration is None else duration)
        self._thread = threading.Thread(target=self._live, name="simulator", daemon=True)
        self._thread.start()

    def over(self) -> bool:
        """Return whether the planned duration of the live phase is over."""
        return self.ends_at is not None and time.time() >= self.ends_at

    def stop(self) -> None:
        """End the live phase, and wait until the broker has all readings.

        Raises:
            FailureError: the broker did not acknowledge all of them.
        """
        if not self.over():  # after the planned end only due readings remain; waiting for them is short
            self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self.live_until = min(time.time(), self.ends_at or np.inf)
        # later faults never happened, and faults cut short could not be detected in time
        begun = [fault for fault in self.faults if fault.start < self.live_until]
        self.faults = tuple(fault for fault in begun if fault.end <= self.live_until)
        self.cut_faults = tuple(fault for fault in begun if fault.end > self.live_until)
        self._publisher.flush()
        self.check()

    def check(self) -> None:
        """Check that the simulator runs and that its messages are delivered.

        Raises:
            FailureError: the broker refused a reading, or the simulator has failed.
        """
        if self._failure is not None:
            raise FailureError(f"the simulator failed ({self._failure})") from self._failure
        if self._publisher.failed:
            raise FailureError(
                f"the broker did not accept {self._publisher.failed} readings ({self._publisher.failure})"
            )

    def wait(self, timestamp: float) -> None:
        """Wait until the time of a reading, or until `stop`."""
        self._publisher.poll()
        self._stopped.wait(max(0.0, timestamp - time.time()))

    def _live(self) -> None:
        try:
            for readings in self._rounds():
                self._publisher.publish(readings, self._plant.sensor_names, pace=self, stopped=self._stopped.is_set)
        except Exception as error:  # noqa: BLE001  `check` raises it in the thread that can handle it
            self._failure = error

    def _rounds(self) -> Iterator[Readings]:
        """Yield the readings of all machines, round after round, until the end of the live phase."""
        machines = len(self.machine_ids)
        # spread over the round, as devices would send, rather than all at the same instant
        shifts = np.arange(machines, dtype=np.float64) * (LIVE_INTERVAL_SECONDS / machines)
        own = np.arange(machines) * machines + np.arange(machines)
        at = self.live_from
        while not self._stopped.is_set() and not (self.ends_at is not None and at >= self.ends_at):
            self._keep_plan(at)
            readings = self._simulator.at(at + shifts, self.faults)
            yield Readings(
                machine_ids=self.machine_ids, timestamps=readings.timestamps[own], values=readings.values[own]
            )
            at += LIVE_INTERVAL_SECONDS

    def _keep_plan(self, at: float) -> None:
        """Send the bad messages that are due; in an endless live phase, plan the next faults when a round begins."""
        begins, seconds = self._round
        if self.ends_at is None and at >= begins + seconds:
            self._plan(at, _ROUND_SECONDS)
        for share in [share for share in self._bad_due if at >= begins + share * seconds]:
            self._bad_due.remove(share)
            self._send_bad(at)

    def _plan(self, begins: float, seconds: float) -> None:
        self._round = begins, seconds
        self._bad_due = list(_BAD_AT)
        self.faults += self._simulator.script(
            begins, begins + seconds, every_seconds=FAULT_EVERY_SECONDS, number=len(self.faults)
        )

    def _send_bad(self, at: float) -> None:
        """Send the next typical mistake of devices: no JSON, a time without zone, text for a number."""
        machine_id = self.machine_ids[self.bad_messages % len(self.machine_ids)]
        sensor = self._plant.sensor_names[0]
        when = datetime.fromtimestamp(at, UTC)
        messages = (
            f"{machine_id};{when:%H:%M:%S};ERR 17".encode(),
            _json({"machine_id": machine_id, "timestamp": f"{when:%Y-%m-%dT%H:%M:%S}", sensor: 1.0}),
            _json({"machine_id": machine_id, "timestamp": when, sensor: "n/a"}),
        )
        self._publisher.send(machine_id, messages[self.bad_messages % len(messages)])
        self.bad_messages += 1


def _json(document: dict[str, object]) -> bytes:
    return msgspec.json.encode(document)
