"""Reading of topics outside any consumer group: from a stated start, up to the current end or continuously.

    TopicReader     one connection: batches of records, and whether the end at the time of opening has been reached
    read_to_end     generator over the current records of a topic
    follow          endless generator: it reopens a reader after every failure and continues at its position

Three properties of real topics are handled here, so that no caller needs to know them: the last offset before the end
may be a transaction's marker, which is never delivered; retention may remove records while they are being read; the
embedded broker states an end that leaves out most of the last batch. Records of aborted transactions are not delivered.

Errors, the same for all callers: a lost connection or a moved leader is repaired by the client and is no error; a
missing topic, missing rights and everything else that waiting does not repair is raised as a `NexovaError`.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.errors import BrokerUnavailable, FailureError, NexovaError, TopicMissing
from runtime.kafka import consumer_config, headers_of
from runtime.reading_errors import DOWN, LEADERLESS, REFUSED, reading_error
from runtime.settings import KafkaSettings

Place = tuple[str, int]
"""Topic and partition."""
BATCH: Final = 4096
PATIENCE_SECONDS: Final = 30.0
"""A topic that is read to its end may be silent for this long before that is an error."""
_ANSWER_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.2
_CHECK_SECONDS: Final = 3.0
_RETRY_SECONDS: Final = 1.0
_LONGEST_BATCH: Final = 10_000  # records that librdkafka puts into one batch at most
# the client's own error codes are public in all but name
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One Kafka record. written_at: epoch seconds; value: None for a deletion."""

    topic: str
    partition: int
    offset: int
    written_at: float
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start in each partition: its beginning if nothing is set.

    newest: this many offsets before the end. since: at the first record written then or later, epoch seconds. Where
    both are set, at the later of the two places.
    """

    newest: int | None = None
    since: float | None = None


BEGINNING: Final = Start()
END: Final = Start(newest=0)


class TopicReader:
    """Reads all partitions of some topics in one thread; close it, or use it as a context manager.

    buffer_kib: memory for records that are fetched ahead. resume: next offsets of an earlier reader, which go before
    the start where they are still within the partition. partitions: read only these of each topic.

    Raises:
        TopicMissing: a topic does not exist.
        BrokerUnavailable: no broker answered.
        BrokerRefused: the rights are missing.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Mapping[str, Start],
        *,
        buffer_kib: int = 16_384,
        resume: Mapping[Place, int] | None = None,
        partitions: Collection[int] | None = None,
    ) -> None:
        self.positions: dict[Place, int] = {}
        """Next offset of each partition."""
        self._kafka = kafka
        self._topics = dict(topics)
        self._only = partitions
        self._first: dict[Place, int] = {}
        self._ends: dict[Place, int] = {}
        self._passed: set[Place] = set()
        self._held: set[Place] = set()
        self._opened_at = time.time()
        self.caught_up = False
        """Whether everything that was there when the reader opened, or at `mark_end`, has been returned."""
        self.connected = True
        """False while the client says that all brokers are lost; `check` asks them."""
        config = consumer_config(kafka)
        self._log: Callable[[KafkaError], None] = config["error_cb"]
        self._consumer = Consumer(
            config
            | {
                "error_cb": self._on_error,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": buffer_kib,
                "fetch.message.max.bytes": min(1_048_576, 1024 * buffer_kib // 8),
                "topic.metadata.refresh.interval.ms": 30_000,
            }
        )
        try:
            self._open(resume or {})
        except BaseException as error:
            self._consumer.close()
            if isinstance(error, KafkaException):
                self._fail(error.args[0], next(iter(topics)))
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection."""
        self._consumer.close()

    @property
    def places(self) -> tuple[Place, ...]:
        """All partitions that are read."""
        return tuple(self.positions)

    @property
    def passed(self) -> frozenset[Place]:
        """The partitions whose end, at the time of opening, has been reached."""
        return frozenset(self._passed)

    @property
    def share(self) -> float:
        """Part of the records before the end that have been read, 0 to 1."""
        whole = sum(end - self._first[place] for place, end in self._ends.items())
        read = sum(min(self.positions[place], end) - self._first[place] for place, end in self._ends.items())
        return 1.0 if self.caught_up or not whole else read / whole

    def read(self, seconds: float = _POLL_SECONDS, *, most: int = BATCH) -> list[Record]:
        """Return the available records, at most `most`, after waiting at most `seconds` for the first.

        Raises:
            TopicMissing, BrokerRefused, FailureError: reading on is impossible; a lost connection raises nothing.
        """
        # `consume` alone would wait until it has as many as it may return
        first = self._consumer.poll(seconds)
        messages = [] if first is None else [first, *self._consumer.consume(most - 1, 0)]
        records = [record for message in messages if (record := self._take(message)) is not None]
        if not self.caught_up and len(self._passed) == len(self.positions):
            self.caught_up = not any(self.was_in_log(record) for record in records)
        return records

    def was_in_log(self, record: Record) -> bool:
        """Return whether a record was in its topic when the reader opened, or at `mark_end`."""
        end = self._ends[record.topic, record.partition]
        return record.offset < end or (record.written_at <= self._opened_at and record.offset < end + _LONGEST_BATCH)

    def mark_end(self) -> None:
        """Use the current ends for `caught_up`.

        Raises:
            BrokerUnavailable: no broker answered.
        """
        self._opened_at, self.caught_up = time.time(), False
        try:
            self._ends = {place: self._bounds(place)[1] for place in self.positions}
        except KafkaException as error:
            self._fail(error.args[0], self.places[0][0])
        self._passed = {place for place, end in self._ends.items() if self.positions[place] >= end}

    def check(self) -> None:
        """Check that a broker answers and that the topics are unchanged.

        Raises:
            BrokerUnavailable: no broker answered.
            TopicMissing: a topic has gone.
            FailureError: a topic has another number of partitions, or was recreated; a new reader will read it all.
        """
        try:
            places = self._existing()
            # only who lost the broker asks for offsets: it takes a question for each partition
            lost = (
                [] if self.connected else [one for one in places if self.positions.get(one, 0) > self._bounds(one)[1]]
            )
        except KafkaException as error:
            self._fail(error.args[0], self.places[0][0])
        self.connected = True
        if lost:
            names = ", ".join(sorted({topic for topic, _ in lost}))
            raise FailureError(f"{names} ends before the position already read: it was recreated; open a new reader")
        if set(places) != set(self.positions):
            raise FailureError(
                f"the partitions of {', '.join(self._topics)} changed from {len(self.positions)} to {len(places)}; "
                "open a new reader"
            )

    def hold(self, places: Iterable[Place]) -> None:
        """Fetch nothing from these partitions until the next call that leaves them out."""
        held = set(places)
        for change, wanted in (
            (self._consumer.pause, held - self._held),
            (self._consumer.resume, self._held - held),
        ):
            if wanted:
                change([TopicPartition(*place) for place in wanted])
        self._held = held

    def skip(self, *, behind: int, newest: int) -> None:
        """In partitions with more than `behind` records to come, continue with the `newest`."""
        for place, position in self.positions.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if end - position > behind:
                self.positions[place] = end - newest
                self._consumer.seek(TopicPartition(*place, end - newest))

    def _open(self, resume: Mapping[Place, int]) -> None:
        places = self._existing()
        # the ends first: what arrives between the two questions is read, not passed over
        bounds = {place: self._bounds(place) for place in places}
        self._ends = {place: end for place, (_, end) in bounds.items()}
        self.positions = {place: self._begin(place, *bounds[place]) for place in places}
        self.positions |= self._since(places)
        for place, offset in resume.items():
            low, end = bounds.get(place, (0, -1))
            if low <= offset <= end:  # a recreated topic may have less than that
                self.positions[place] = offset
        self._first = {place: min(offset, self._ends[place]) for place, offset in self.positions.items()}
        # where nothing is to be read, no end will be reported if a marker is all that follows
        self._passed = {place for place, offset in self.positions.items() if offset >= self._ends[place]}
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self.positions.items()])

    def _existing(self) -> list[Place]:
        known = self._consumer.list_topics(timeout=_ANSWER_SECONDS).topics
        missing = [name for name in self._topics if name not in known or not known[name].partitions]
        for name in missing:  # only topics that our user may describe are listed without being named
            error = self._consumer.list_topics(name, timeout=_ANSWER_SECONDS).topics[name].error
            if error is not None and error.code() in REFUSED:
                self._fail(error, name)
        if missing:
            raise TopicMissing(missing, self._kafka.bootstrap_servers)
        return [
            (name, number)
            for name in self._topics
            for number in sorted(known[name].partitions)
            if self._only is None or number in self._only
        ]

    def _bounds(self, place: Place) -> tuple[int, int]:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                low, end = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ANSWER_SECONDS)
            except KafkaException as error:
                # a topic that was just created, or whose leader has just moved
                if error.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return low, end

    def _begin(self, place: Place, low: int, end: int) -> int:
        newest = self._topics[place[0]].newest
        return low if newest is None else max(low, end - newest)

    def _since(self, places: list[Place]) -> dict[Place, int]:
        """Return the offsets of the starts that are times; the end where nothing that new is there."""
        wanted = [(place, since) for place in places if (since := self._topics[place[0]].since) is not None]
        if not wanted:
            return {}
        asked = [TopicPartition(*place, max(0, int(since * 1000))) for place, since in wanted]
        found = {}
        for one in self._consumer.offsets_for_times(asked, timeout=_ANSWER_SECONDS):
            if one.error is not None:
                raise KafkaException(one.error)
            place = (one.topic, one.partition)
            # the embedded broker knows no times, and answers with its beginning
            found[place] = self._ends[place] if one.offset < 0 else max(one.offset, self.positions[place])
        return found

    def _take(self, message: Message) -> Record | None:
        # the client's types allow None, the client never gives it
        topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
        error = message.error()
        if error is not None:
            if error.code() == _EOF:
                self._passed.add((topic, partition))
                self.positions[topic, partition] = max(offset, self.positions[topic, partition])
            elif error.code() not in DOWN and not error.retriable():
                self._fail(error, topic)
            return None
        record = Record(
            topic=topic,
            partition=partition,
            offset=offset,
            written_at=message.timestamp()[1] / 1000.0,
            key=message.key(),
            value=message.value(),
            headers=headers_of(message),
        )
        self.positions[topic, partition] = offset + 1
        if not self.was_in_log(record):
            self._passed.add((topic, partition))
        return record

    def _on_error(self, error: KafkaError) -> None:
        self._log(error)
        if error.code() in DOWN:
            self.connected = False

    def _fail(self, error: KafkaError, topic: str) -> NoReturn:
        raise reading_error(error, topic or ", ".join(self._topics), self._kafka) from None


def read_to_end(
    kafka: KafkaSettings, topic: str, *, start: Start = BEGINNING, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[tuple[list[Record], float]]:
    """Yield the records that a topic holds now, batch by batch, each with the share read so far (0 to 1).

    Raises:
        BrokerUnavailable: nothing came for `patience_seconds` before the end.
        TopicMissing, BrokerRefused, FailureError: as `TopicReader` does.
    """
    with TopicReader(kafka, {topic: start}) as reader:
        heard_at = time.monotonic()
        while not reader.caught_up:
            before = dict(reader.positions)
            records = [record for record in reader.read() if reader.was_in_log(record)]
            if records:
                yield records, reader.share
            if before != reader.positions or records:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > patience_seconds:
                raise BrokerUnavailable(
                    f"{topic} could not be read to its end: {kafka.bootstrap_servers} sent nothing for "
                    f"{patience_seconds:g} s; check it with `nexova doctor`"
                )


def follow(
    kafka: KafkaSettings,
    topics: Mapping[str, Start],
    *,
    stopped: Callable[[], bool],
    on_state: Callable[[NexovaError | None], None],
    wait: Callable[[float], object] = time.sleep,
    buffer_kib: int = 16_384,
) -> Iterator[tuple[TopicReader, list[Record]]]:
    """Yield the reader and what came, again and again (empty where nothing came), until `stopped`.

    After a failure a new reader continues at the old one's position. on_state: called with the failure, with None once
    it is over, and every few seconds meanwhile. wait: called with the seconds between two attempts.
    """
    resume: dict[Place, int] = {}
    while not stopped():
        try:
            with TopicReader(kafka, topics, resume=resume, buffer_kib=buffer_kib) as reader:
                on_state(None)
                checked_at = time.monotonic()
                while not stopped():
                    records = reader.read()
                    resume = reader.positions
                    yield reader, records
                    if not reader.connected or time.monotonic() - checked_at > _CHECK_SECONDS:
                        reader.check()
                        on_state(None)
                        checked_at = time.monotonic()
        except NexovaError as error:
            if isinstance(error, TopicMissing):
                resume = {}  # what will be there under its name is another topic
            on_state(error)
            wait(_RETRY_SECONDS)
