"""Kafka topics of others to the readings topic, each record exactly once.

Readings, dead letters and the positions they were made from are one transaction, so a record is either read and its
readings are there, or neither. Values of a long source that still wait for others are kept with the position itself,
and so is the topic's identity: see docs/decisions/0082-foreign-topics-are-rekeyed.md.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)

from bridge.bounded import Stuck, bounded
from bridge.route import Outgoing, Route, RouteReport
from bridge.sample import raw_of
from core.sources.gather import Gatherer
from runtime.errors import BrokerRefused, FailureError, TopicMissing
from runtime.kafka import admin_client, consumer_config, producer_config
from runtime.settings import KafkaSettings
from schemas.dead_letters import Source as Origin

LOGGER: Final = logging.getLogger("nexova.bridge")
_MOST: Final = 2_000  # records of one transaction
_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 10.0
_STUCK_SECONDS: Final = 25.0
_TRANSACTION_SECONDS: Final = 15.0  # for so long a bridge that was killed may keep readers waiting
_PATIENCE_SECONDS: Final = 120.0
_MOST_METADATA: Final = 3_500  # bytes; brokers take 4,096 by default
_MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001
_REFUSED: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})

Place = tuple[str, int]


class Position(msgspec.Struct):
    """What is kept with the offset of a partition: the topic's identity, and the readings that are not complete."""

    topic_id: str = ""
    open: str = ""


