"""Bridge from Kafka topics to the readings topic, exactly once for each record.

Readings, dead letters and the consumer's offsets are written in one transaction. Incomplete readings of a long source
and the topic's identity are stored with the offset: see docs/decisions/0082-foreign-topics-are-rekeyed.md.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from bridge.bounded import CallTimedOut, call_within
from bridge.route import Outgoing, Route, RouteReport
from bridge.sample import raw_of
from core.sources.gather import Gatherer
from runtime.errors import BrokerRefused, FailureError, TopicMissing
from runtime.kafka import consumer_config, producer_config, topic_ids
from runtime.settings import KafkaSettings
from schemas.dead_letters import Source as Origin

LOGGER: Final = logging.getLogger("nexova.bridge")
_MOST_RECORDS: Final = 2_000  # of one transaction
_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 10.0
_STUCK_SECONDS: Final = 25.0
_TRANSACTION_SECONDS: Final = 15.0  # after a kill, readers of committed records wait for so long at most
_PATIENCE_SECONDS: Final = 120.0
_MOST_METADATA: Final = 3_500  # bytes; brokers take 4,096 by default
_MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001
_REFUSED: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})

Place = tuple[str, int]


class Position(msgspec.Struct):
    """Metadata stored with a partition's offset: the topic's identity and the incomplete readings, packed."""

    topic_id: str = ""
    open: str = ""


class KafkaBridge:
    """One member of the bridges' consumer group. routes: by the topic that each reads."""

    def __init__(self, kafka: KafkaSettings, routes: Mapping[str, Route]) -> None:
        self._kafka = kafka
        self._routes = dict(routes)
        self._gatherers: dict[Place, Gatherer] = {}
        self._next: dict[Place, int] = {}
        self._stored: dict[Place, tuple[int, str]] = {}
        self._rebalances = 0
        self._dirty = False
        self._report = RouteReport(self._routes)
        self._topic_ids = topic_ids(kafka, list(routes))
        self._consumer = Consumer(
            consumer_config(kafka, f"{kafka.group}-bridge")
            | {
                "isolation.level": "read_committed",
                "session.timeout.ms": 6_000,
                # the embedded broker takes half of this before it assigns partitions
                "max.poll.interval.ms": 12_000,
            }
        )
        self._producer = self._new_producer()
        self._consumer.subscribe(list(routes), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Convert records until `stopped` returns True.

        Raises:
            FailureError: Kafka refuses a read or a write, or does not answer for two minutes.
        """
        failing_since: float | None = None
        try:
            while not stopped():
                try:
                    self._step()
                    if not self._dirty:
                        failing_since = None
                    elif failing_since is not None and time.monotonic() - failing_since > _PATIENCE_SECONDS:
                        raise FailureError(f"Kafka did not answer for {_PATIENCE_SECONDS:g} s; check it")
                except (KafkaException, CallTimedOut) as error:
                    now = time.monotonic()
                    failing_since = now if failing_since is None else failing_since
                    reason: KafkaError | None = error.args[0] if isinstance(error, KafkaException) else None
                    cause = str(error) if reason is None else reason.str()
                    if now - failing_since > _PATIENCE_SECONDS or (reason and reason.code() in _REFUSED):
                        raise FailureError(
                            f"the bridge cannot continue ({cause}); check the broker and our rights on the topics, "
                            f"the group {self._kafka.group}-bridge and the transactional ids"
                        ) from None
                    LOGGER.warning("continuing from the last committed offset: %s", cause)
                    self._recover(new_producer=reason is None or reason.fatal())
        finally:
            # incomplete readings stay with the last committed offset
            self._consumer.close()
            self._report.write(always=True)

    def _step(self) -> None:
        if self._dirty:
            self._recover(new_producer=True)
            return
        rebalances = self._rebalances
        messages = self._consumer.consume(_MOST_RECORDS, _POLL_SECONDS)
        if self._rebalances != rebalances:
            # records from before and after the rebalance are mixed; our partitions restart at their committed offsets
            self._restore(self._consumer, self._consumer.assignment())
            return
        outgoing = self._convert(messages)
        now = time.time()
        for (topic, _), gatherer in self._gatherers.items():
            outgoing += map(self._routes[topic].outgoing, gatherer.ready(now))
        offsets = self._offsets(outgoing)
        if outgoing or offsets:
            self._write(outgoing, offsets)
        self._report.write()

    def _convert(self, messages: Sequence[Message]) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        for message in messages:
            error = message.error()
            topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
            if error is not None:
                if error.code() in _MISSING:
                    raise TopicMissing([topic], self._kafka.bootstrap_servers)
                if error.code() in _REFUSED:
                    raise BrokerRefused(f"{topic} may not be read ({error.str()}); check our user's rights")
                LOGGER.warning("%s: %s", topic, error.str())
                continue
            place = (topic, partition)
            if place not in self._gatherers:
                continue
            if offset < self._next.get(place, 0):
                if self._recreated(topic):
                    self._restore(self._consumer, self._consumer.assignment())
                    return []
                continue
            origin = Origin(topic=topic, partition=partition, offset=offset)
            outgoing += self._routes[topic].take(raw_of(message), origin, self._gatherers[place])
            self._next[place] = offset + 1
        return outgoing

    def _recreated(self, topic: str) -> bool:
        """Return whether a topic whose offsets went back was deleted and created again."""
        before = self._topic_ids.get(topic)
        self._topic_ids |= topic_ids(self._kafka, [topic])
        return self._topic_ids[topic] != before

    def _offsets(self, outgoing: list[Outgoing]) -> list[TopicPartition]:
        """Return the offsets that changed; incomplete readings that do not fit in their metadata go to `outgoing`."""
        changed = []
        for place, gatherer in self._gatherers.items():
            if place not in self._next:
                continue
            packed = gatherer.pack(_MOST_METADATA).decode()
            outgoing += map(self._routes[place[0]].outgoing, gatherer.ready(time.time()))
            if self._stored.get(place) == (self._next[place], packed):
                continue
            self._stored[place] = (self._next[place], packed)
            metadata = msgspec.json.encode(Position(self._topic_ids.get(place[0], ""), packed)).decode()
            changed.append(TopicPartition(*place, self._next[place], metadata))
        return changed

    def _write(self, outgoing: Sequence[Outgoing], offsets: list[TopicPartition]) -> None:
        call_within(_STUCK_SECONDS, partial(self._transact, self._producer, outgoing, offsets))

    def _transact(self, producer: Producer, outgoing: Sequence[Outgoing], offsets: list[TopicPartition]) -> None:
        producer.begin_transaction()
        for message in outgoing:
            _produce(producer, message)
        if offsets:
            group = self._consumer.consumer_group_metadata()
            producer.send_offsets_to_transaction(offsets, group, _ANSWER_SECONDS)
        producer.commit_transaction(_ANSWER_SECONDS)

    def _recover(self, *, new_producer: bool) -> None:
        """Abort the transaction and continue from the committed offsets, with a new producer if needed."""
        try:
            if not new_producer:
                try:
                    call_within(_STUCK_SECONDS, partial(self._producer.abort_transaction, _ANSWER_SECONDS))
                except (KafkaException, CallTimedOut):
                    new_producer = True
            if new_producer:
                self._producer = self._new_producer()
            self._restore(self._consumer, self._consumer.assignment())
            self._dirty = False
        except KafkaException as error:
            # whether the transaction was aborted is known at the next attempt
            LOGGER.warning("Kafka does not answer: %s", error.args[0].str())
            self._dirty = True
            time.sleep(_POLL_SECONDS)

    def _new_producer(self) -> Producer:
        # each has a transactional id of its own; a replaced member is fenced by the group's generation
        producer = Producer(
            producer_config(self._kafka)
            | {
                "transactional.id": f"{self._kafka.group}-bridge-{uuid.uuid4().hex}",
                "transaction.timeout.ms": int(_TRANSACTION_SECONDS * 1000),
                "linger.ms": 5,
            }
        )
        producer.init_transactions(_ANSWER_SECONDS * 3)
        return producer

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalances += 1
        self._restore(consumer, partitions)

    def _revoked(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._rebalances += 1
        self._forget()

    def _forget(self) -> None:
        self._gatherers.clear()
        self._next.clear()
        self._stored.clear()

    def _restore(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Start partitions at their committed offsets, with the incomplete readings stored there."""
        self._forget()
        begin = []
        for committed in consumer.committed(partitions, timeout=_ANSWER_SECONDS) if partitions else ():
            topic, partition, offset = committed.topic, committed.partition, committed.offset
            place = (topic, partition)
            gatherer = self._gatherers[place] = self._routes[topic].gatherer()
            stored = _position(committed.metadata)
            current_id = self._topic_ids.get(topic, "")
            if offset >= 0 and stored.topic_id and current_id and stored.topic_id != current_id:
                LOGGER.warning("%s was recreated; reading partition %d from its beginning", topic, partition)
                offset = -1
            if offset >= 0:
                gatherer.restore(stored.open.encode(), now=time.time())
                self._next[place] = offset
            begin.append(TopicPartition(*place, offset if offset >= 0 else OFFSET_BEGINNING))
        consumer.assign(begin)


def _produce(producer: Producer, message: Outgoing) -> None:
    while True:
        try:
            producer.produce(message.topic, message.value, message.key)
        except BufferError:
            producer.poll(_POLL_SECONDS)
        else:
            return


def _position(metadata: str | None) -> Position:
    try:
        return msgspec.json.decode(metadata or "{}", type=Position)
    except msgspec.MsgspecError:
        return Position()
