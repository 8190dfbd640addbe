"""Writing of feedback on alerts to its topic, with acknowledgement."""

import asyncio
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from api.problems import Problem
from runtime.kafka import producer_config
from runtime.settings import KafkaSettings
from schemas.feedback import Feedback
from schemas.topics import FEEDBACK

_DELIVERY_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Position of a message in its topic."""

    partition: int
    offset: int


class FeedbackWriter:
    """Writer of feedback messages, one at a time; the producer is created with the first."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: Producer | None = None

    async def write(self, feedback: Feedback) -> Place:
        """Return the position of the message, once all replicas have it; raise a Problem if it was not recorded."""
        if self._producer is None:
            # a message that timed out must not be delivered later, after the failure was reported
            limits = {"message.timeout.ms": int(_DELIVERY_SECONDS * 1000), "linger.ms": 0}
            self._producer = Producer(producer_config(self._kafka) | limits)
        loop = asyncio.get_running_loop()
        delivered: asyncio.Future[Place] = loop.create_future()

        def report(error: KafkaError | None, message: Message) -> None:
            if delivered.done():
                return
            if error is not None:
                delivered.set_exception(KafkaException(error))
            else:
                delivered.set_result(Place(partition=message.partition() or 0, offset=message.offset() or 0))

        try:
            self._producer.produce(FEEDBACK, feedback.encode(), feedback.machine_id, on_delivery=report)
            # reports are served here, so they come in the loop's thread; nobody else uses this producer
            while not delivered.done():
                self._producer.poll(0)
                if not delivered.done():
                    await asyncio.sleep(_POLL_SECONDS)
            return delivered.result()
        except (KafkaException, BufferError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            raise Problem(
                503,
                "not-recorded",
                f"Kafka did not accept the feedback ({reason}), so nothing was recorded; send it again later",
                headers={"Retry-After": "5"},
            ) from None
