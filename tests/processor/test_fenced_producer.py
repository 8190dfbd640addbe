"""Only the newest owner of a partition can write it, on both brokers; and its changelog is read to its end."""

import pytest

from core.state.records import UnknownStateFormat
from processor.changelog import MACHINES, changelog_of, create_changelogs, end_record, read_changelog
from processor.fenced_producer import Fenced, FencedProducer, Outgoing
from tests.brokers import Broker
from tests.e2e.suites import OnApacheKafka, OnTansu


def a_producer(broker: Broker, partition: int = 3) -> FencedProducer:
    producer = FencedProducer(broker.kafka, partition, patience=20.0)
    producer.acquire()
    return producer


def record(broker: Broker, key: str, value: str) -> Outgoing:
    return Outgoing(changelog_of(broker.kafka, MACHINES), key.encode(), value.encode())


class OneOwner:
    """The contract that every broker's suite inherits."""

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

    def test_an_owner_that_was_replaced_writes_nothing_any_more(self, broker: Broker) -> None:
        before = a_producer(broker)
        before.write([record(broker, "machine/a", "before")])
        now = a_producer(broker)
        with pytest.raises(Fenced, match="partition 3 was taken over"):
            before.write([record(broker, "machine/a", "late")])
        now.write([record(broker, "machine/a", "now")])
        values = [value for _, value in read_changelog(broker.kafka, MACHINES, 3).records]
        assert values == [b"before", b"now"]

    def test_an_end_of_another_version_is_refused(self, broker: Broker) -> None:
        owner = a_producer(broker, 5)
        owner.write([Outgoing(changelog_of(broker.kafka, MACHINES), b"end", b"17")])
        with pytest.raises(UnknownStateFormat, match="machines-changelog"):
            read_changelog(broker.kafka, MACHINES, 5)


class TestOnTansu(OnTansu, OneOwner):
    pass


class TestOnApacheKafka(OnApacheKafka, OneOwner):
    pass
