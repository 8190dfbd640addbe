"""Follower of the known-future inputs in `nexova.known-inputs`, for the forecasts of this worker.

Every worker follows the whole topic, which is small, from its beginning. Forecasts wait until it has been read, so that
a restart does not fit series twice, once without their plan.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

import numpy as np
from pydantic import ValidationError

from core.arrays import WEEK
from core.forecasting.engine import KnownInputs
from core.forecasting.input_table import InputHours
from processor.partitions import PartitionTable
from processor.publisher import Publisher
from runtime.errors import NexovaError
from runtime.settings import Settings
from runtime.topic_reader import BEGINNING, Record, follow
from schemas.codec import Refusal
from schemas.known_inputs import KnownInput
from schemas.topics import KNOWN_INPUTS

LOGGER: Final = logging.getLogger("nexova.processor.forecasts")
_HOUR: Final = 3600
_WAIT_SECONDS: Final = 0.2


class InputFollower:
    """Reader of known-future inputs in a thread of its own. clock: epoch s."""

    def __init__(
        self, settings: Settings, partitions: PartitionTable, publisher: Publisher, *, clock: Callable[[], float]
    ) -> None:
        self._kafka = settings.kafka
        self._partitions = partitions
        self._publisher = publisher
        self._clock = clock
        self._stopped = threading.Event()
        self._one = threading.Lock()
        self._hours = InputHours(keep_hours=settings.forecasts.history_weeks * WEEK)
        self._refused: queue.SimpleQueue[tuple[Record, str]] = queue.SimpleQueue()
        self._problem: str | None = None
        self.caught_up = False
        """Whether the topic has been read once, or cannot be read."""

    async def run(self, *, stopped: Callable[[], bool]) -> None:
        """Follow until `stopped`; unusable messages become dead letters."""
        # a daemon: a worker that ends in a hurry must not wait for a broker
        threading.Thread(target=self._read, name="known-inputs", daemon=True).start()
        try:
            while not stopped():
                await asyncio.sleep(_WAIT_SECONDS)
                self._publish_refused()
        finally:
            self._stopped.set()

    def of(self, machine_id: str, first_hour: int, end: int) -> KnownInputs | None:
        """Return the inputs of a machine over [first_hour, end), hours of UTC; None without any."""
        with self._one:
            return self._hours.of(machine_id, first_hour, end)

    def take(self, record: Record) -> str | None:
        """Apply one message; return the reason if it cannot be used."""
        try:
            known = KnownInput.model_validate_json(record.value or b"")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "value"
            return f"{place}: {first['msg']}; send what `nexova plan import` sends"
        values = np.array([np.nan if value is None else value for value in known.values])
        begin, now = int(known.start.timestamp()) // _HOUR, int(self._clock()) // _HOUR
        with self._one:
            return self._hours.put(known.machine_id, known.name, begin, values, now=now)

    def _read(self) -> None:
        for reader, records in follow(
            self._kafka,
            {KNOWN_INPUTS: BEGINNING},
            stopped=self._stopped.is_set,
            on_state=self._note,
            wait=self._stopped.wait,
        ):
            for record in records:
                problem = self.take(record)
                if problem is not None:
                    self._refused.put((record, problem))
            self.caught_up = self.caught_up or reader.caught_up

    def _publish_refused(self) -> None:
        while not self._refused.empty():
            record, detail = self._refused.get_nowait()
            # all workers read it; the owner of the partition of the same number says so
            if record.partition in self._partitions:
                refusal = Refusal(reason="not_an_input", detail=detail, payload=record.value or b"")
                self._publisher.refusal(KNOWN_INPUTS, record.partition, record.offset, refusal, at=self._clock())

    def _note(self, problem: NexovaError | None) -> None:
        text = None if problem is None else problem.message
        if text is not None:
            self.caught_up = True  # forecasts continue without a plan
        if text != self._problem and text is not None:
            LOGGER.warning("known inputs are not received: %s", text)
        self._problem = text
