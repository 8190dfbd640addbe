"""Sending readings: what goes over the wire, at which pace, and what is counted."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from producer.publish import Paced, Publisher, Readings, encoded, merged
from runtime.kafka import create_topics
from runtime.plants import load_plant
from runtime.settings import KafkaSettings
from schemas.codec import ReadingDecoder
from schemas.topics import READINGS
from tests.brokers import Broker
from tests.e2e.workers import read_all
from tests.producer.plants import MONDAY, default_plant

SENSORS = default_plant().sensor_names


def some_readings(*, rows: int = 3, machines: int = 2, start: float = MONDAY, step: float = 1.0) -> Readings:
    return Readings(
        machine_ids=[f"press-{row % machines:02d}" for row in range(rows)],
        timestamps=start + step * np.arange(rows),
        values=np.arange(rows * len(SENSORS), dtype=np.float64).reshape(rows, len(SENSORS)) / 4,
    )


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@given(
    values=stn.arrays(np.float64, (7, 5), elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))),
    milliseconds=st.lists(st.integers(946_684_800_000, 4_000_000_000_000), min_size=7, max_size=7),
)
def test_what_is_sent_decodes_to_what_it_was(values: np.ndarray, milliseconds: list[int]) -> None:
    timestamps = np.array(milliseconds) / 1000.0
    readings = Readings(machine_ids=[f"m-{row}" for row in range(7)], timestamps=timestamps, values=values)
    decoder = ReadingDecoder(SENSORS)
    for row, (machine_id, timestamp, value) in enumerate(encoded(readings, SENSORS)):
        decoded = decoder.decode_one(value)
        assert machine_id == decoded.machine_id == f"m-{row}"
        assert decoded.timestamp.timestamp() == pytest.approx(timestamps[row], abs=1e-5)
        assert timestamp == timestamps[row]
        columns = np.array(decoder.columns(decoded), dtype=np.float64)
        assert np.array_equal(columns, values[row], equal_nan=True)


def test_a_reading_on_the_wire_is_flat_json_without_what_is_missing() -> None:
    readings = Readings(
        machine_ids=["press-01"], timestamps=np.array([MONDAY + 0.5]), values=np.array([[71.2, np.nan, 3.1, 5.0, 0.0]])
    )
    ((_, _, value),) = encoded(readings, SENSORS)
    assert value == (
        b'{"machine_id":"press-01","timestamp":"2025-01-06T00:00:00.500000Z","power":71.2,'
        b'"vibration":3.1,"runtime":5.0,"production":0.0}'
    )


def test_the_pace_is_a_multiple_of_event_time() -> None:
    clock = Clock()
    pace = Paced(10.0, clock=clock, sleep=clock.sleep)
    for timestamp in (MONDAY, MONDAY + 20, MONDAY + 20, MONDAY + 50):
        pace.wait(timestamp)
    assert clock.slept == pytest.approx([2.0, 3.0])


def test_who_is_late_does_not_wait_and_is_not_skipped() -> None:
    clock = Clock()
    pace = Paced(1.0, clock=clock, sleep=clock.sleep)
    pace.wait(MONDAY)
    clock.now += 30.0
    pace.wait(MONDAY + 10)
    pace.wait(MONDAY + 31)
    assert clock.slept == pytest.approx([1.0])


def test_several_recordings_become_one_in_order_of_time() -> None:
    first = some_readings(rows=4, machines=1, step=2.0)
    second = some_readings(rows=3, machines=1, start=MONDAY + 1, step=2.0)
    whole = merged([first, second])
    assert whole.timestamps.tolist() == [MONDAY + offset for offset in (0, 1, 2, 3, 4, 5, 6)]
    assert whole.values[1].tolist() == second.values[0].tolist()
    assert len(whole) == 7


def test_readings_reach_the_broker_keyed_by_machine_and_are_counted(fresh_broker: Broker) -> None:
    create_topics(fresh_broker.kafka.model_copy(update={"partitions": 3}))
    publisher = Publisher(fresh_broker.kafka)
    readings = some_readings(rows=2000, machines=7)
    publisher.publish(readings, SENSORS)
    assert publisher.flush() == 0
    assert (publisher.sent, publisher.delivered, publisher.failed) == (2000, 2000, 0)
    stored = read_all(fresh_broker, READINGS)
    assert len(stored) == 2000
    decoder = ReadingDecoder(SENSORS)
    by_machine: dict[str, list[float]] = {}
    for key, value in stored:
        decoded = decoder.decode_one(value or b"")
        assert key == decoded.machine_id.encode()
        by_machine.setdefault(decoded.machine_id, []).append(decoded.timestamp.timestamp())
    assert set(by_machine) == {f"press-{number:02d}" for number in range(7)}
    # of one machine, in the order in which they were sent
    assert all(times == sorted(times) for times in by_machine.values())


def test_a_stop_ends_between_two_readings_and_what_was_sent_arrives(fresh_tansu: Broker) -> None:
    create_topics(fresh_tansu.kafka)
    publisher = Publisher(fresh_tansu.kafka)
    publisher.publish(some_readings(rows=500), SENSORS, stopped=lambda: publisher.sent >= 123)
    publisher.flush()
    assert (publisher.sent, publisher.delivered) == (123, 123)


def test_what_no_broker_takes_is_counted_as_failed_and_said() -> None:
    publisher = Publisher(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    publisher.publish(some_readings(rows=3), SENSORS)
    assert publisher.flush(0.2) == 3
    assert (publisher.delivered, publisher.failed) == (0, 3)
    assert publisher.failure is not None
    assert "3 messages were not acknowledged" in publisher.failure


def test_the_pump_plant_is_sent_with_its_own_names() -> None:
    sensors = load_plant(Path("skab")).sensor_names
    readings = Readings(machine_ids=["valve1-0"], timestamps=np.array([MONDAY]), values=np.ones((1, 8)))
    ((_, _, value),) = encoded(readings, sensors)
    assert b'"volume_flow_rate_rms":1.0' in value
