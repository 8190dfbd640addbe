"""Producer of output messages with librdkafka; an undelivered one raises at the next flush."""

import logging
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from runtime.errors import FailureError
from runtime.kafka import producer_config
from runtime.metrics import ProcessorMetrics
from runtime.settings import KafkaSettings

LOGGER: Final = logging.getLogger("nexova.processor.outputs")
_POLL_SECONDS: Final = 0.5
_IN_ONE_CALL: Final = 512


class OutputFailed(FailureError):
    """A message could not be delivered; its source is read again after a restart."""


class Outputs:
    """Producer of output messages; `flush` raises if one was not delivered."""

    def __init__(self, kafka: KafkaSettings, metrics: ProcessorMetrics, *, patience: float) -> None:
        """Connect; `patience`: seconds after which a broker that acknowledges nothing makes a flush fail."""
        # reports on failures only: those on every delivery would cost as much as the sending
        self._producer = Producer(producer_config(kafka) | {"delivery.report.only.error": True})
        self._metrics = metrics
        self._patience = patience
        self._failure: str | None = None

    def send(self, topic: str, *, key: str, value: bytes, partition: int) -> None:
        """Queue a message; wait only when the queue is full."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition, self._report)
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
                continue
            return

    def send_all(self, topic: str, messages: list[dict[str, bytes]], *, partition: int) -> None:
        """Queue messages, dicts of "key" and "value" that the producer keeps; half the cost of `send` for each."""
        self.count(topic, len(messages))
        # one call for all would keep the thread that assesses from the interpreter for as long as it takes
        for start in range(0, len(messages), _IN_ONE_CALL):
            some = messages[start : start + _IN_ONE_CALL]
            while self._producer.produce_batch(topic, some, partition, self._report) < len(some):
                # what the queue had no room for comes back marked
                some = [{"key": left["key"], "value": left["value"]} for left in some if "_error" in left]
                self._producer.poll(_POLL_SECONDS)

    def count(self, topic: str, messages: int = 1) -> None:
        """Count messages sent; apart from `send`, so that a batch is counted once."""
        self._metrics.output_messages.labels(topic=topic).inc(messages)

    def poll(self) -> None:
        """Serve delivery reports; to be called regularly."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until all messages are delivered.

        Raises:
            OutputFailed: one could not be delivered, or the broker did not acknowledge them in time.
        """
        left = self._producer.flush(self._patience)
        if self._failure is not None:
            raise OutputFailed(self._failure)
        if left:
            raise OutputFailed(
                f"{left} output messages were not acknowledged within {self._patience:g} s; check the broker"
            )

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        topic = message.topic() or "an unknown topic"
        self._metrics.output_failures.labels(topic=topic).inc()
        self._failure = f"a message to {topic} was refused: {error.str()}; check the topic and the worker's rights"
        LOGGER.error(self._failure)
