"""A broker that is away: workers wait and go on alone, or end with the cause as their last line."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.kafka import create_topics
from tests.e2e.proxies import apache_kafka_behind_a_proxy
from tests.e2e.workers import Worker, eventually, publish, wait_committed, workers

NOW = datetime.now(UTC)
MACHINES = 40
AWAY_SECONDS = 40.0
"""Longer than a session, than a request may take, and than the broker's clients wait by themselves."""
FEW_LINES = 6


def readings(first: int, last: int) -> list[tuple[str, bytes]]:
    """One reading a second of each machine, from second `first` to before `last`."""
    found = []
    for second in range(first, last):
        at = (NOW - timedelta(seconds=3600 - second)).isoformat()
        for number in range(MACHINES):
            message = {"machine_id": f"press-{number:02d}", "timestamp": at, "power": 50.0}
            found.append((message["machine_id"], json.dumps(message).encode()))
    return [(str(key), value) for key, value in found]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_workers_go_on_alone_when_the_broker_is_back(tmp_path: Path) -> None:
    with apache_kafka_behind_a_proxy() as (broker, proxy):
        create_topics(broker.kafka)
        with workers(broker, tmp_path) as group:
            both = [group.start(), group.start()]
            group.wait_ready(seconds=120)
            wait_committed(broker, publish(broker, readings(0, 60)), seconds=60)
            before = [len(lines(worker)) for worker in both]
            proxy.cut()
            back_at = time.monotonic() + AWAY_SECONDS
            eventually(lambda: time.monotonic() > back_at, seconds=AWAY_SECONDS + 30, what="the end of the outage")
            proxy.restore()
            wait_committed(broker, publish(broker, readings(60, 120)), seconds=90)
            assert [worker.process.poll() for worker in both] == [None, None], group.logs()
            eventually(
                lambda: all(worker.health().get("status") == "ok" for worker in both), seconds=30, what="both healthy"
            )
            eventually(
                lambda: all("the broker answers again after" in worker.log.read_text() for worker in both),
                seconds=30,
                what="a line of each worker",
            )
            during = [lines(worker)[count:] for worker, count in zip(both, before, strict=True)]
            for some in during:
                loud = [line for line in some if " INFO " not in line]
                assert len(loud) <= FEW_LINES, "\n".join(some)
                assert any("the broker is away" in line for line in loud)
                assert sum("the broker answers again after" in line for line in some) == 1


@pytest.mark.long
@pytest.mark.timeout(150)
def test_a_worker_that_waited_for_too_long_ends_with_the_cause_as_its_last_line(tmp_path: Path) -> None:
    with apache_kafka_behind_a_proxy() as (broker, proxy):
        create_topics(broker.kafka)
        limits = {"NEXOVA_PROCESSOR__STALL_SECONDS": "10", "NEXOVA_PROCESSOR__EXIT_AFTER_STALL_SECONDS": "20"}
        with workers(broker, tmp_path, **limits) as group:
            worker = group.start()
            group.wait_ready(seconds=100)
            wait_committed(broker, publish(broker, readings(0, 10)), seconds=60)
            proxy.cut()
            eventually(lambda: worker.health().get("status") == "failing", seconds=40, what="a red /healthz")
            eventually(lambda: worker.process.poll() is not None, seconds=60, what=lambda: f"an end\n{group.logs()}")
        assert worker.process.returncode == 1
        assert re.search(
            r"the worker ended: no broker answered for \d+ s; check the broker and the network$", lines(worker)[-1]
        )


def lines(worker: Worker) -> list[str]:
    return worker.log.read_text().splitlines()
