"""A processor with a name that outlives its restart, on Apache Kafka: the others notice nothing of it."""

from pathlib import Path

import pytest

from runtime.children import free_port
from runtime.kafka import create_topics
from tests.brokers import running_apache_kafka
from tests.e2e.workers import Worker, eventually, workers


@pytest.mark.long
def test_a_killed_worker_that_returns_within_its_session_gets_its_partitions_back(tmp_path: Path) -> None:
    with (
        running_apache_kafka() as broker,
        workers(broker, tmp_path, NEXOVA_KAFKA__SESSION_SECONDS="60") as group,
    ):
        create_topics(broker.kafka)

        ports = {"processor-0": free_port(), "processor-1": free_port()}

        def start(name: str) -> Worker:
            # as a pod has it: the broker gives back the assignment of before, in which Faust wants its own address
            group.environment |= {
                "NEXOVA_KAFKA__GROUP_INSTANCE_ID": name,
                "NEXOVA_PROCESSOR__WEB_PORT": str(ports[name]),
            }
            worker = group.start()
            worker.port = ports[name]
            return worker

        first, second = start("processor-0"), start("processor-1")
        eventually(
            lambda: sorted(partitions(first) + partitions(second)) == list(range(8)) and bool(partitions(second)),
            seconds=120,
            what=group.logs,
        )
        group.wait_ready()
        held, rebalances = partitions(first), second.metric("nexova_rebalances_total")

        first.kill()
        again = start("processor-0")
        eventually(lambda: partitions(again) == held, seconds=50, what=group.logs)

        assert second.metric("nexova_rebalances_total") == rebalances
        assert second.health()["ready"]


def partitions(worker: Worker) -> list[int]:
    found: list[int] = worker.health().get("partitions", [])
    return found
