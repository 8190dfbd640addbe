"""The contract of reading a topic, on both brokers."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from confluent_kafka.cimpl import NewTopic

from runtime.children import free_port
from runtime.errors import BrokerUnavailable, FailureError, NexovaError, TopicMissing
from runtime.kafka import client_config, producer_config
from runtime.settings import KafkaSettings
from runtime.topic_reader import BEGINNING, END, Record, Start, TopicReader, follow, read_to_end
from tests.brokers import Broker, running_apache_kafka, running_tansu, unique

PATIENCE = 30.0


class ReaderContract:
    """Inherited once per broker; a subclass has the fixture `broker`."""

    def test_all_records_come_once_and_in_the_order_of_their_partition(self, broker: Broker) -> None:
        topic = a_topic(broker, partitions=3)
        send(broker, topic, range(5_000))
        records, shares = everything(broker, topic)
        assert sorted(numbers(records)) == list(range(5_000))
        for partition in range(3):
            own = [int(record.value or b"") for record in records if record.partition == partition]
            assert own == sorted(own)
        assert shares == sorted(shares)
        assert shares[-1] == 1.0

    def test_an_empty_topic_is_at_its_end_at_once(self, broker: Broker) -> None:
        with TopicReader(broker.kafka, {a_topic(broker, partitions=2): BEGINNING}) as reader:
            assert reader.read(0.1) == []
            assert reader.caught_up
            assert reader.share == 1.0

    def test_keys_values_deletions_and_times_are_those_that_were_sent(self, broker: Broker) -> None:
        topic = a_topic(broker)
        producer = Producer(producer_config(broker.kafka))
        producer.produce(topic, key=b"press-01", value=b"1", timestamp=1_772_366_400_000)
        producer.produce(topic, key=b"press-01", value=None, timestamp=1_772_366_401_000)
        assert producer.flush(PATIENCE) == 0
        records, _ = everything(broker, topic)
        assert records == [
            Record(topic=topic, partition=0, offset=0, written_at=1_772_366_400.0, key=b"press-01", value=b"1"),
            Record(topic=topic, partition=0, offset=1, written_at=1_772_366_401.0, key=b"press-01", value=None),
        ]

    def test_the_newest_records_alone_can_be_read(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, range(20), batches=True)
        records, _ = everything(broker, topic, Start(newest=3))
        assert numbers(records) == [17, 18, 19]

    def test_what_was_written_since_a_time_can_be_read(self, broker: Broker) -> None:
        topic = a_topic(broker, partitions=2)
        send(broker, topic, range(10), at=1_000.0, partition=0)
        send(broker, topic, range(10, 20), at=2_000.0, partition=0)
        send(broker, topic, range(20, 30), at=1_000.0, partition=1)
        records, _ = everything(broker, topic, Start(since=1_500.0))
        assert sorted(numbers(records)) == list(range(10, 20))

    def test_no_record_since_a_time_is_missed(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, range(10), at=1_000.0)
        send(broker, topic, range(10, 20), at=2_000.0)
        records, _ = everything(broker, topic, Start(since=1_500.0))
        assert set(range(10, 20)) <= set(numbers(records))

    def test_from_the_end_only_new_records_come(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, [1])
        with TopicReader(broker.kafka, {topic: END}) as reader:
            send(broker, topic, [2])
            assert numbers(some(reader, 1)) == [2]

    def test_each_topic_has_a_start_of_its_own(self, broker: Broker) -> None:
        first, second = a_topic(broker), a_topic(broker)
        send(broker, first, range(3), batches=True)
        send(broker, second, range(3), batches=True)
        with TopicReader(broker.kafka, {first: BEGINNING, second: Start(newest=1)}) as reader:
            records = until_caught_up(reader)
        assert numbers(record for record in records if record.topic == first) == [0, 1, 2]
        assert numbers(record for record in records if record.topic == second) == [2]

    def test_one_read_returns_no_more_than_it_was_asked_for(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, range(1_000))
        with TopicReader(broker.kafka, {topic: BEGINNING}, buffer_kib=64) as reader:
            sizes = []
            while not reader.caught_up:
                sizes.append(len(reader.read(1.0, most=100)))
        assert max(sizes) <= 100
        assert sum(sizes) == 1_000

    def test_reading_to_the_end_ends_while_others_go_on_writing(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, range(2_000))
        written, enough = itertools.count(2_000), threading.Event()

        def write() -> None:
            while not enough.wait(0.005):
                send(broker, topic, [next(written)])

        writer = threading.Thread(target=write)
        writer.start()
        try:
            records, _ = everything(broker, topic)
        finally:
            enough.set()
            writer.join()
        assert numbers(records)[:2_000] == list(range(2_000))
        assert len(records) < next(written), "what came later belongs to the next one who reads"

    def test_the_end_can_be_marked_anew(self, broker: Broker) -> None:
        topic = a_topic(broker)
        with TopicReader(broker.kafka, {topic: BEGINNING}) as reader:
            until_caught_up(reader)
            send(broker, topic, range(100))
            reader.mark_end()
            assert not reader.caught_up
            assert numbers(until_caught_up(reader)) == list(range(100))

    def test_a_transaction_s_marker_at_the_end_holds_nobody_up(self, broker: Broker) -> None:
        topic = a_topic(broker)
        transaction(broker, topic, [1, 2], commit=True)
        records, _ = everything(broker, topic)
        assert numbers(records) == [1, 2]

    def test_records_of_an_aborted_transaction_are_not_seen(self, broker: Broker) -> None:
        topic = a_topic(broker)
        transaction(broker, topic, [1], commit=True)
        transaction(broker, topic, [2], commit=False)
        records, _ = everything(broker, topic)
        assert numbers(records) == [1]

    def test_a_later_reader_goes_on_where_an_earlier_one_was(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, range(10))
        with TopicReader(broker.kafka, {topic: BEGINNING}) as reader:
            until_caught_up(reader)
            positions = reader.positions
        send(broker, topic, range(10, 20))
        with TopicReader(broker.kafka, {topic: BEGINNING}, resume=positions) as reader:
            assert numbers(until_caught_up(reader)) == list(range(10, 20))
        with TopicReader(broker.kafka, {topic: BEGINNING}, resume={(topic, 0): 5_000}) as reader:
            assert numbers(until_caught_up(reader)) == list(range(20)), "a topic that was made anew"

    def test_a_partition_can_be_held_back(self, broker: Broker) -> None:
        topic = a_topic(broker, partitions=2)
        with TopicReader(broker.kafka, {topic: BEGINNING}) as reader:
            reader.hold([(topic, 0)])
            send(broker, topic, [0], partition=0)
            send(broker, topic, [1], partition=1)
            assert numbers(some(reader, 1)) == [1]
            assert reader.read(0.5) == []
            reader.hold([])
            assert numbers(some(reader, 1)) == [0]

    def test_who_is_far_behind_can_skip_to_the_newest(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, range(500), batches=True)
        with TopicReader(broker.kafka, {topic: BEGINNING}) as reader:
            assert reader.read(5.0, most=1)
            reader.skip(behind=100, newest=10)
            left = until_caught_up(reader)
        assert numbers(left)[-1] == 499
        assert len(left) <= 20

    def test_a_topic_that_does_not_exist_is_named_with_the_remedy(self, broker: Broker) -> None:
        with pytest.raises(TopicMissing, match=r"^no-such-topic does not exist at .*; run `nexova topics create`$"):
            TopicReader(broker.kafka, {"no-such-topic": BEGINNING})

    def test_following_begins_once_the_topic_exists_and_loses_nothing(self, broker: Broker) -> None:
        name = unique("late")
        states: list[NexovaError | None] = []
        found: list[int] = []

        def state(problem: NexovaError | None) -> None:
            states.append(problem)
            if isinstance(problem, TopicMissing):
                a_topic(broker, name=name)
                send(broker, name, range(10))

        following = follow(broker.kafka, {name: BEGINNING}, stopped=lambda: False, on_state=state, wait=lambda _: None)
        while len(found) < 10:
            found += numbers(next(following)[1])
        following.close()
        assert isinstance(states[0], TopicMissing)
        assert states[-1] is None
        assert found == list(range(10))


class TestTansu(ReaderContract):
    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> Iterator[Broker]:
        with running_tansu() as broker:
            yield broker

    @pytest.mark.xfail(strict=True, raises=AssertionError, reason="Tansu finds no offsets by time")
    def test_what_was_written_since_a_time_can_be_read(self, broker: Broker) -> None:
        super().test_what_was_written_since_a_time_can_be_read(broker)

    @pytest.mark.xfail(strict=True, raises=AssertionError, reason="Tansu shows the records of aborted transactions")
    def test_records_of_an_aborted_transaction_are_not_seen(self, broker: Broker) -> None:
        super().test_records_of_an_aborted_transaction_are_not_seen(broker)

    def test_following_goes_on_with_a_broker_that_was_made_anew(self) -> None:
        """Its memory is lost with it: the topics are missing until somebody creates them again."""
        found: list[int] = []
        problems: list[NexovaError | None] = []
        port = free_port()
        with running_tansu(port=port) as first:
            topic = a_topic(first, name="kept")
            send(first, topic, range(10))
            following = follow(
                first.kafka,
                {topic: BEGINNING},
                stopped=lambda: False,
                on_state=problems.append,
                wait=lambda _: time.sleep(0.05),
            )
            while len(found) < 10:
                found += numbers(next(following)[1])
        with running_tansu(port=port) as second:
            a_topic(second, name="kept")
            send(second, topic, range(10, 13))
            for _, records in following:
                found += numbers(records)
                if len(found) == 13:
                    break
            following.close()
        assert found == list(range(13))


class TestApacheKafka(ReaderContract):
    """With what the embedded broker cannot do: removing records, adding partitions, open transactions."""

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> Iterator[Broker]:
        with running_apache_kafka() as broker:
            yield broker

    def test_records_that_retention_removed_are_passed_over(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, range(10), batches=True)
        with TopicReader(broker.kafka, {topic: BEGINNING}) as reader:
            remove_before(broker, topic, 6)
            left = until_caught_up(reader)
        assert set(numbers(left)) >= {6, 7, 8, 9}
        records, _ = everything(broker, topic)
        assert numbers(records) == [6, 7, 8, 9]

    def test_a_topic_of_which_nothing_is_left_is_at_its_end(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, range(4), batches=True)
        remove_before(broker, topic, 4)
        assert everything(broker, topic)[0] == []

    def test_more_partitions_are_noticed(self, broker: Broker) -> None:
        topic = a_topic(broker)
        with TopicReader(broker.kafka, {topic: BEGINNING}) as reader:
            reader.check()
            admin = AdminClient(client_config(broker.kafka))
            (future,) = admin.create_partitions([NewPartitions(topic, 3)]).values()
            future.result()
            with pytest.raises(FailureError, match="changed from 1 to 3"):
                eventually_raises(reader.check)

    def test_an_open_transaction_ends_the_topic_for_now(self, broker: Broker) -> None:
        topic = a_topic(broker)
        send(broker, topic, [1])
        producer = Producer(producer_config(broker.kafka) | {"transactional.id": unique("transaction")})
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
        producer.produce(topic, value=b"2")
        producer.flush(PATIENCE)
        assert numbers(everything(broker, topic)[0]) == [1]
        producer.commit_transaction(PATIENCE)
        assert numbers(everything(broker, topic)[0]) == [1, 2]


def test_without_a_broker_the_error_names_the_address() -> None:
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    with pytest.raises(BrokerUnavailable, match=r"^Kafka does not answer at 127\.0\.0\.1:9 "):
        TopicReader(kafka, {"nexova.alerts": BEGINNING})


def a_topic(broker: Broker, *, partitions: int = 1, name: str | None = None) -> str:
    name = name or unique("reader")
    admin = AdminClient(client_config(broker.kafka))
    (future,) = admin.create_topics([NewTopic(name, partitions, 1)]).values()
    future.result()
    return name


def send(
    broker: Broker,
    topic: str,
    wanted: range | list[int],
    *,
    at: float = 0.0,
    partition: int | None = None,
    batches: bool = False,
) -> None:
    """Send numbers. at: epoch s, 0 is now. batches: each in a batch of its own; Tansu counts only whole batches."""
    producer = Producer(producer_config(broker.kafka) | {"linger.ms": 0})
    place = {} if partition is None else {"partition": partition}
    for number in wanted:
        text = str(number).encode()
        producer.produce(topic, key=text, value=text, timestamp=int(at * 1000), **place)
        if batches:
            producer.flush(PATIENCE)
    assert producer.flush(PATIENCE) == 0


def transaction(broker: Broker, topic: str, wanted: list[int], *, commit: bool) -> None:
    producer = Producer(producer_config(broker.kafka) | {"transactional.id": unique("transaction")})
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    for number in wanted:
        producer.produce(topic, value=str(number).encode())
    producer.flush(PATIENCE)
    if commit:
        producer.commit_transaction(PATIENCE)
    else:
        producer.abort_transaction(PATIENCE)


def remove_before(broker: Broker, topic: str, offset: int) -> None:
    """What retention does, at once."""
    admin = AdminClient(client_config(broker.kafka))
    (future,) = admin.delete_records([TopicPartition(topic, 0, offset)]).values()
    future.result()


def everything(broker: Broker, topic: str, start: Start = BEGINNING) -> tuple[list[Record], list[float]]:
    found: list[Record] = []
    shares = []
    for records, share in read_to_end(broker.kafka, topic, start=start, patience_seconds=PATIENCE):
        found += records
        shares.append(share)
    return found, shares


def until_caught_up(reader: TopicReader) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while not reader.caught_up:
        assert time.monotonic() < deadline, f"not at the end of {reader.places}: {reader.positions}"
        found += reader.read()
    return found


def some(reader: TopicReader, count: int) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline, f"{count} records did not come"
        found += reader.read()
    return found


def numbers(records: Iterable[Record]) -> list[int]:
    return [int(record.value or b"") for record in records]


def eventually_raises(check: Callable[[], None]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        check()
        time.sleep(0.05)
