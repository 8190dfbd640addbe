import threading
import time
from collections.abc import Iterator

import pytest

from runtime.errors import FailureError, UsageError
from runtime.forecasting.worker import ForecastChild, ForecastTooSlow

SMALL = {"values": [1.0, 2.0, 3.0], "periods": 1, "frequency": "h"}
# a fit of many points takes far longer than anybody here waits
LARGE = {"values": [float(n % 24) for n in range(10_000)], "periods": 168, "frequency": "h", "model": "prophet"}
PATIENCE = 60.0


@pytest.fixture
def child() -> Iterator[ForecastChild]:
    made = ForecastChild()
    yield made
    made.close()


def test_one_that_takes_too_long_is_ended_and_the_next_is_answered(child: ForecastChild) -> None:
    with pytest.raises(ForecastTooSlow, match=r"10000 points was not done within 0\.01 s"):
        child.forecast(dict(LARGE), seconds=0.01)
    assert len(child.forecast(dict(SMALL), seconds=PATIENCE).forecast) == 1
    with pytest.raises(UsageError, match="banana"):
        child.forecast(SMALL | {"frequency": "banana"}, seconds=PATIENCE)


def test_the_end_does_not_wait_for_what_is_being_computed(child: ForecastChild) -> None:
    errors: list[FailureError] = []

    def ask() -> None:
        try:
            child.forecast(dict(LARGE), seconds=PATIENCE)
        except FailureError as error:
            errors.append(error)

    child.start()
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    begun = time.monotonic()
    child.close()
    asking.join(PATIENCE)
    assert not asking.is_alive()
    assert time.monotonic() - begun < PATIENCE / 2
    assert len(errors) == 1
    with pytest.raises(FailureError, match="the service is ending"):
        child.forecast(dict(SMALL), seconds=PATIENCE)
