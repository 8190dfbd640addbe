"""Faust transport that delivers whole fetches as events and commits from checkpoints.

This is the only module that relies on Faust's internals. Faust handles one record at a time and tracks acknowledged
offsets. Both are replaced for the batch topics: the records of one fetch of a partition become one event, and only
offsets that a checkpoint declared safe are committed. tests/processor/test_transport.py tests each assumption on Faust
0.15.3.
"""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, cast

import faust
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from processor.partitions import SourceRecord
from runtime.errors import FailureError
from runtime.granted import denied

FAUST_VERSION: Final = "0.15.3"
FETCH_WAIT_MS: Final = 100
_FAILURE_SECONDS: Final = 1.0
BATCH_BYTES: Final = 8_388_608
"""Most bytes of values in a batch, so that highly compressed records are not decoded all at once."""


Records = list[SourceRecord]


class FetcherEnded(FailureError):
    """Nothing is fetched any more: the lag that the worker knows stays at zero."""


@dataclass(frozen=True, slots=True)
class Span:
    """All records of a partition with offsets from `first` to before `next_offset`; offsets may have no record."""

    records: Records
    first: int
    next_offset: int

    def cut(self, size: int, most_bytes: int = BATCH_BYTES) -> "list[Span]":
        """Return the span in parts of at most `size` records and, except for a single record, of `most_bytes`.

        A span without records is returned unchanged.
        """
        pieces: list[Records] = []
        for start in range(0, max(1, len(self.records)), size):
            piece = self.records[start : start + size]
            sizes = [len(record.value or b"") for record in piece]
            if sum(sizes) <= most_bytes:
                pieces.append(piece)
                continue
            held = 0
            for record, length in zip(piece, sizes, strict=True):
                if not held or held + length > most_bytes:
                    pieces.append([])
                    held = 0
                pieces[-1].append(record)
                held += length
        ends = [*(piece[-1].offset + 1 for piece in pieces[:-1]), self.next_offset]
        return [Span(*piece) for piece in zip(pieces, [self.first, *ends], ends, strict=False)]


class Fetch:
    """A span of one partition, in the form of one record of Faust's at its last offset."""

    __slots__ = (
        "checksum",
        "headers",
        "key",
        "offset",
        "partition",
        "serialized_key_size",
        "serialized_value_size",
        "timestamp",
        "timestamp_type",
        "topic",
        "value",
    )

    def __init__(self, tp: TP, span: Span, *, reread: int) -> None:
        self.topic = tp.topic
        self.partition = tp.partition
        self.offset = span.next_offset - 1
        self.timestamp = span.records[-1].timestamp if span.records else None
        self.timestamp_type = 0
        self.headers: tuple[Any, ...] = ()
        self.key = None
        self.value = FetchedRecords(span, reread=reread)
        self.checksum = None
        self.serialized_key_size = 0
        self.serialized_value_size = 0


class FetchedRecords:
    """The value of a `Fetch`: opaque to Faust's codecs.

    reread: how often its partition had been set back by `read_again` when the span was asked for.
    """

    __slots__ = ("reread", "span")

    def __init__(self, span: Span, *, reread: int) -> None:
        self.span = span
        self.reread = reread


class FetchSchema(faust.Schema[None, FetchedRecords]):
    """Schema that passes a fetch to the agent unchanged; decoding is ours, row by row."""

    def loads_key(self, app: Any, message: Any, **kwargs: Any) -> None:  # noqa: ARG002  Faust's signature
        """Return None: a fetch has no key."""
        return

    def loads_value(self, app: Any, message: Any, **kwargs: Any) -> FetchedRecords:  # noqa: ARG002
        """Return the records themselves."""
        value: FetchedRecords = message.value
        return value


class FetchedResults(OrderedDict[TP, Any]):
    """Fetched results by partition; for batch topics, the parsed records form one `Span`.

    aiokafka would copy each record into an object of eleven fields, which takes longer than the parsing, and would
    not report which offsets a fetch covers where they have no record: transaction markers, aborted records.
    """

    def __init__(self, results: Mapping[TP, Any], batch_topics: frozenset[str]) -> None:
        self._batch_topics = batch_topics
        super().__init__()
        for tp, result in results.items():
            self[tp] = result

    def __setitem__(self, tp: TP, result: Any) -> None:
        """Store a result, or the error in its place."""
        if tp.topic in self._batch_topics and isinstance(result, FetchResult):
            result._partition_records._consumer_record = _as_parsed  # noqa: SLF001
            result.getall = partial(_all_in_one_span, result)
        super().__setitem__(tp, result)


