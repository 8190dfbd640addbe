"""MQTT topics to the readings topic: a message is acknowledged to its broker only after Kafka has what follows from it.

QoS 1 repeats what was not acknowledged. Each transaction therefore also holds the fingerprints of its messages, and the
values of long sources that still wait for others, so that a bridge that was killed between the two brokers knows what
it had done: see docs/decisions/0082-foreign-topics-are-rekeyed.md.
"""

import hashlib
import logging
import math
import queue
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from paho.mqtt.client import Client, MQTTMessage, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion

from bridge.bounded import Stuck, bounded
from bridge.route import Outgoing, Route, RouteReport
from core.sources.record import Raw
from runtime.errors import FailureError
from runtime.kafka import consumer_config, producer_config
from runtime.settings import KafkaSettings
from runtime.sources.settings import MqttSettings
from runtime.sources.sparkplug import rebirth
from schemas.dead_letters import Source as Origin
from schemas.topics import DEAD_LETTERS

LOGGER: Final = logging.getLogger("nexova.bridge")
_MOST: Final = 120  # messages of one transaction: their fingerprints are kept beside a position of 4,096 bytes
_MOST_OPEN: Final = 1_400  # bytes of values that wait
_REMEMBERED: Final = 50_000
_WAIT_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 10.0
_STUCK_SECONDS: Final = 25.0
_PATIENCE_SECONDS: Final = 600.0
_PAUSE_SECONDS: Final = 1.0
_COORDINATOR_SECONDS: Final = 60.0
_ASK_SECONDS: Final = 60.0
_MOST_ASKED: Final = 10_000
_KEEPALIVE_SECONDS: Final = 30
_FIRST_DELAY, _LONGEST_DELAY = 1, 30
_QOS: Final = 1
_FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}  # noqa: SLF001
)
_AWAITED: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError._WAIT_COORD,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
    }
)


class Kept(msgspec.Struct):
    """What stands beside the bridge's position: fingerprints of the last messages, and values that wait, by filter."""

    number: int = 0  # of the transaction
    recent: list[str] = []
    open: dict[str, str] = {}


class Received(NamedTuple):
    """A message with the connection over which it came: on another one its number means another message."""

    message: MQTTMessage
    connection: int
    came_at: float


