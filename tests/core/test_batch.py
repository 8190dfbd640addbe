"""From Kafka values to columns: what cannot be used is refused with its reason, and nothing raises."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.batch import Decoded, ReadingBatch, decode_records
from schemas.codec import ReadingDecoder
from schemas.dead_letters import DeadLetterReason
from tests.builders import PUMP, START, a_batch, a_plant, a_reading

PLANT = a_plant()
DECODER = ReadingDecoder(PLANT.sensor_names)
NOW = datetime.fromtimestamp(START, UTC)
LIMIT = 1000
GOOD: dict[str, Any] = {"machine_id": PUMP, "timestamp": "2026-01-01T00:00:00Z", "power": 71.2}


def decoded(*values: bytes | None, first_offset: int = 0) -> Decoded:
    records = [(first_offset + number, value) for number, value in enumerate(values)]
    offsets, values = [offset for offset, _ in records], [value for _, value in records]
    return decode_records(offsets, values, decoder=DECODER, plant=PLANT, now=NOW, max_message_bytes=LIMIT)


def encoded(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def test_readings_become_columns() -> None:
    result = decoded(
        encoded(),
        encoded(machine_id="pump-02", timestamp="2026-01-01T01:00:01.5+01:00", power=None, temperature=45),
        first_offset=7,
    )
    batch = result.batch
    assert batch.machine_ids == (PUMP, "pump-02")
    assert batch.machine.tolist() == [0, 1]
    assert batch.timestamps.tolist() == [START, START + 1.5]
    assert batch.offsets.tolist() == [7, 8]
    np.testing.assert_array_equal(batch.values, [[71.2, np.nan, np.nan, np.nan], [np.nan, 45.0, np.nan, np.nan]])
    assert (result.refused, result.unknown_fields) == ((), 0)


def test_a_message_may_hold_many_readings_which_share_its_offset() -> None:
    value = json.dumps([GOOD, GOOD | {"machine_id": "pump-02"}, GOOD]).encode()
    batch = decoded(encoded(), value).batch
    assert batch.offsets.tolist() == [0, 1, 1, 1]
    assert batch.machine.tolist() == [0, 0, 1, 0]


def test_unknown_fields_are_counted_and_ignored() -> None:
    result = decoded(encoded(colour="red", shade=1), encoded(), encoded(colour="blue"))
    assert (len(result.batch), result.unknown_fields) == (3, 3)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null_value"),
        (b"", "empty_value"),
        (b"  \n", "empty_value"),
        (b"[]", "empty_value"),
        (b" " * (LIMIT + 1), "too_large"),
        (b"power=3", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"machine_id": "pump-01"', "not_json"),
        (b"12", "not_a_reading"),
        (b'"reading"', "not_a_reading"),
        (b"[[]]", "not_a_reading"),
        (b'{"timestamp": "2026-01-01T00:00:00Z"}', "machine_id_missing"),
        (encoded(machine_id=""), "machine_id_missing"),
        (encoded(machine_id=7), "machine_id_invalid"),
        (encoded(machine_id="x" * 129), "machine_id_invalid"),
        (encoded(machine_id="plant:x"), "machine_id_invalid"),
        (b'{"machine_id": "pump-01"}', "timestamp_missing"),
        (encoded(timestamp="2026-01-01T00:00:00"), "timestamp_invalid"),
        (encoded(timestamp=1767225600), "timestamp_invalid"),
        (encoded(timestamp="yesterday"), "timestamp_invalid"),
        (encoded(timestamp="1999-12-31T23:59:59Z"), "timestamp_out_of_range"),
        (encoded(timestamp="0001-01-01T00:00:00+14:00"), "timestamp_out_of_range"),
        (encoded(timestamp="9999-12-31T23:59:59-14:00"), "timestamp_out_of_range"),
        (encoded(timestamp="2026-01-01T01:00:01Z"), "timestamp_out_of_range"),
        (encoded(power="71.2"), "sensor_wrong_type"),
        (encoded(power=True), "sensor_wrong_type"),
        (encoded(power=[1]), "sensor_wrong_type"),
        (encoded(power=float("nan")), "sensor_not_finite"),
        (encoded(power=float("inf")), "sensor_not_finite"),
        (encoded(power=1).replace(b"1}", b"1e999}"), "sensor_not_finite"),
        (encoded().replace(b'"power"', b'"Power"').replace(b'"temperature"', b'"heat"'), "no_known_sensor"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(value: bytes | None, reason: str) -> None:
    result = decoded(encoded(), value, encoded())
    [(offset, refusal)] = result.refused
    assert (offset, refusal.reason) == (1, reason)
    assert ";" in refusal.detail  # the rule, then the remedy
    assert result.batch.offsets.tolist() == [0, 2]


def test_every_reason_has_an_example_above() -> None:
    [parameters] = test_what_cannot_be_used_is_refused_with_its_reason.pytestmark  # type: ignore[attr-defined]
    # other topics have readers of their own: tests/e2e/test_bad_input.py has an example; three come from many readings
    elsewhere = {
        "not_a_history",
        "not_a_feedback",
        "not_an_input",
        "refused_by_receiver",
        "not_assessed",
        "not_explained",
        "too_many_machines",
    }
    assert {reason for _, reason in parameters.args[1]} == set(get_args(DeadLetterReason)) - elsewhere


def test_a_bad_reading_costs_itself_only_and_not_its_message() -> None:
    value = json.dumps([GOOD, GOOD | {"power": "much"}, 7, GOOD | {"timestamp": "1970-01-01T00:00:00Z"}, GOOD]).encode()
    result = decoded(value)
    assert len(result.batch) == 2
    assert [refusal.reason for _, refusal in result.refused] == [
        "sensor_wrong_type",
        "not_a_reading",
        "timestamp_out_of_range",
    ]
    assert json.loads(result.refused[0][1].payload)["power"] == "much"
    assert json.loads(result.refused[2][1].payload)["timestamp"].startswith("1970")


@pytest.mark.parametrize(("seconds", "believed"), [(3600, True), (3601, False)])
def test_a_clock_may_run_ahead_for_as_long_as_the_plant_allows(seconds: int, believed: bool) -> None:  # noqa: FBT001
    ahead = (NOW + timedelta(seconds=seconds)).isoformat()
    assert bool(len(decoded(encoded(timestamp=ahead)).batch)) == believed


@pytest.mark.parametrize(("size", "taken"), [(LIMIT, True), (LIMIT + 1, False)])
def test_a_message_may_be_as_large_as_the_limit(size: int, taken: bool) -> None:  # noqa: FBT001
    value = encoded() + b" " * (size - len(encoded()))
    result = decoded(value)
    assert bool(len(result.batch)) == taken
    if not taken:
        assert f"{size} bytes is above the limit of {LIMIT}" in result.refused[0][1].detail


def test_nothing_to_decode_is_an_empty_batch() -> None:
    result = decoded()
    assert len(result.batch) == 0
    assert result.batch.values.shape == (0, len(PLANT.sensors))


def test_a_deeply_nested_value_is_refused() -> None:
    deep = b"[" * 200 + b"]" * 200
    assert [refusal.reason for _, refusal in decoded(deep).refused] == ["not_a_reading"]
    result = decode_records([0], [b"[" * 100_000], decoder=DECODER, plant=PLANT, now=NOW, max_message_bytes=1_000_000)
    assert [refusal.reason for _, refusal in result.refused] == ["not_json"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
near_readings = st.fixed_dictionaries(
    {},
    optional={
        "machine_id": st.just(PUMP) | json_values,
        "timestamp": st.just("2026-01-01T00:00:00Z")
        | st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
        | json_values,
        "power": st.floats() | json_values,
        "colour": json_values,
    },
)
payloads = st.one_of(
    st.none(),
    st.binary(max_size=40),
    json_values.map(lambda value: json.dumps(value).encode()),
    near_readings.map(lambda value: json.dumps(value).encode()),
    st.lists(near_readings, max_size=4).map(lambda value: json.dumps(value).encode()),
    near_readings.map(lambda value: json.dumps(value).encode()[:-3]),
)


@given(st.lists(payloads, max_size=5))
@settings(max_examples=200)
@example([b'{"machine_id":"\\ud800","timestamp":"2026-01-01T00:00:00Z"}'])
@example([b"[" * 900])
@example([b'{"machine_id":"a","machine_id":"b","timestamp":"2026-01-01T00:00:00Z"}'])
def test_whatever_arrives_becomes_a_reading_or_is_refused(values: list[bytes | None]) -> None:
    result = decoded(*values)
    assert np.isfinite(result.batch.timestamps).all()
    assert not np.isinf(result.batch.values).any()
    assert all(0 < len(machine_id) <= 128 for machine_id in result.batch.machine_ids)
    seen = {*result.batch.offsets.tolist(), *(offset for offset, _ in result.refused)}
    assert seen == set(range(len(values)))
    for _, refusal in result.refused:
        assert refusal.reason in get_args(DeadLetterReason)
        assert refusal.detail


def test_a_batch_of_some_rows_keeps_its_machines() -> None:
    batch = a_batch(a_reading("a"), a_reading("b", at=1), a_reading("a", at=2), plant=PLANT)
    some = batch.take(np.array([False, True, False]))
    assert (some.machine_ids, some.machine.tolist(), some.offsets.tolist()) == (("a", "b"), [1], [1])
    assert some.timestamps.tolist() == [START + 1]


def test_rows_without_offsets_are_numbered() -> None:
    batch = ReadingBatch.from_columns(["a", "b"], np.zeros(2), np.zeros((2, 1)))
    assert batch.offsets.tolist() == [0, 1]
