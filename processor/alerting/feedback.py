"""Application of feedback from `nexova.feedback` to the state of its machines.

Every worker follows the whole topic: it is small, and feedback then reaches its machine whatever partition its sender
chose. Recent feedback is kept for partitions that are adopted later; the state records which feedback it contains, so
that none is applied twice.
"""

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from core.feedback import LONGEST_SHELVING_SECONDS, take_feedback
from processor.executor import BatchExecutor
from processor.partitions import Partition, PartitionTable
from processor.publisher import Publisher
from runtime.errors import NexovaError
from runtime.metrics import ProcessorMetrics
from runtime.settings import KafkaSettings
from runtime.topic_reader import Record, Start, follow
from schemas.codec import Refusal
from schemas.feedback import Feedback
from schemas.topics import FEEDBACK

LOGGER: Final = logging.getLogger("nexova.processor.feedback")
_MOST_KEPT: Final = 100_000
_WAIT_SECONDS: Final = 0.2
_LARGEST_BYTES: Final = 65_536
Statement = tuple[int, int, Feedback]
"""Partition and offset in the topic, and the feedback."""


class FeedbackFollower:
    """Follower that reads feedback in a thread and applies it on the event loop, between batches. clock: epoch s."""

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        partitions: PartitionTable,
        publisher: Publisher,
        executor: BatchExecutor,
        metrics: ProcessorMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._kafka = kafka
        self._partitions = partitions
        self._publisher = publisher
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._stopped = threading.Event()
        self._arrived: queue.SimpleQueue[Record] = queue.SimpleQueue()
        self._kept: deque[Statement] = deque(maxlen=_MOST_KEPT)
        self._caught_up: dict[int, Partition] = {}
        self._problem: str | None = None

    async def run(self, *, stopped: Callable[[], bool], ready: Callable[[], bool]) -> None:
        """Apply feedback until `stopped`; pause while not `ready`."""
        # a daemon: a worker that ends in a hurry must not wait for a broker
        threading.Thread(target=self._read, name="feedback", daemon=True).start()
        try:
            while not stopped():
                await asyncio.sleep(_WAIT_SECONDS)
                if ready():
                    await self.apply()
        finally:
            self._stopped.set()

    async def apply(self) -> None:
        """Apply the received feedback, also to partitions adopted after it was received."""
        news = [statement for statement in map(self._decoded, self._drained()) if statement is not None]
        adopted = [held for number, held in self._partitions.items() if self._caught_up.get(number) is not held]
        if not news and not adopted:
            return
        async with self._executor.quiesced():
            for held in adopted:
                if self._partitions.owns(held):
                    self._take(held, list(self._kept))
            for held in self._partitions.values():
                self._take(held, news)
            self._kept.extend(news)
            self._caught_up = dict(self._partitions)

    def _take(self, held: Partition, statements: list[Statement]) -> None:
        for partition, offset, feedback in statements:
            outcome = take_feedback(held.state, feedback, partition=partition, offset=offset)
            if outcome.changed:
                self._metrics.feedback.labels(kind=feedback.kind).inc()
                held.statuses_due.add(held.state.slots[feedback.machine_id])
            for alert in outcome.alerts:
                self._publisher.alert(held.number, alert)

    def _drained(self) -> list[Record]:
        found = []
        while True:
            try:
                found.append(self._arrived.get_nowait())
            except queue.Empty:
                return found

    def _decoded(self, record: Record) -> Statement | None:
        value = record.value or b""
        try:
            feedback = Feedback.model_validate_json(value[: _LARGEST_BYTES + 1])
        except ValidationError as error:
            # all workers read it; the owner of the partition of the same number reports it
            if record.partition in self._partitions:
                refusal = Refusal(reason="not_a_feedback", detail=_detail(value, error), payload=value)
                self._publisher.refusal(FEEDBACK, record.partition, record.offset, refusal, at=self._clock())
            return None
        return record.partition, record.offset, feedback

    def _read(self) -> None:
        start = Start(since=self._clock() - LONGEST_SHELVING_SECONDS)
        for _, records in follow(
            self._kafka,
            {FEEDBACK: start},
            stopped=self._stopped.is_set,
            on_state=self._note,
            wait=self._stopped.wait,
        ):
            for record in records:
                self._arrived.put(record)

    def _note(self, problem: NexovaError | None) -> None:
        text = None if problem is None else problem.message
        if text != self._problem and text is not None:
            LOGGER.warning("feedback is not received: %s", text)
        elif text != self._problem:
            LOGGER.info("feedback is received again")
        self._problem = text


def _detail(value: bytes, error: ValidationError) -> str:
    if len(value) > _LARGEST_BYTES:
        return f"the message has {len(value)} bytes, feedback at most {_LARGEST_BYTES}; shorten its comment"
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "value"
    return f"{place}: {first['msg']}; send feedback as described in docs/messages.md"