class MqttBridge:
    """One MQTT session, kept by the broker under its client id. routes: by the filter that each subscribes to."""

    def __init__(self, kafka: KafkaSettings, mqtt: MqttSettings, routes: Mapping[str, Route]) -> None:
        self._mqtt = mqtt
        self._routes = dict(routes)
        self._gatherers = {name: route.gatherer() for name, route in routes.items()}
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._asked: dict[tuple[str, str], float] = {}
        self._received: queue.Queue[Received] = queue.Queue()
        self._connection = 0
        self._session_kept = False
        self._report = RouteReport(self._routes)
        self._writer = _Writer(kafka, mqtt.client_id)
        for name, packed in self._writer.kept.open.items():
            if name in self._gatherers:
                self._gatherers[name].restore(packed.encode(), now=time.time())
        self._remembered.update(dict.fromkeys(self._writer.kept.recent))
        self._client = self._new_client()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Pass on messages until stopped; a lost connection is made anew.

        Raises:
            FailureError: the MQTT broker cannot be reached at the start, or Kafka takes nothing for minutes.
        """
        address = f"{self._mqtt.host}:{self._mqtt.port}"
        try:
            self._client.connect(self._mqtt.host, self._mqtt.port, keepalive=_KEEPALIVE_SECONDS)
        except OSError as error:
            raise FailureError(
                f"no MQTT broker answered at {address} ({error}); start one, or set NEXOVA_MQTT__HOST and …__PORT"
            ) from None
        self._client.loop_start()
        self._writer.stopped = stopped
        try:
            while not stopped():
                self._pass_on(self._batch())
                self._report.write()
        finally:
            self._client.disconnect()
            self._client.loop_stop()
            self._report.write(always=True)

    def ask_for_birth(self, group: str, node: str) -> None:
        """Ask a Sparkplug node to be born again, once a minute at most."""
        now = time.monotonic()
        if now - self._asked.get((group, node), -math.inf) < _ASK_SECONDS:
            return
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[group, node] = now
        LOGGER.info("asking Sparkplug node %.80r of group %.80r to be born again", node, group)
        self._client.publish(f"spBv1.0/{group}/NCMD/{node}", rebirth(int(time.time() * 1000)), qos=0)

    def _new_client(self) -> Client:
        own = self._mqtt
        client = Client(CallbackAPIVersion.VERSION2, client_id=own.client_id, clean_session=False, manual_ack=True)
        if own.username is not None:
            client.username_pw_set(own.username, None if own.password is None else own.password.get_secret_value())
        if own.tls:
            files = (own.ca_file, own.certificate_file, own.key_file)
            ca, certificate, key = (None if file is None else str(file) for file in files)
            try:
                client.tls_set(ca_certs=ca, certfile=certificate, keyfile=key)
            except OSError as error:
                raise FailureError(f"a TLS file of NEXOVA_MQTT__… cannot be used ({error}); correct it") from None
        client.reconnect_delay_set(_FIRST_DELAY, _LONGEST_DELAY)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_subscribe, client.on_message = self._subscribed, self._take
        return client

    def _connected(self, client: Client, _: Any, flags: Any, reason: Any, __: Any) -> None:
        if reason.is_failure:
            LOGGER.error(
                "the MQTT broker refused us (%s); check NEXOVA_MQTT__USERNAME and …__PASSWORD; trying again", reason
            )
            return
        self._connection += 1
        self._session_kept = flags.session_present
        LOGGER.info("connected to the MQTT broker, session %s", "kept" if flags.session_present else "new")
        client.subscribe([(name, _QOS) for name in self._routes])

    def _disconnected(self, _: Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if reason.is_failure:
            LOGGER.warning("the MQTT broker is lost (%s); connecting again", reason)

    def _subscribed(self, _: Client, __: Any, ___: Any, reasons: Any, ____: Any) -> None:
        for name, reason in zip(self._routes, reasons, strict=False):
            if reason.is_failure:
                LOGGER.error("the MQTT broker refused %s (%s); grant our user the right to read it", name, reason)

    def _take(self, client: Client, _: Any, message: MQTTMessage) -> None:
        if message.retain and self._session_kept:
            # what a topic holds is sent again with each subscription; it was ours before
            client.ack(message.mid, message.qos)
            return
        self._received.put(Received(message, self._connection, time.time()))

    def _batch(self) -> list[Received]:
        batch: list[Received] = []
        try:
            batch.append(self._received.get(timeout=_WAIT_SECONDS))
            while len(batch) < _MOST:
                batch.append(self._received.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _pass_on(self, batch: Sequence[Received]) -> None:
        """Hand what follows from the messages to Kafka, and then acknowledge them."""
        fresh: dict[str, Received] = {}
        for one in batch:
            mark = _fingerprint(one.message)
            if mark not in self._remembered:
                fresh.setdefault(mark, one)
        outgoing = [message for one in fresh.values() for message in self._followed(one)]
        waiting: dict[str, str] = {}
        for name, gatherer in self._gatherers.items():
            ready = gatherer.ready(time.time())
            packed = gatherer.pack(_MOST_OPEN // len(self._gatherers)).decode()
            outgoing += map(self._routes[name].outgoing, [*ready, *gatherer.ready(time.time())])
            waiting |= {name: packed} if packed else {}
        self._remembered.update(dict.fromkeys(fresh))
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        if outgoing or fresh:
            # what was not acknowledged yet is among the newest
            newest = list(islice(reversed(self._remembered), _MOST))
            self._writer.write(outgoing, recent=newest[::-1], waiting=waiting)
        for one in batch:
            if one.connection == self._connection:
                self._client.ack(one.message.mid, one.message.qos)

    def _followed(self, one: Received) -> Iterator[Outgoing]:
        topic = one.message.topic
        for name, route in self._routes.items():
            if topic_matches_sub(name, topic):
                raw = Raw(bytes(one.message.payload), None, (), topic, one.came_at)
                # MQTT has no offsets; the time of arrival is what finds a message again
                origin = Origin(topic=f"mqtt:{topic}", partition=0, offset=int(one.came_at * 1000))
                yield from route.take(raw, origin, self._gatherers[name])


def _fingerprint(message: MQTTMessage) -> str:
    found = hashlib.blake2b(message.topic.encode() + b"\0" + bytes(message.payload), digest_size=8)
    return found.hexdigest()


class _Writer:
    """Writes messages and what is kept of them, both or neither; only the newest of one name can write."""

    def __init__(self, kafka: KafkaSettings, name: str) -> None:
        self.stopped: Callable[[], bool] = lambda: False
        self._name = f"{kafka.group}-bridge-mqtt-{name}"
        # a consumer that joins nothing: the group's position is where we keep what must not be lost
        self._group = Consumer(consumer_config(kafka, self._name) | {"isolation.level": "read_committed"})
        self._place = TopicPartition(DEAD_LETTERS, 0)
        self._config = producer_config(kafka) | {"transactional.id": self._name, "linger.ms": 2}
        self._producer = self._new_producer()
        self.kept = self._committed()
        # asked for once: the client waits for ever where it has lost the group's coordinator
        self._membership = self._group.consumer_group_metadata()

    def write(self, outgoing: Sequence[Outgoing], *, recent: list[str], waiting: dict[str, str]) -> None:
        """Return once Kafka has all of it.

        Raises:
            FailureError: another bridge has our client id, or Kafka takes nothing.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        number = self.kept.number + 1
        self.kept = Kept(number=number, recent=recent, open=waiting)
        metadata = msgspec.json.encode(self.kept).decode()
        while True:
            try:
                bounded(partial(self._transact, self._producer, outgoing, metadata), seconds=_STUCK_SECONDS)
            except (KafkaException, BufferError, Stuck) as error:
                self._mend(error, deadline)
                if self._committed().number >= number:
                    return  # it was written after all, and only the answer was lost
            else:
                return

    def _transact(self, producer: Producer, outgoing: Sequence[Outgoing], metadata: str) -> None:
        producer.begin_transaction()
        for one in outgoing:
            producer.produce(one.topic, one.value, one.key)
        position = TopicPartition(self._place.topic, self._place.partition, 0, metadata)
        producer.send_offsets_to_transaction([position], self._membership, _ANSWER_SECONDS)
        producer.commit_transaction(_ANSWER_SECONDS)

    def _committed(self) -> Kept:
        """Return what was kept last; a group whose coordinator is new or moves is asked again."""
        deadline = time.monotonic() + _COORDINATOR_SECONDS
        while True:
            try:
                (known,) = self._group.committed([self._place], timeout=_ANSWER_SECONDS)
                break
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.code() not in _AWAITED or self.stopped() or time.monotonic() >= deadline:
                    raise FailureError(
                        f"the position of {self._name} cannot be read ({reason.str()}); check Kafka and our rights"
                    ) from None
                time.sleep(_PAUSE_SECONDS)
        try:
            return msgspec.json.decode(known.metadata or "{}", type=Kept)
        except msgspec.MsgspecError:
            return Kept()

    def _mend(self, error: Exception, deadline: float) -> None:
        reason: KafkaError | None = error.args[0] if isinstance(error, KafkaException) else None
        words = str(error) if reason is None else reason.str()
        if reason is not None and reason.code() in _FENCED:
            raise FailureError(f"another bridge runs as {self._name}; give each its own NEXOVA_MQTT__CLIENT_ID")
        if time.monotonic() >= deadline or self.stopped():
            raise FailureError(f"Kafka takes nothing ({words}); check it and our rights; nothing was acknowledged")
        LOGGER.warning("Kafka did not take a batch (%s); trying again", words)
        time.sleep(_PAUSE_SECONDS)
        # begun anew, the old transaction is undone or complete
        while True:
            try:
                self._producer = self._new_producer()
            except KafkaException as failure:
                if time.monotonic() >= deadline or self.stopped():
                    raise FailureError(f"Kafka does not answer ({failure.args[0].str()}); check it") from None
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def _new_producer(self) -> Producer:
        producer = Producer(self._config)
        producer.init_transactions(_ANSWER_SECONDS)
        return producer
