"""Only the newest owner of a partition can write it, on both brokers; and its changelog is read to its end."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from core.state.records import UnknownStateFormat
from processor.changelog import MACHINES, changelog_of, create_changelogs, end_record, read_changelog
from processor.fenced_producer import Fenced, FencedProducer, Outgoing
from runtime.kafka import consumer_config
from schemas.trace import traceparent_of
from tests.brokers import Broker
from tests.e2e.suites import OnApacheKafka, OnTansu
from tests.e2e.workers import eventually


def a_producer(broker: Broker, partition: int = 3) -> FencedProducer:
    producer = FencedProducer(broker.kafka, partition, patience=20.0)
    producer.acquire()
    return producer


def record(broker: Broker, key: str, value: str) -> Outgoing:
    return Outgoing(changelog_of(broker.kafka, MACHINES), key.encode(), value.encode())


class OneOwner:
    """The contract that every broker's suite inherits.

    hides_the_unfinished: whether the broker shows no records of transactions that were not committed.
    """

    hides_the_unfinished: ClassVar = True

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _changelogs(cls, broker: Broker) -> None:
        create_changelogs(broker.kafka)

    def test_what_the_owner_writes_is_read_in_order_with_its_end(self, broker: Broker) -> None:
        owner = a_producer(broker, 1)
        owner.write([record(broker, "machine/a", "1"), record(broker, "machine/b", "2")])
        owner.write([record(broker, "machine/a", "3"), end_record(broker.kafka, MACHINES, offset=17, topic_id=None)])
        shares: list[float] = []
        restored = read_changelog(broker.kafka, MACHINES, 1, on_progress=lambda *place: shares.append(place[2]))
        assert (shares[0], shares[-1]) == (0.0, 1.0)
        assert shares == sorted(shares)
        assert restored.records == [(b"machine/a", b"1"), (b"machine/b", b"2"), (b"machine/a", b"3")]
        assert restored.end is not None
        assert restored.end.offset == 17
        # of another partition nothing is there
        assert read_changelog(broker.kafka, MACHINES, 2).records == []

    def test_headers_of_a_message_arrive_with_it(self, broker: Broker) -> None:
        topic, trace = changelog_of(broker.kafka, MACHINES), b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        a_producer(broker, 4).write(
            [Outgoing(topic, b"a", b"1", (("traceparent", trace),)), Outgoing(topic, b"b", b"2")]
        )
        consumer = Consumer(consumer_config(broker.kafka))
        consumer.assign([TopicPartition(topic, 4, 0)])
        found: list[Message] = []

        def both() -> bool:
            found.extend(consumer.consume(10, 1.0))
            return len(found) == 2

        try:
            eventually(both, seconds=60, what="both messages are there")
        finally:
            consumer.close()
        assert [traceparent_of(message.headers()) for message in found] == [trace, None]

    def test_an_owner_that_was_replaced_writes_nothing_any_more(self, broker: Broker) -> None:
        before = a_producer(broker)
        before.write([record(broker, "machine/a", "before")])
        now = a_producer(broker)
        with pytest.raises(Fenced, match="partition 3 was taken over"):
            before.write([record(broker, "machine/a", "late")])
        now.write([record(broker, "machine/a", "now")])
        values = [value for _, value in read_changelog(broker.kafka, MACHINES, 3).records]
        assert values == [b"before", b"now"]

    def test_an_owner_that_is_replaced_while_it_writes_is_told_so(self, broker: Broker) -> None:
        before = a_producer(broker, 6)
        late = record(broker, "machine/a", "late")

        class Replaced(list[Outgoing]):
            """Messages without end, after the first of which another owner begins."""

            def __iter__(self) -> Iterator[Outgoing]:
                yield late
                a_producer(broker, 6)
                while True:
                    yield late

        with pytest.raises(Fenced, match="partition 6 was taken over"):
            before.write(Replaced())
        if self.hides_the_unfinished:
            assert read_changelog(broker.kafka, MACHINES, 6).records == []

    def test_an_end_of_another_version_is_refused(self, broker: Broker) -> None:
        owner = a_producer(broker, 5)
        owner.write([Outgoing(changelog_of(broker.kafka, MACHINES), b"end", b"17")])
        with pytest.raises(UnknownStateFormat, match="machines-changelog"):
            read_changelog(broker.kafka, MACHINES, 5)


class TestOnTansu(OnTansu, OneOwner):
    hides_the_unfinished = False


class TestOnApacheKafka(OnApacheKafka, OneOwner):
    pass
