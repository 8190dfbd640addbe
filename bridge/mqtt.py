"""Bridge from MQTT topics to the readings topic; a message is acknowledged after Kafka has committed its readings.

With QoS 1, MQTT repeats messages that were not acknowledged. Each Kafka transaction therefore also stores the
fingerprints of its messages and the incomplete readings of long sources, so that a bridge killed between the two
brokers recognises the repetitions: see docs/decisions/0082-foreign-topics-are-rekeyed.md.
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

from bridge.bounded import CallTimedOut, call_within
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
_MOST_MESSAGES: Final = 120  # of one transaction: their fingerprints fit in an offset's metadata of 4,096 bytes
_MOST_OPEN: Final = 1_400  # bytes of incomplete readings
_REMEMBERED: Final = 50_000  # fingerprints
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


class StoredState(msgspec.Struct):
    """State stored with the bridge's offset: fingerprints of the last messages, incomplete readings by filter."""

    number: int = 0  # of the transaction
    recent: list[str] = []
    open: dict[str, str] = {}


class Received(NamedTuple):
    """A message and the connection it arrived on, outside of which its id names another message; epoch seconds."""

    message: MQTTMessage
    connection: int
    arrived_at: float


class MqttBridge:
    """One MQTT session, kept by the broker under its client id. routes: by the topic filter that each subscribes to."""

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
        for name, packed in self._writer.stored.open.items():
            if name in self._gatherers:
                self._gatherers[name].restore(packed.encode(), now=time.time())
        self._remembered.update(dict.fromkeys(self._writer.stored.recent))
        self._client = self._new_client()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Convert messages until `stopped` returns True; reconnect when the connection is lost.

        Raises:
            FailureError: the MQTT broker cannot be reached at the start, or Kafka accepts nothing for ten minutes.
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

    def request_rebirth(self, group: str, node: str) -> None:
        """Request a rebirth of a Sparkplug node, once a minute at most."""
        now = time.monotonic()
        if now - self._asked.get((group, node), -math.inf) < _ASK_SECONDS:
            return
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[group, node] = now
        LOGGER.info("requesting a rebirth of Sparkplug node %.80r of group %.80r", node, group)
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
                "the MQTT broker refused us (%s), trying again; check NEXOVA_MQTT__USERNAME and …__PASSWORD", reason
            )
            return
        self._connection += 1
        self._session_kept = flags.session_present
        LOGGER.info("connected to the MQTT broker, session %s", "kept" if flags.session_present else "new")
        client.subscribe([(name, _QOS) for name in self._routes])

    def _disconnected(self, _: Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if reason.is_failure:
            LOGGER.warning("the connection to the MQTT broker is lost (%s), reconnecting", reason)

    def _subscribed(self, _: Client, __: Any, ___: Any, reasons: Any, ____: Any) -> None:
        for name, reason in zip(self._routes, reasons, strict=False):
            if reason.is_failure:
                LOGGER.error("the MQTT broker refused to subscribe %s (%s); grant our user the right", name, reason)

    def _take(self, client: Client, _: Any, message: MQTTMessage) -> None:
        if message.retain and self._session_kept:
            # retained messages are sent again with each subscription; the session has had them
            client.ack(message.mid, message.qos)
            return
        self._received.put(Received(message, self._connection, time.time()))

    def _batch(self) -> list[Received]:
        batch: list[Received] = []
        try:
            batch.append(self._received.get(timeout=_WAIT_SECONDS))
            while len(batch) < _MOST_MESSAGES:
                batch.append(self._received.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _pass_on(self, batch: Sequence[Received]) -> None:
        """Write the readings and dead letters of new messages to Kafka, then acknowledge all messages."""
        fresh: dict[str, Received] = {}
        for received in batch:
            fingerprint = _fingerprint(received.message)
            if fingerprint not in self._remembered:
                fresh.setdefault(fingerprint, received)
        outgoing = [message for received in fresh.values() for message in self._convert(received)]
        incomplete: dict[str, str] = {}
        for name, gatherer in self._gatherers.items():
            ready = gatherer.ready(time.time())
            packed = gatherer.pack(_MOST_OPEN // len(self._gatherers)).decode()
            outgoing += map(self._routes[name].outgoing, [*ready, *gatherer.ready(time.time())])
            incomplete |= {name: packed} if packed else {}
        self._remembered.update(dict.fromkeys(fresh))
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        if outgoing or fresh:
            # messages without an acknowledgement are among the newest
            newest = list(islice(reversed(self._remembered), _MOST_MESSAGES))
            self._writer.write(outgoing, recent=newest[::-1], incomplete=incomplete)
        for received in batch:
            if received.connection == self._connection:
                self._client.ack(received.message.mid, received.message.qos)

    def _convert(self, received: Received) -> Iterator[Outgoing]:
        topic = received.message.topic
        for name, route in self._routes.items():
            if topic_matches_sub(name, topic):
                raw = Raw(bytes(received.message.payload), None, (), topic, received.arrived_at)
                # MQTT has no offsets; a message is identified by its time of arrival
                origin = Origin(topic=f"mqtt:{topic}", partition=0, offset=int(received.arrived_at * 1000))
                yield from route.take(raw, origin, self._gatherers[name])


def _fingerprint(message: MQTTMessage) -> str:
    return hashlib.blake2b(message.topic.encode() + b"\0" + bytes(message.payload), digest_size=8).hexdigest()


class _Writer:
    """Transactional writer of messages and the bridge's state; a newer writer of the same name fences it."""

    def __init__(self, kafka: KafkaSettings, name: str) -> None:
        self.stopped: Callable[[], bool] = lambda: False
        self._name = f"{kafka.group}-bridge-mqtt-{name}"
        # a consumer that never joins: the metadata of the group's offset holds the bridge's state
        self._group = Consumer(consumer_config(kafka, self._name) | {"isolation.level": "read_committed"})
        self._place = TopicPartition(DEAD_LETTERS, 0)
        self._config = producer_config(kafka) | {"transactional.id": self._name, "linger.ms": 2}
        self._producer = self._new_producer()
        self.stored = self._committed()
        # requested once: the client waits without limit after it has lost the group's coordinator
        self._membership = self._group.consumer_group_metadata()

    def write(self, outgoing: Sequence[Outgoing], *, recent: list[str], incomplete: dict[str, str]) -> None:
        """Write `outgoing` and the state in one transaction, trying again until Kafka has committed it.

        Raises:
            FailureError: another bridge has our client id, or Kafka accepts nothing for ten minutes.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        number = self.stored.number + 1
        self.stored = StoredState(number=number, recent=recent, open=incomplete)
        metadata = msgspec.json.encode(self.stored).decode()
        while True:
            try:
                call_within(_STUCK_SECONDS, partial(self._transact, self._producer, outgoing, metadata))
            except (KafkaException, BufferError, CallTimedOut) as error:
                self._recover(error, deadline)
                if self._committed().number >= number:
                    return  # it was committed, and only the answer was lost
            else:
                return

    def _transact(self, producer: Producer, outgoing: Sequence[Outgoing], metadata: str) -> None:
        producer.begin_transaction()
        for message in outgoing:
            producer.produce(message.topic, message.value, message.key)
        position = TopicPartition(self._place.topic, self._place.partition, 0, metadata)
        producer.send_offsets_to_transaction([position], self._membership, _ANSWER_SECONDS)
        producer.commit_transaction(_ANSWER_SECONDS)

    def _committed(self) -> StoredState:
        """Return the state that was committed last; ask again while the group's coordinator is new or moves."""
        deadline = time.monotonic() + _COORDINATOR_SECONDS
        while True:
            try:
                (known,) = self._group.committed([self._place], timeout=_ANSWER_SECONDS)
                break
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.code() not in _AWAITED or self.stopped() or time.monotonic() >= deadline:
                    raise FailureError(
                        f"the offset of {self._name} cannot be read ({reason.str()}); check Kafka and our rights"
                    ) from None
                time.sleep(_PAUSE_SECONDS)
        try:
            return msgspec.json.decode(known.metadata or "{}", type=StoredState)
        except msgspec.MsgspecError:
            return StoredState()

    def _recover(self, error: Exception, deadline: float) -> None:
        reason: KafkaError | None = error.args[0] if isinstance(error, KafkaException) else None
        cause = str(error) if reason is None else reason.str()
        if reason is not None and reason.code() in _FENCED:
            raise FailureError(f"another bridge runs as {self._name}; give each its own NEXOVA_MQTT__CLIENT_ID")
        if time.monotonic() >= deadline or self.stopped():
            raise FailureError(f"Kafka accepts nothing ({cause}); check it and our rights; nothing was acknowledged")
        LOGGER.warning("Kafka did not accept a batch (%s), trying again", cause)
        time.sleep(_PAUSE_SECONDS)
        # a new producer of the same name aborts or completes the old transaction
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
