"""Each way in which Faust or a producer is known to die in silence, and what notices it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from processor.health import Health
from processor.ingest import AgentEnded, FetchHandler
from processor.outputs import OutputFailed, Outputs
from processor.stalls import FIRST_PATIENCE, Stalls
from runtime.metrics import ProcessorMetrics, process_registry
from runtime.processor_settings import ProcessorSettings
from runtime.settings import KafkaSettings
from schemas.topics import ALERTS, READINGS


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def __call__(self) -> float:
        return self.now


@dataclass
class Worker:
    """A worker's health, told its figures every second as the watch does; ended: the time and reason of its end."""

    clock: Clock = field(default_factory=Clock)
    red_at: dict[str, float] = field(default_factory=dict)
    ended: tuple[float, str] | None = None

    def __post_init__(self) -> None:
        limits = ProcessorSettings()
        self.health = Health(
            stall_seconds=limits.stall_seconds,
            exit_after_seconds=limits.exit_after_stall_seconds,
            clock=self.clock,
        )
        self.begun = self.clock.now

    def run(self, seconds: int, **figures: Any) -> None:
        for _ in range(seconds):
            self.clock.now += 1
            facts: dict[str, Any] = {
                "records_done": 0,
                "lag": {},
                "recovering": False,
                "loop_lag_seconds": 0.0,
                "checkpointed_at": self.clock.now,
                "answered_at": self.clock.now,
                "dead_letters": 0,
            }
            self.health.observe(**(facts | figures))
            for check in self.health.failures():
                self.red_at.setdefault(check, self.clock.now - self.begun)
            fatal = self.health.fatal()
            if fatal is not None and self.ended is None:
                self.ended = (self.clock.now - self.begun, fatal)


SILENT_DEATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "consumer without progress": ("agent", {"lag": {0: 5, 1: 0}}),
    "one of two agents ended, the other has nothing to do": ("agent", {"lag": {3: 1}}),
    "recovery stuck": ("recovery", {"recovering": True}),
    "assigned and never fetched": ("recovery", {"pending": [4]}),
    "checkpoint stuck in a full producer queue": ("checkpoints", {"checkpointed_at": 1000.0}),
    "brokers away": ("broker", {"answered_at": 1000.0}),
}


@pytest.mark.parametrize("death", SILENT_DEATHS)
def test_a_silent_death_is_red_after_a_minute_and_ends_the_worker_with_its_cause(death: str) -> None:
    check, figures = SILENT_DEATHS[death]
    worker = Worker()
    worker.run(200, **figures)
    assert worker.red_at.keys() == {check}
    assert worker.red_at[check] <= 61
    assert worker.ended is not None
    seconds, reason = worker.ended
    assert 180 <= seconds <= 183
    assert reason.partition(" for ")[0].partition(" after ")[0] in worker.health.failures()[check]


def a_handler(app: Any, failures: list[BaseException]) -> FetchHandler:
    """Handler of fetches whose parts are not reached: no fetch comes."""
    unused: Any = None
    return FetchHandler(
        app=app,
        pipeline=unused,
        partitions=unused,
        adoption=unused,
        executor=unused,
        checkpoints=unused,
        metrics=unused,
        clock=Clock(),  # type: ignore[arg-type]
        ready=lambda: True,
        on_failure=failures.append,
    )


class Ended:
    """A stream of Faust that ends without a word."""

    def noack(self) -> "Ended":
        return self

    async def events(self) -> AsyncIterator[Any]:
        none: tuple[Any, ...] = ()
        for event in none:
            yield event


async def test_an_agent_whose_stream_ends_ends_the_worker_at_once() -> None:
    failures: list[BaseException] = []
    await a_handler(SimpleNamespace(should_stop=False), failures).consume(Ended(), READINGS)
    (failure,) = failures
    assert isinstance(failure, AgentEnded)
    assert READINGS in failure.message


async def test_an_agent_that_ends_with_its_worker_is_no_failure() -> None:
    failures: list[BaseException] = []
    await a_handler(SimpleNamespace(should_stop=True), failures).consume(Ended(), READINGS)
    assert not failures


async def test_an_agent_that_meets_an_error_ends_the_worker_with_it() -> None:
    class Broken(Ended):
        async def events(self) -> AsyncIterator[Any]:
            yield SimpleNamespace(message=None, value=None)

    failures: list[BaseException] = []
    await a_handler(SimpleNamespace(should_stop=False), failures).consume(Broken(), READINGS)
    assert [type(failure) for failure in failures] == [AttributeError]


def test_a_stream_that_skips_records_is_fetched_again_long_before_it_is_red() -> None:
    clock = Clock()
    stalls = Stalls(clock)
    first = next(second for second in seconds(clock) if stalls.stalled(READINGS, {2: 40}, {2: 3}))
    assert first == FIRST_PATIENCE < ProcessorSettings().stall_seconds


def seconds(clock: Clock) -> Iterator[int]:
    for second in range(60):
        yield second
        clock.now += 1


def test_a_queue_that_no_broker_empties_fails_the_flush_with_the_number_of_messages() -> None:
    outputs = Outputs(
        KafkaSettings(bootstrap_servers="127.0.0.1:1"), ProcessorMetrics(process_registry()), patience=0.2
    )
    for number in range(3):
        outputs.send(ALERTS, key=f"alert-{number}", value=b"{}", partition=0)
    with pytest.raises(OutputFailed, match=r"3 output messages were not acknowledged within 0\.2 s; check the broker"):
        outputs.flush()
