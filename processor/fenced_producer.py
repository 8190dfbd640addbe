"""Fenced writes: one transactional producer for each partition, usable by the partition's owner only.

The transactional id names the partition. A new owner starts with `acquire`, after which the broker rejects all writes
of earlier owners, however late: see docs/decisions/0110-one-owner-writes.md.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from runtime.errors import FailureError
from runtime.kafka import producer_config
from runtime.settings import KafkaSettings, Settings

_CLIENT_LOGGER: Final = logging.getLogger("nexova.kafka.owner")
# the client calls it fatal that another worker has taken over; the worker says it once, in plain words
_CLIENT_LOGGER.addFilter(lambda record: "fenced by a newer instance" not in record.getMessage())
_TRANSACTION_SECONDS: Final = 60.0
_TRY_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.2
_LINGER_MS: Final = 1  # what goes together is handed over together
_FENCED: Final = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001  public in all but name
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        KafkaError.INVALID_TXN_STATE,
    }
)
_DENIED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_ENDED: Final = frozenset({KafkaError._FATAL, KafkaError._STATE})  # noqa: SLF001
"""What `produce` reports after its transaction has failed, whatever the cause."""


class Outgoing(NamedTuple):
    """A message to one partition; the value None deletes the key."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class OwnersProducer(Protocol):
    """Interface of the producer of one partition; see `FencedProducer`."""

    def acquire(self) -> None:
        """Become the only producer that can write."""

    def write(self, messages: Sequence[Outgoing]) -> None:
        """Write all messages or none."""

    def close(self) -> None:
        """Disconnect."""


class Fenced(FailureError):
    """Another worker has taken the partition over; none of the messages were written."""


class WriteFailed(FailureError):
    """A write failed, and retries cannot help or were exhausted."""


class FencedProducer:
    """Producer that writes all messages of a call or none. Blocks; one call at a time, from any thread.

    patience: seconds without an answer of the broker after which a write fails. stopped: whether to give up earlier.
    """

    def __init__(
        self, kafka: KafkaSettings, partition: int, *, patience: float, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._partition = partition
        self._patience = patience
        self._stopped = stopped
        self._id = transactional_id(kafka, partition)
        self._producer = Producer(
            producer_config(kafka)
            | {
                "logger": _CLIENT_LOGGER,
                "transactional.id": self._id,
                "transaction.timeout.ms": int(_TRANSACTION_SECONDS * 1000),
                "compression.type": "zstd",
                "linger.ms": _LINGER_MS,
                "queue.buffering.max.kbytes": 131_072,
            }
        )

    def acquire(self) -> None:
        """Become the only producer that can write; uncommitted writes of an earlier owner are aborted.

        Raises:
            WriteFailed: the broker did not answer in time, or refused.
        """
        self._persist(lambda: self._producer.init_transactions(_TRY_SECONDS))

    def write(self, messages: Sequence[Outgoing]) -> None:
        """Write messages as one transaction; returns when readers see them.

        Raises:
            Fenced: another worker has acquired the partition.
            WriteFailed: the broker refused them, or did not answer in time.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._producer.begin_transaction()
                with self._cause_of_end():
                    for message in messages:
                        self._produce(message, deadline)
                self._persist(lambda: self._producer.commit_transaction(_TRY_SECONDS), deadline=deadline)
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if not reason.txn_requires_abort() or time.monotonic() >= deadline or self._stopped():
                    raise self._failure(reason) from None
                self._persist(lambda: self._producer.abort_transaction(_TRY_SECONDS), deadline=deadline)
            else:
                return

    def close(self) -> None:
        """Disconnect without waiting for the broker."""
        with suppress(KafkaException):
            self._producer.purge(in_queue=True, in_flight=True, blocking=False)

    def _produce(self, message: Outgoing, deadline: float) -> None:
        while True:
            try:
                self._producer.produce(
                    message.topic, message.value, message.key, self._partition, headers=list(message.headers)
                )
            except BufferError:
                if time.monotonic() >= deadline or self._stopped():
                    raise WriteFailed(f"partition {self._partition}: the broker takes nothing; check it") from None
                self._producer.poll(_PAUSE_SECONDS)
            else:
                return

    @contextmanager
    def _cause_of_end(self) -> Iterator[None]:
        """Raise why the transaction has ended where `produce` reports only that it has."""
        try:
            yield
        except KafkaException as error:
            if error.args[0].code() not in _ENDED:
                raise
            # the client refuses the commit with the cause: such a transaction can only be aborted
            self._persist(lambda: self._producer.commit_transaction(_TRY_SECONDS))
            raise

    def _persist(self, call: Callable[[], None], *, deadline: float | None = None) -> None:
        """Repeat a call until the broker answers; an error that a new transaction can resolve is raised."""
        until = time.monotonic() + self._patience if deadline is None else deadline
        while True:
            try:
                call()
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.code() in _FENCED:
                    raise self._failure(reason) from None
                if reason.txn_requires_abort():
                    raise
                if not reason.retriable() or time.monotonic() >= until or self._stopped():
                    raise self._failure(reason) from None
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def _failure(self, reason: KafkaError) -> FailureError:
        if reason.code() in _FENCED:
            return Fenced(f"partition {self._partition} was taken over by another worker ({reason.name()})")
        remedy = "check the broker and the topics"
        if reason.code() in _DENIED:
            remedy = (
                "grant our user the rights that `nexova topics acl processor` prints, on the topics and on "
                f"transactional ids such as {self._id}"
            )
        return WriteFailed(f"partition {self._partition} could not be written as {self._id} ({reason.str()}); {remedy}")


def producers_of(settings: Settings, *, stopped: Callable[[], bool]) -> Callable[[int], FencedProducer]:
    """Return a function that makes the producer of a partition; its patience is the worker's limit of standstill."""
    patience = settings.processor.exit_after_stall_seconds
    return lambda partition: FencedProducer(settings.kafka, partition, patience=patience, stopped=stopped)


def transactional_id(kafka: KafkaSettings, partition: int) -> str:
    """Return the transactional id of the owner of a partition."""
    return f"{kafka.group}-{partition}"