def _all_in_one_span(result: FetchResult, max_records: int | None = None) -> list[Span]:
    unpacked = result._partition_records  # noqa: SLF001
    first = unpacked.next_fetch_offset
    records = FetchResult.getall(result, max_records)
    # nothing is covered where the fetch is outdated, because its partition was revoked, paused or set back
    return [Span(records, first, unpacked.next_fetch_offset)] if unpacked.next_fetch_offset > first else []


def _as_parsed(_: TP, record: SourceRecord) -> SourceRecord:
    return record


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Consumer thread that reads committed records only, with short waits: Faust's would add latency."""

    consumer: "BatchConsumer"
    _denied: str | None = None

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001  Faust passes 1500 and has no setting for it
        # Faust has this setting for transactions of its own only
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        return consumer

    async def seek_here(self, partition: TP, offset: int) -> None:
        """Seek; to be called in this thread."""
        self.seek(partition, offset)

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        fetcher = consumer._fetcher  # noqa: SLF001  it is recreated whenever the consumer starts
        if type(fetcher._records) is not FetchedResults:  # noqa: SLF001
            fetcher._records = FetchedResults(fetcher._records, self.consumer.transport.batch_topics)  # noqa: SLF001
        try:
            return await super()._fetch_records(consumer, *args, **kwargs)
        except TopicAuthorizationFailedError as error:
            self._denied = error.args[0]
            return {}

    def failure(self) -> FailureError | None:
        """Return why this consumer reads no more: not allowed to, or its fetcher has ended; None while it reads.

        aiokafka keeps an error of the group, and of its fetcher's task, for a call that Faust does not make.
        """
        fetcher = getattr(self._consumer, "_fetcher", None)
        if fetcher is not None and fetcher._fetch_task.done() and not fetcher._closed:  # noqa: SLF001
            return FetcherEnded("the task that fetches records has ended; restart, and report the traceback above")
        coordinator = getattr(self._consumer, "_coordinator", None)
        error = getattr(coordinator, "_pending_exception", None)
        if isinstance(error, GroupAuthorizationFailedError):
            return denied("processor", f"may not read with group {self.consumer.app.conf.id}")
        if isinstance(error, TopicAuthorizationFailedError):
            self._denied = ", ".join(sorted(error.args[0]))
        return denied("processor", f"may not read {self._denied}") if self._denied else None


class ReadOffsets(defaultdict[TP, int | None]):
    """Faust's record of offsets read, kept empty for batch topics: `processor.partitions` checks what follows.

    Faust would drop what it has read before, also when a partition was set back while a fetch waited for its turn.
    """

    def __init__(self, offsets: Mapping[TP, int | None], batch_topics: frozenset[str]) -> None:
        super().__init__(lambda: None, offsets)
        self._batch_topics = batch_topics

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        """Record an offset, unless it is of a batch topic."""
        super().__setitem__(tp, None if tp.topic in self._batch_topics else offset)

    def update(self, offsets: Mapping[TP, int | None]) -> None:  # type: ignore[override]
        """Record several offsets."""
        for tp, offset in offsets.items():
            self[tp] = offset


