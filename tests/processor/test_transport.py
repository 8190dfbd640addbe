"""Each assumption on Faust's internals that processor/transport.py makes, one by one.

When a new Faust version breaks one of these, the test says which, before any broker is involved.
"""

import asyncio
import dataclasses
import inspect
from collections import OrderedDict
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import ConsumerStoppedError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from processor.transport import (
    FAUST_VERSION,
    FETCH_WAIT_MS,
    BatchConsumer,
    FetchedRecords,
    FetchedResults,
    FetcherEnded,
    FetchSchema,
    Span,
    install_batches,
)

TOPIC = "nexova.readings"
PARTITION = TP(TOPIC, 3)
OTHER = TP("other", 0)


async def nothing(*_: Any, **__: Any) -> None:
    pass


@pytest.fixture
async def consumer() -> AsyncIterator[BatchConsumer]:
    """A consumer of an app that was never started."""
    app = faust.App("transport-test", broker="kafka://127.0.0.1:1", autodiscover=False, store="memory://")
    install_batches(app, topics=[TOPIC], batch_records=4, before_revoke=nothing, on_failure=lambda _: None)
    app.finalize()
    made = app.transport.create_consumer(nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing)
    yield made
    # Faust makes these loops when the services are built and closes them only when they have run
    made._thread.thread_loop.close()


def a_span(number: int) -> Span:
    return Span(records(number), 100, 100 + number)


def records(number: int, *, topic: str = TOPIC) -> list[ConsumerRecord]:
    return [
        ConsumerRecord(topic, 3, 100 + i, 1_772_366_400_000 + i, 0, b"k", b"v%d" % i, None, 1, 2, ())
        for i in range(number)
    ]


def test_the_pinned_version_is_the_one_that_was_checked() -> None:
    assert faust.__version__ == FAUST_VERSION


async def test_the_app_builds_its_transport_through_our_factory(consumer: BatchConsumer) -> None:
    assert type(consumer) is BatchConsumer
    assert consumer.transport.batch_topics == {TOPIC}


async def test_fetches_of_a_batch_topic_are_cut_and_others_left_alone(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = records(2, topic="other")

    async def fetched(self: Any, active_partitions: Any, timeout: float) -> Any:  # noqa: ARG001, ASYNC109
        return {PARTITION: [a_span(10)], OTHER: other}

    # the one replaced call is the one that would go to a broker
    monkeypatch.setattr(driver.Consumer, "_getmany", fetched)
    got = await consumer._getmany(active_partitions={PARTITION}, timeout=1.0)
    assert [len(fetch.value.span.records) for fetch in got[PARTITION]] == [4, 4, 2]
    assert [fetch.offset for fetch in got[PARTITION]] == [103, 107, 109]
    assert got[OTHER] is other


def test_the_base_class_asks_for_records_by_these_keywords() -> None:
    assert list(inspect.signature(driver.Consumer._getmany).parameters) == ["self", "active_partitions", "timeout"]
    assert "active_partitions=active_partitions" in inspect.getsource(BaseConsumer._wait_next_records)


async def test_a_fetch_looks_like_a_record_to_faust(consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetched(self: Any, active_partitions: Any, timeout: float) -> Any:  # noqa: ARG001, ASYNC109
        return {PARTITION: [a_span(3)]}

    monkeypatch.setattr(driver.Consumer, "_getmany", fetched)
    (fetch,) = (await consumer._getmany(active_partitions=None, timeout=1.0))[PARTITION]
    message = consumer._to_message(PARTITION, fetch)
    assert (message.topic, message.partition, message.offset) == (TOPIC, 3, 102)
    event = await consumer.app.topic(TOPIC, schema=FetchSchema()).decode(message, propagate=True)
    assert isinstance(event.value, FetchedRecords)
    assert [record.value for record in event.value.span.records] == [b"v0", b"v1", b"v2"]


async def test_the_commit_loop_takes_the_safe_offset_and_nothing_else(consumer: BatchConsumer) -> None:
    assert consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()) == {}
    consumer.checkpoint({3: 500}, topic=TOPIC)
    assert consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()) == {PARTITION: 500}
    consumer._committed_offset[PARTITION] = 500
    assert consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()) == {}


