"""A machine has one partition; senders that place it elsewhere are noticed, and told how to mend it."""

import logging
from typing import Final

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from core.partitioning import crc32_partition, murmur2_partition
from processor.partitions import PartitionTable
from processor.placement import PlacementWatch
from runtime.metrics import ProcessorMetrics
from tests.builders import a_plant

PARTITIONS: Final = 4
NAMES: Final = [f"pump-{number}" for number in range(70, 99)]


@given(key=st.text(max_size=40), partitions=st.integers(1, 1000))
def test_a_key_is_placed_as_by_other_clients(key: str, partitions: int) -> None:
    assert murmur2_partition(key, partitions) == (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def a_table(place: dict[str, int]) -> PartitionTable:
    table = PartitionTable(a_plant(), history_hours=24)
    for number in range(PARTITIONS):
        held = table.adopt(number, next_offset=0, next_import=0, at=0.0)
        held.state.slots_of([name for name, partition in place.items() if partition == number])
    return table


def a_watch() -> tuple[PlacementWatch, ProcessorMetrics]:
    metrics = ProcessorMetrics(CollectorRegistry())
    return PlacementWatch(PARTITIONS, metrics), metrics


def counted(metrics: ProcessorMetrics) -> float | None:
    return metrics.registry.get_sample_value("nexova_machines_misplaced")


def test_machines_in_their_partitions_are_nothing_to_speak_of(caplog: pytest.LogCaptureFixture) -> None:
    watch, metrics = a_watch()
    watch.check(a_table({name: murmur2_partition(name, PARTITIONS) for name in NAMES}))
    assert (counted(metrics), watch.summary(), caplog.records) == (0, {}, [])


def test_a_sender_that_places_by_crc32_is_told_which_setting_to_change(caplog: pytest.LogCaptureFixture) -> None:
    watch, metrics = a_watch()
    table = a_table({name: crc32_partition(name, PARTITIONS) for name in NAMES})
    with caplog.at_level(logging.WARNING, "nexova.processor"):
        watch.check(table)
        watch.check(table)
    assert counted(metrics) == 23  # of 29 ids
    assert sum(watch.summary().values()) == 23
    assert len(caplog.records) == len(watch.summary()), "said once of each partition"
    assert all("partitioner=murmur2_random" in record.getMessage() for record in caplog.records)


def test_readings_without_keys_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    watch, metrics = a_watch()
    table = PartitionTable(a_plant(), history_hours=24)
    for number in range(PARTITIONS):
        table.adopt(number, next_offset=0, next_import=0, at=0.0).state.slots_of(["press-keyless"])
    with caplog.at_level(logging.WARNING, "nexova.processor"):
        watch.check(table)
    assert counted(metrics) == PARTITIONS - 1
    assert any("use no key" in record.getMessage() for record in caplog.records)


def test_a_partition_that_is_given_up_is_counted_no_longer() -> None:
    watch, metrics = a_watch()
    table = a_table({name: crc32_partition(name, PARTITIONS) for name in NAMES})
    watch.check(table)
    table.drop()
    watch.check(table)
    assert counted(metrics) == 0
