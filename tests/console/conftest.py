from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from runtime.kafka import create_topics
from tests.api.servers import Server, running_server
from tests.brokers import Broker, running_tansu
from tests.console.plant_story import publish_plant
from tests.e2e.workers import eventually


@pytest.fixture(scope="module")
def plant_broker() -> Iterator[Broker]:
    """A broker with the story of a small plant; the tests of a module add to it."""
    with running_tansu() as broker:
        create_topics(broker.kafka)
        publish_plant(broker)
        yield broker


@pytest.fixture(scope="module")
def console(plant_broker: Broker) -> Iterator[Server]:
    """The console of that plant, without tokens."""
    with running_server(kafka={"bootstrap_servers": plant_broker.bootstrap_servers}) as server:
        wait_ready(server)
        yield server


@pytest.fixture(autouse=True)
def _no_cookies(request: pytest.FixtureRequest) -> None:
    """What one test chose must not change what the next one sees."""
    for name in {"console", "guarded"} & set(request.fixturenames):
        request.getfixturevalue(name).client.cookies.clear()


def wait_ready(server: Server) -> None:
    eventually(lambda: server.get("/ready").status_code == 200, seconds=40, what="the view is complete")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts services with settings of their own, and ends them after the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running_server(**settings))