async def test_other_topics_keep_faust_s_own_books(consumer: BatchConsumer) -> None:
    consumer._acked[OTHER].extend([7, 8, 9])
    assert consumer._new_offset(OTHER) == 10


async def test_the_inside_of_a_fetch_is_no_gap(consumer: BatchConsumer) -> None:
    await consumer._add_gap(PARTITION, 1, 5)
    await consumer._add_gap(OTHER, 1, 5)
    assert PARTITION not in consumer._gap
    assert OTHER in consumer._gap


async def test_nothing_of_a_batch_topic_counts_as_read_before(consumer: BatchConsumer) -> None:
    consumer._read_offset[PARTITION] = consumer._read_offset[OTHER] = 7
    consumer._read_offset.update({TP(TOPIC, 4): 9})
    assert (consumer._read_offset[PARTITION], consumer._read_offset[TP(TOPIC, 4)]) == (None, None)
    assert consumer._read_offset[OTHER] == 7
    assert "r_offset is None or" in inspect.getsource(BaseConsumer._drain_messages)
    assert "self._read_offset =" not in inspect.getsource(BaseConsumer).replace(
        "self._read_offset = defaultdict(lambda: None)", "", 1
    )


async def test_a_revoke_checkpoints_first_and_then_forgets_what_was_safe(consumer: BatchConsumer) -> None:
    seen: list[dict[TP, int]] = []

    async def before() -> None:
        await asyncio.sleep(0)
        seen.append(dict(consumer._safe))

    consumer.transport.before_revoke = before
    consumer.checkpoint({3: 500}, topic=TOPIC)
    epoch = consumer.epoch
    await consumer.on_partitions_revoked({PARTITION})
    assert seen == [{PARTITION: 500}]
    assert consumer._new_offset(PARTITION) is None
    assert consumer.epoch == epoch + 1


