"""A plan on its way from a file over the topic to the forecasts of a worker."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from confluent_kafka import Producer
from typer.testing import CliRunner

from cli.plan import app
from processor.forecasting.known_inputs import InputFollower
from processor.partitions import PartitionTable
from processor.publisher import Publisher
from runtime.kafka import create_topics, producer_config
from schemas.codec import Refusal
from schemas.topics import CATALOGUE, KNOWN_INPUTS
from tests.brokers import Broker

NOW = 490_000
PATIENCE = 60.0
PLAN = "time,pieces per hour,temperature\n" + "".join(
    f"{np.datetime64(NOW + hour, 'h')}:00:00Z,{100 + hour},{hour / 2}\n" for hour in range(-48, 96)
)


class Refusals:
    """A publisher that keeps what is refused."""

    def __init__(self) -> None:
        self.details: list[str] = []

    def refusal(self, topic: str, partition: int, offset: int, refusal: Refusal, *, at: float) -> None:
        del partition, offset, at
        assert (topic, refusal.reason) == (KNOWN_INPUTS, "not_an_input")
        self.details.append(refusal.detail)


def follower(broker: Broker, refusals: Refusals) -> InputFollower:
    own = cast("PartitionTable", range(64))
    return InputFollower(broker.settings(), own, cast("Publisher", refusals), clock=lambda: NOW * 3600.0)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  another thread brings it about
            await asyncio.sleep(0.02)


async def test_a_plan_from_a_file_reaches_the_forecasts_and_a_restart_reads_it_again(
    fresh_tansu: Broker, tmp_path: Path
) -> None:
    create_topics(fresh_tansu.kafka, CATALOGUE)
    path = tmp_path / "plan.csv"
    path.write_text(PLAN)
    environment = {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS": fresh_tansu.kafka.bootstrap_servers}
    done = await asyncio.to_thread(
        CliRunner().invoke, app, ["import", str(path), "--machine", "press-01"], env=environment
    )
    assert done.exit_code == 0, done.output
    assert "288 hours of pieces per hour, temperature sent for press-01" in done.output
    producer = Producer(producer_config(fresh_tansu.kafka))
    producer.produce(KNOWN_INPUTS, b'{"machine_id": "press-01"}', b"press-01")
    assert producer.flush(PATIENCE) == 0
    for _ in range(2):
        refusals, stopped = Refusals(), False
        inputs = follower(fresh_tansu, refusals)
        running = asyncio.ensure_future(inputs.run(stopped=lambda: stopped))  # noqa: B023
        await until(lambda: inputs.caught_up and refusals.details)  # noqa: B023
        found = inputs.of("press-01", NOW - 48, NOW + 100)
        assert found is not None
        assert found.names == ("pieces_per_hour", "temperature")
        np.testing.assert_array_equal(found.values[0, :144], np.arange(52, 196))
        assert np.isnan(found.values[:, 144:]).all()
        assert inputs.of("press-02", NOW, NOW + 1) is None
        assert "send what `nexova plan import` sends" in refusals.details[0]
        stopped = True
        await running


async def test_without_the_topic_forecasts_do_not_wait(fresh_tansu: Broker) -> None:
    inputs, stopped = follower(fresh_tansu, Refusals()), False
    running = asyncio.ensure_future(inputs.run(stopped=lambda: stopped))
    await until(lambda: inputs.caught_up)
    assert inputs.of("press-01", NOW, NOW + 1) is None
    stopped = True
    await running
