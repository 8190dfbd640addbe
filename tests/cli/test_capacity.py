import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.capacity import READINGS_A_WORKER, capacity_of
from cli.main import run


@given(machines=st.integers(1, 1_000_000), interval=st.floats(0.01, 3600))
def test_one_lost_worker_leaves_enough_and_every_worker_has_a_partition(machines: int, interval: float) -> None:
    needed = capacity_of(machines=machines, interval_seconds=interval)

    assert (needed.workers - 1) * READINGS_A_WORKER >= needed.readings_per_second
    assert needed.partitions >= needed.workers


@given(machines=st.integers(1, 100_000))
def test_twice_the_machines_never_need_less(machines: int) -> None:
    small, large = (capacity_of(machines=each, interval_seconds=1) for each in (machines, 2 * machines))

    assert large.workers >= small.workers
    assert large.kafka_bytes == pytest.approx(2 * small.kafka_bytes, rel=1e-6)


def test_the_command_prints_the_table_and_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["capacity", "--machines", "2000", "--interval", "1"]) == 0
    assert "2,000.0" in capsys.readouterr().out
    assert run(["capacity", "--machines", "2000", "--interval", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["workers"] == 2
    assert run(["capacity", "--machines", "0", "--interval", "1"]) == 2
