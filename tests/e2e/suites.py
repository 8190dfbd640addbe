"""A suite on each broker: `class TestOnTansu(OnTansu, Suite)` runs all of `Suite` on a broker of its own."""

from collections.abc import Iterator

import pytest

from tests.brokers import Broker, running_apache_kafka, running_tansu


class OnTansu:
    """The embedded broker."""

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> Iterator[Broker]:
        with running_tansu() as broker:
            yield broker


class OnApacheKafka:
    """The real thing."""

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> Iterator[Broker]:
        with running_apache_kafka() as broker:
            yield broker