async def test_reading_begins_where_the_commit_stands_or_else_at_the_beginning(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncommitted = TP(TOPIC, 4)
    sought: list[tuple[TP, int]] = []

    async def commits(self: Any) -> Any:  # noqa: ARG001
        return {PARTITION: 42, uncommitted: None, OTHER: None}

    async def beginnings(self: Any, *partitions: TP) -> Any:  # noqa: ARG001
        return dict.fromkeys(partitions, 7)

    async def seek(self: Any, partition: TP, offset: int) -> None:  # noqa: ARG001
        sought.append((partition, offset))

    monkeypatch.setattr(driver.Consumer, "seek_to_committed", commits)
    monkeypatch.setattr(driver.Consumer, "earliest_offsets", beginnings)
    monkeypatch.setattr(BatchConsumer, "_seek", seek)
    monkeypatch.setattr(driver.Consumer, "assignment", lambda _: {PARTITION, uncommitted, OTHER})
    assert consumer.started_at(3, topic=TOPIC) is None
    await consumer.perform_seek()
    # all of them: or records fetched and passed over while partitions move would be lost
    assert sorted(sought) == [(PARTITION, 42), (uncommitted, 7)]
    assert consumer.started_at(3, topic=TOPIC) == 42
    assert consumer.started_at(4, topic=TOPIC) == 7
    await consumer.on_partitions_revoked({PARTITION})
    assert consumer.started_at(3, topic=TOPIC) is None


async def test_a_partition_that_is_being_read_again_is_left_there(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought: list[tuple[TP, int]] = []

    async def commits(self: Any) -> Any:  # noqa: ARG001
        await consumer.read_again(3, 10, topic=TOPIC)
        return {PARTITION: 42}

    async def seek(self: Any, partition: TP, offset: int) -> None:  # noqa: ARG001
        sought.append((partition, offset))

    monkeypatch.setattr(driver.Consumer, "seek_to_committed", commits)
    monkeypatch.setattr(BatchConsumer, "_seek", seek)
    monkeypatch.setattr(driver.Consumer, "assignment", lambda _: {PARTITION})
    await consumer.perform_seek()
    assert sought == [(PARTITION, 10)]


async def test_a_seek_is_done_by_the_thread_that_fetches(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[Any, ...]] = []

    async def call_thread(method: Any, *args: Any) -> None:
        called.append((method, *args))

    monkeypatch.setattr(consumer._thread, "call_thread", call_thread)
    await consumer.seek(PARTITION, 42)
    assert called == [(consumer._thread.seek_here, PARTITION, 42)]


async def test_a_seek_that_a_rebalance_overtook_takes_nothing_back(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken = asyncio.Event()

    async def commits(self: Any) -> Any:  # noqa: ARG001
        if not overtaken.is_set():
            overtaken.set()
            await asyncio.sleep(0.01)
            return {TP(TOPIC, 4): 9}
        return {PARTITION: 42}

    monkeypatch.setattr(driver.Consumer, "seek_to_committed", commits)
    monkeypatch.setattr(BatchConsumer, "_seek", nothing)
    monkeypatch.setattr(driver.Consumer, "assignment", lambda _: set(consumer._committed_offset))
    slow = asyncio.create_task(consumer.perform_seek())
    await overtaken.wait()
    await consumer.on_partitions_revoked({TP(TOPIC, 4)})
    await consumer.perform_seek()
    await slow
    assert consumer.started_at(3, topic=TOPIC) == 42
    assert consumer.started_at(4, topic=TOPIC) is None


async def test_records_tell_whether_they_were_fetched_before_their_partition_was_set_back(
    consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetched(self: Any, active_partitions: Any, timeout: float) -> Any:  # noqa: ARG001, ASYNC109
        if not consumer._reread:
            await consumer.read_again(3, 0, topic=TOPIC)  # while this very fetch is under way
        return {PARTITION: [a_span(1)]}

    monkeypatch.setattr(BatchConsumer, "_seek", nothing)
    monkeypatch.setattr(driver.Consumer, "_getmany", fetched)
    (before,) = (await consumer._getmany(active_partitions=None, timeout=1.0))[PARTITION]
    (after,) = (await consumer._getmany(active_partitions=None, timeout=1.0))[PARTITION]
    assert (before.value.reread, after.value.reread) == (0, 1)


async def test_records_of_a_batch_topic_stay_as_they_were_parsed() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 10_000)
    builder.append(0, 1_772_366_400_000, b"press-01", b"{}", [])
    builder.append(1, 1_772_366_400_001, None, None, [])
    results = FetchedResults({OTHER: a_result(OTHER, bytes(builder.build()))}, frozenset([TOPIC]))
    results[PARTITION] = a_result(PARTITION, bytes(builder.build()))
    results[TP(TOPIC, 4)] = error = object()  # what comes instead of a result passes
    (span,) = results[PARTITION].getall()
    assert (span.first, span.next_offset) == (0, 2)
    first, second = span.records
    assert (first.offset, first.timestamp, first.value) == (0, 1_772_366_400_000, b"{}")
    assert (second.offset, second.value) == (1, None)
    assert not isinstance(first, ConsumerRecord)
    assert isinstance(results[OTHER].getall()[0], ConsumerRecord)
    assert results[TP(TOPIC, 4)] is error


def test_a_span_is_cut_without_gaps_also_where_offsets_have_no_record() -> None:
    sparse = [record for record in records(9) if record.offset != 104]
    parts = Span(sparse, 98, 112).cut(4)
    assert [(part.first, part.next_offset, len(part.records)) for part in parts] == [(98, 104, 4), (104, 112, 4)]
    assert Span([], 98, 112).cut(4) == [Span([], 98, 112)]


def test_a_span_is_cut_by_bytes_as_well_and_a_large_record_is_a_span_of_its_own() -> None:
    sizes = (3, 3, 3, 20, 1, 1)
    found = [
        dataclasses.replace(record, offset=offset, value=b"x" * size)
        for offset, (record, size) in enumerate(zip(records(6), sizes, strict=True))
    ]
    parts = Span(found, 0, 6).cut(4, most_bytes=7)
    assert [(part.first, part.next_offset) for part in parts] == [(0, 2), (2, 3), (3, 4), (4, 6)]


async def test_a_fetch_without_a_record_is_a_span_and_one_that_is_outdated_is_none() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 10_000)
    builder.append(0, 1_772_366_400_000, b"press-01", b"{}", [])
    batch = bytes(builder.build())
    marker = batch[:22] + bytes([batch[22] | 0x20]) + batch[23:]
    results = FetchedResults({}, frozenset([TOPIC]))
    results[PARTITION] = a_result(PARTITION, marker)
    assert results[PARTITION].getall() == [Span([], 0, 1)]
    results[PARTITION] = outdated = a_result(PARTITION, batch)
    outdated._assignment.state_value(PARTITION).seek(7)  # set back meanwhile
    assert outdated.getall() == []


def a_result(tp: TP, data: bytes) -> FetchResult:
    """A fetched batch as aiokafka's fetcher holds it, of a partition that is read from 0."""
    assigned = SubscriptionState(loop=asyncio.get_running_loop())
    assigned.assign_from_user([tp])
    assignment = assigned.subscription.assignment
    assignment.state_value(tp).reset_to(0)
    unpacked = PartitionRecords(
        tp,
        MemoryRecords(data),
        [],
        fetch_offset=0,
        key_deserializer=None,
        value_deserializer=None,
        check_crcs=False,
        isolation_level=0,
    )
    return FetchResult(tp, assignment=assignment, partition_records=unpacked, backoff=0)


async def test_the_fetcher_s_results_are_replaced_before_the_first_records_are_taken(consumer: BatchConsumer) -> None:
    fetcher = SimpleNamespace(_records=OrderedDict(), _closed=True)
    consumer.flow_active = True
    with pytest.raises(ConsumerStoppedError):
        await consumer._thread._fetch_records(SimpleNamespace(_fetcher=fetcher, _closed=True), set(), timeout=0.1)
    assert isinstance(fetcher._records, FetchedResults)
    assert "self._records[tp] = FetchResult(" in inspect.getsource(Fetcher)


async def test_a_fetch_is_not_held_back_for_long(consumer: BatchConsumer) -> None:
    made = consumer._thread._create_worker_consumer(consumer.transport)
    assert made._fetch_max_wait_ms == FETCH_WAIT_MS
    assert made._isolation_level == "read_committed"
    for option in ("_fetch_max_wait_ms", "_isolation_level"):
        assert f"self.{option}" in inspect.getsource(type(made).start)
    await made.stop()


def test_streams_resume_only_after_the_seek() -> None:
    source = inspect.getsource(faust.tables.recovery.Recovery._resume_streams)
    assert source.index("on_rebalance_complete.send") < source.index("perform_seek") < source.index("resume_flow")


async def test_a_fetcher_whose_task_has_ended_is_a_failure_unless_it_was_closed(consumer: BatchConsumer) -> None:
    thread: Any = consumer._thread
    assert thread.failure() is None, "nothing is fetched before the start"

    async def crash() -> None:
        raise ConnectionResetError

    waiting, crashed = asyncio.create_task(asyncio.sleep(600)), asyncio.create_task(crash())
    await asyncio.wait([crashed])
    fetcher = SimpleNamespace(_fetch_task=waiting, _closed=False)
    thread._consumer = SimpleNamespace(_fetcher=fetcher, _coordinator=None)
    assert thread.failure() is None
    fetcher._fetch_task = crashed
    assert isinstance(thread.failure(), FetcherEnded)
    fetcher._closed = True
    assert thread.failure() is None
    thread._consumer = None
    waiting.cancel()
    assert isinstance(crashed.exception(), ConnectionResetError)
    source = inspect.getsource(Fetcher)
    assert "self._fetch_task = create_task(self._fetch_requests_routine())" in source
    assert source.index("self._closed = True") < source.index("self._fetch_task.cancel()")
