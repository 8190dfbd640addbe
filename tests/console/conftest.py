import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from runtime.kafka import create_topics
from tests.api.servers import Server, running_server
from tests.brokers import Broker, running_tansu
from tests.console.plant_story import publish_plant
from tests.e2e.workers import eventually

READER, OPERATOR = "r" * 43, "o" * 43
OWN = {"Sec-Fetch-Site": "same-origin"}
"""What a browser sends with a form of our own pages."""


def entry(name: str, scope: str, token: str) -> str:
    """A token as the settings name it."""
    return f"{name}:{scope}:{hashlib.sha256(token.encode()).hexdigest()}"


@contextmanager
def signed_in(server: Server, token: str) -> Iterator[httpx.Client]:
    """A client with the cookie of somebody who signed in."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        answer = client.post("/console/sign-in", data={"token": token, "then": "/console/alerts"}, headers=OWN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/alerts")
        yield client


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
