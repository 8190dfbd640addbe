"""Fixtures of all tests: a clean environment and the two brokers.

`tansu`, `apache_kafka` and `broker` (each test once with both) are shared by all tests of a process, so use `unique`
names of topics and groups there. `fresh_tansu`, `fresh_apache_kafka` and `fresh_broker` belong to one test, for those
that use the real topic names; for a module or a class, call `running_tansu` and `running_apache_kafka` in a fixture.
"""

import logging
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.brokers import Broker, running_apache_kafka, running_tansu

# compiled rules make a first example slow, whatever the rule; `--hypothesis-profile=search` looks for new examples
settings.register_profile("steady", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("steady")

# whoever starts the tests in the background of a shell has them ignore Ctrl-C, and all that they start would inherit it
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_BARE = {"MODEL_PATH", "LOG_LEVEL", "WORKERS", "MAX_RETRIES", "CACHE_TIMEOUT"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer has set for their own runs must not change what tests see."""
    for name in list(os.environ):
        ours = name.startswith("NEXOVA_") and not name.startswith("NEXOVA_TEST_")
        if ours or name in _BARE:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """A demo in this process leaves our own loggers quiet; the next test hears them again."""
    yield
    logging.getLogger("nexova").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def tansu() -> Iterator[Broker]:
    with running_tansu() as broker:
        yield broker


@pytest.fixture(scope="session")
def apache_kafka() -> Iterator[Broker]:
    with running_apache_kafka(shared=True) as broker:
        yield broker


@pytest.fixture(scope="session", params=["tansu", "apache_kafka"])
def broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def fresh_tansu() -> Iterator[Broker]:
    with running_tansu() as broker:
        yield broker


@pytest.fixture
def fresh_apache_kafka() -> Iterator[Broker]:
    with running_apache_kafka() as broker:
        yield broker


@pytest.fixture(params=["fresh_tansu", "fresh_apache_kafka"])
def fresh_broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue(request.param)
    return found