class KafkaBridge:
    """A member of the bridges' group. routes: by the topic that each reads."""

    def __init__(self, kafka: KafkaSettings, routes: Mapping[str, Route]) -> None:
        self._kafka = kafka
        self._routes = dict(routes)
        self._gatherers: dict[Place, Gatherer] = {}
        self._next: dict[Place, int] = {}
        self._stored: dict[Place, tuple[int, str]] = {}
        self._moves = 0
        self._dirty = False
        self._report = RouteReport(self._routes)
        self._topic_ids = _topic_ids(kafka, list(routes))
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
        self._consumer.subscribe(list(routes), on_assign=self._assigned, on_revoke=self._lost, on_lost=self._lost)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Pass on records until stopped.

        Raises:
            FailureError: the brokers refuse what is written, or are gone for minutes.
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
                except (KafkaException, Stuck) as error:
                    now = time.monotonic()
                    failing_since = now if failing_since is None else failing_since
                    reason: KafkaError | None = error.args[0] if isinstance(error, KafkaException) else None
                    words = str(error) if reason is None else reason.str()
                    if now - failing_since > _PATIENCE_SECONDS or (reason and reason.code() in _REFUSED):
                        raise FailureError(
                            f"the bridge cannot go on ({words}); check the broker and our rights on the topics, "
                            f"the group {self._kafka.group}-bridge and the transactional ids"
                        ) from None
                    LOGGER.warning("starting again from the last position: %s", words)
                    self._start_again(anew=reason is None or reason.fatal())
        finally:
            # what is open stays with the position that was written last
            self._consumer.close()
            self._report.write(always=True)

    def _step(self) -> None:
        if self._dirty:
            self._start_again(anew=True)
            return
        moves = self._moves
        messages = self._consumer.consume(_MOST, _POLL_SECONDS)
        if self._moves != moves:
            # some of these came before partitions moved and some after: what is ours begins anew at what is committed
            self._restore(self._consumer, self._consumer.assignment())
            return
        outgoing = self._taken(messages)
        now = time.time()
        for (topic, _), gatherer in self._gatherers.items():
            outgoing += map(self._routes[topic].outgoing, gatherer.ready(now))
        offsets = self._offsets(outgoing)
        if outgoing or offsets:
            self._write(outgoing, offsets)
        self._report.write()

    def _taken(self, messages: Sequence[Message]) -> list[Outgoing]:
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
                if self._made_anew(topic):
                    self._restore(self._consumer, self._consumer.assignment())
                    return []
                continue
            origin = Origin(topic=topic, partition=partition, offset=offset)
            outgoing += self._routes[topic].take(raw_of(message), origin, self._gatherers[place])
            self._next[place] = offset + 1
        return outgoing

    def _made_anew(self, topic: str) -> bool:
        """Return whether a topic whose offsets went back is another one than before."""
        before = self._topic_ids.get(topic)
        self._topic_ids |= _topic_ids(self._kafka, [topic])
        return self._topic_ids[topic] != before

    def _offsets(self, outgoing: list[Outgoing]) -> list[TopicPartition]:
        """Return the positions that changed; what does not fit beside one is appended to `outgoing`."""
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
        bounded(partial(self._transact, self._producer, outgoing, offsets), seconds=_STUCK_SECONDS)

    def _transact(self, producer: Producer, outgoing: Sequence[Outgoing], offsets: list[TopicPartition]) -> None:
        producer.begin_transaction()
        for one in outgoing:
            _produce(producer, one)
        if offsets:
            group = self._consumer.consumer_group_metadata()
            producer.send_offsets_to_transaction(offsets, group, _ANSWER_SECONDS)
        producer.commit_transaction(_ANSWER_SECONDS)

    def _start_again(self, *, anew: bool) -> None:
        """Undo the transaction, and go on from what is committed. anew: with another producer."""
        try:
            if not anew:
                try:
                    bounded(partial(self._producer.abort_transaction, _ANSWER_SECONDS), seconds=_STUCK_SECONDS)
                except (KafkaException, Stuck):
                    anew = True
            if anew:
                self._producer = self._new_producer()
            self._restore(self._consumer, self._consumer.assignment())
            self._dirty = False
        except KafkaException as error:
            # what was undone or not is seen at the next try
            LOGGER.warning("Kafka does not answer: %s", error.args[0].str())
            self._dirty = True
            time.sleep(_POLL_SECONDS)

    def _new_producer(self) -> Producer:
        # a name of its own each: the group's generation is what keeps one that was replaced from writing
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
        self._moves += 1
        self._restore(consumer, partitions)

    def _lost(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._moves += 1
        self._gatherers.clear()
        self._next.clear()
        self._stored.clear()

    def _restore(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin partitions at their committed positions, with the readings that were open there."""
        self._gatherers.clear()
        self._next.clear()
        self._stored.clear()
        begin = []
        for one in consumer.committed(partitions, timeout=_ANSWER_SECONDS) if partitions else ():
            place, offset = (one.topic, one.partition), one.offset
            gatherer = self._gatherers[place] = self._routes[one.topic].gatherer()
            known = _position(one.metadata)
            ours = self._topic_ids.get(one.topic, "")
            if offset >= 0 and known.topic_id and ours and known.topic_id != ours:
                LOGGER.warning("%s was made anew; reading partition %d from its beginning", one.topic, one.partition)
                offset = -1
            if offset >= 0:
                gatherer.restore(known.open.encode(), now=time.time())
                self._next[place] = offset
            begin.append(TopicPartition(*place, offset if offset >= 0 else OFFSET_BEGINNING))
        consumer.assign(begin)


def _produce(producer: Producer, one: Outgoing) -> None:
    while True:
        try:
            producer.produce(one.topic, one.value, one.key)
        except BufferError:
            producer.poll(_POLL_SECONDS)
        else:
            return


def _position(metadata: str | None) -> Position:
    try:
        return msgspec.json.decode(metadata or "{}", type=Position)
    except msgspec.MsgspecError:
        return Position()


def _topic_ids(kafka: KafkaSettings, topics: list[str]) -> dict[str, str]:
    """Return the identity of each topic; raises TopicMissing where one is not there."""
    admin = admin_client(kafka)  # its answers end with it
    answers: Any = admin.describe_topics(TopicCollection(topics), request_timeout=_ANSWER_SECONDS)
    found, missing = {}, []
    for name, answer in answers.items():
        try:
            found[name] = str(answer.result().topic_id)
        except KafkaException as error:
            if error.args[0].code() not in _MISSING:
                raise FailureError(f"{name} cannot be described ({error.args[0].str()}); check our rights") from None
            missing.append(name)
    if missing:
        raise TopicMissing(missing, kafka.bootstrap_servers)
    return found