class BatchConsumer(driver.Consumer):
    """Consumer that cuts fetches of batch topics into events, and commits what checkpoints allow."""

    transport: "BatchTransport"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epoch = 0
        self._safe: dict[TP, int] = {}
        self._sought: dict[TP, int] = {}
        self._set_back: set[TP] = set()
        self._reread: Counter[TP] = Counter()
        self._read_offset = ReadOffsets(self._read_offset, self.transport.batch_topics)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def checkpoint(self, offsets: Mapping[int, int], *, topic: str) -> None:
        """Declare that all records of `topic` before these offsets, by partition, are saved."""
        for partition, next_offset in offsets.items():
            tp = TP(topic, partition)
            self._safe[tp] = next_offset
            # the commit loop looks only at partitions with an entry here
            self._acked[tp]

    def started_at(self, partition: int, *, topic: str) -> int | None:
        """Return the offset at which the reading of an assigned partition began; None before that.

        An earlier event belongs to a previous assignment: its records are fetched again.
        """
        return self._sought.get(TP(topic, partition))

    async def read_again(self, partition: int, offset: int, *, topic: str) -> None:
        """Continue to read a partition at `offset`."""
        tp = TP(topic, partition)
        self._set_back.add(tp)
        await self.seek(tp, offset)
        self._reread[tp] += 1

    @Service.task
    async def _watch_failures(self) -> None:
        while not self.should_stop:
            await self.sleep(_FAILURE_SECONDS)
            thread = cast("BatchConsumerThread | None", self._thread)
            if thread is not None and (failure := thread.failure()) is not None:
                self.transport.on_failure(failure)

    def lag(self, positions: Mapping[int, int], *, topic: str) -> dict[int, int]:
        """Return the number of records that follow in each partition of `positions` (next offset to process)."""
        lags = {}
        for partition, position in positions.items():
            end = self._readable_end(TP(topic, partition))
            if end is not None:
                lags[partition] = max(0, end - position)
        return lags

    async def log_start(self, partition: int, *, topic: str) -> int:
        """Return the offset at which the log of a partition begins: older records were deleted."""
        tp = TP(topic, partition)
        starts = await self.earliest_offsets(tp)
        return int(starts[tp])

    def _readable_end(self, tp: TP) -> int | None:
        """Return the end of what is committed; None before the first fetch. Records of open transactions follow it."""
        consumer = cast("BatchConsumerThread", self._thread)._ensure_consumer()  # noqa: SLF001
        highwater: int | None = consumer.highwater(tp)
        stable: int | None = consumer.last_stable_offset(tp)
        return highwater if stable is None or stable < 0 else stable

    async def _seek(self, partition: TP, offset: int) -> None:
        # Faust seeks from this thread, while the one that fetches may be about to set a position of its own
        thread = cast("BatchConsumerThread", self._thread)
        await thread.call_thread(thread.seek_here, partition, offset)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        reread = self._reread.copy()
        fetched = await super()._getmany(active_partitions=active_partitions, timeout=timeout)
        size = self.transport.batch_records
        return {
            tp: (
                [Fetch(tp, part, reread=reread[tp]) for span in records for part in span.cut(size)]
                if tp.topic in self.transport.batch_topics
                else records
            )
            for tp, records in fetched.items()
        }

    async def perform_seek(self) -> None:
        """Start to read the assigned partitions at their committed offsets, or else where their logs begin."""
        epoch = self.epoch
        await super().perform_seek()
        assigned = [tp for tp in self.assignment() if tp.topic in self.transport.batch_topics]
        commits = {tp: self._committed_offset[tp] for tp in assigned}
        starts = {tp: offset for tp, offset in commits.items() if offset is not None}
        # Faust leaves a partition without a commit where it is, which may be behind records that were fetched and
        # dropped in the middle of a rebalance
        unread = commits.keys() - starts.keys()
        if unread:
            starts |= await self.earliest_offsets(*unread)
        # Faust seeks in the middle of a rebalance too, and such a call may end after the one that counts
        if self.epoch != epoch:
            return
        self._sought |= starts
        # Faust has the partitions fetched from before it seeks, and what arrived until now was passed over
        for tp, offset in starts.items():
            if tp not in self._set_back:
                await self.seek(tp, offset)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic in self.transport.batch_topics:
            return self._safe.get(tp)
        offset: int | None = super()._new_offset(tp)
        return offset

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # the offsets inside a fetch would be taken for a gap that is already done
        if tp.topic not in self.transport.batch_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the processor make its last checkpoint, then forget the safe offsets."""
        await self.transport.before_revoke()
        self.epoch += 1
        self._sought = {}
        self._set_back.clear()
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._safe.pop(tp, None)


class BatchTransport(driver.Transport):
    """The aiokafka transport with our consumer."""

    Consumer: ClassVar[type] = BatchConsumer
    batch_topics: frozenset[str]
    batch_records: int
    before_revoke: Callable[[], Awaitable[None]]
    on_failure: Callable[[FailureError], None]


def install_batches(
    app: faust.App,
    *,
    topics: Iterable[str],
    batch_records: int,
    before_revoke: Callable[[], Awaitable[None]],
    on_failure: Callable[[FailureError], None],
) -> None:
    """Make `app` deliver fetches of `topics` as `FetchedRecords` of at most `batch_records`.

    before_revoke: called before partitions are given up, while their offsets can still be committed. on_failure:
    called when the brokers deny the group or a topic, or nothing is fetched any more.
    """
    if faust.__version__ != FAUST_VERSION:
        raise RuntimeError(
            f"faust-streaming {faust.__version__}: the batch transport was checked with {FAUST_VERSION} only; "
            f"install that version"
        )

    def new_transport() -> BatchTransport:
        transport = BatchTransport(app.conf.broker_consumer, app, loop=app.loop)
        transport.batch_topics = frozenset(topics)
        transport.batch_records = batch_records
        transport.before_revoke = before_revoke
        transport.on_failure = on_failure
        return transport

    # Faust has no public way to pass an instance
    app._new_transport = new_transport  # type: ignore[method-assign]  # noqa: SLF001


def consumer_of(app: faust.App) -> BatchConsumer:
    """Return the app's running consumer."""
    return cast("BatchConsumer", app.consumer)
