"""The fast decoder and the pydantic contract are one: they accept and refuse the same bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.alerts import Signal
from schemas.answers import AnomalyResult
from schemas.codec import ReadingDecoder, derive_answer, derive_struct
from schemas.scores import Score

SENSORS = ("power", "temperature", "vibration")
DECODER = ReadingDecoder(SENSORS)
GOOD = {"machine_id": "press-01", "timestamp": "2026-03-01T12:00:00Z", "power": 71.2}

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1, 1, 3), datetime(9998, 12, 30), timezones=zones).map(datetime.isoformat)  # noqa: DTZ001
near_moments = st.one_of(
    moments,
    moments.map(lambda text: text.replace("T", " ")),
    moments.map(lambda text: text[:19]),
    st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|z|[+-]\d\d:?\d\d)?", fullmatch=True),
    st.integers(),
    st.none(),
    st.text(max_size=12),
)
sensor_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "machine_id": st.one_of(st.text(max_size=140), st.none(), st.integers(), st.text(min_size=1, max_size=9)),
        "timestamp": near_moments,
        **dict.fromkeys(SENSORS, sensor_values),
        "colour": sensor_values,
    },
)


def no_json(word: str) -> None:
    raise ValueError(word)


def accepted(value: bytes) -> Any:
    """What pydantic makes of `value`, or None when it refuses it, or when NaN or Infinity make it no JSON."""
    try:
        json.loads(value, parse_constant=no_json)
        return DECODER.model.model_validate_json(value)
    except ValueError:  # which ValidationError is
        return None


@given(documents)
@example({"machine_id": "", "timestamp": "2026-03-01T12:00:00Z"})
@example({"machine_id": "a", "timestamp": "2026-03-01T12:00:00Z", "colour": float("nan")})
@example({"machine_id": "a", "timestamp": "2026-02-30T12:00:00Z"})
@example({"machine_id": "a", "timestamp": "2026-03-01T12:00:60Z"})
@example({"machine_id": "a", "timestamp": "2026-03-01T12:00:00.1234567Z"})
@example({"machine_id": "a", "timestamp": "2026-03-01T24:00:00Z"})
@example({"machine_id": "a", "timestamp": "2026-03-01T12:00:00+24:00"})
@example({"machine_id": "a", "timestamp": "2026-03-01T12:00:00-00:00", "power": 10**400})
def test_both_decoders_accept_and_refuse_the_same_readings(document: dict[str, Any]) -> None:
    value = json.dumps(document).encode()
    contract = accepted(value)
    readings, refusals, unknown = DECODER.decode(value)
    if contract is not None and "colour" in document and document.keys().isdisjoint(SENSORS):
        assert [refusal.reason for refusal in refusals] == ["no_known_sensor"]
        return
    assert bool(readings) == (contract is not None), (value, refusals)
    assert len(readings) + len(refusals) == 1
    if contract is not None:
        assert unknown == ("colour" in document)
        for name in ("machine_id", "timestamp", *SENSORS):
            assert getattr(readings[0], name) == getattr(contract, name)


@given(st.binary(max_size=60))
@example(b"\xff\xfe")
@example(b'{"machine_id":"\\ud800","timestamp":"2026-03-01T12:00:00Z"}')
@example(b'{"machine_id":"a","timestamp":"2026-03-01T12:00:00Z"} x')
@example(b"[" * 100_000)
def test_any_bytes_lead_to_a_reading_or_to_a_reason(value: bytes) -> None:
    readings, refusals, _ = DECODER.decode(value)
    assert readings or refusals


@given(st.lists(documents, min_size=1, max_size=4))
def test_an_array_is_as_its_readings_one_by_one(items: list[dict[str, Any]]) -> None:
    together, refused, _ = DECODER.decode(json.dumps(items).encode())
    alone = [DECODER.decode(json.dumps(item).encode()) for item in items]
    assert together == [reading for readings, _, _ in alone for reading in readings]
    assert [r.reason for r in refused] == [r.reason for _, refusals, _ in alone for r in refusals]


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (None, "null_value", "no value"),
        (b"", "empty_value", "empty"),
        (b"  \n", "empty_value", "empty"),
        (b"[]", "empty_value", "at least one reading"),
        (b"power=3", "not_json", "UTF-8 JSON"),
        (b"\xff\xfe", "not_json", "UTF-8 JSON"),
        (b"17", "not_a_reading", "17"),
        (json.dumps(GOOD | {"machine_id": None}).encode(), "machine_id_invalid", "None"),
        (b'{"timestamp":"2026-03-01T12:00:00Z"}', "machine_id_missing", "machine_id"),
        (json.dumps(GOOD | {"machine_id": "x" * 129}).encode(), "machine_id_invalid", "128"),
        (b'{"machine_id":"a"}', "timestamp_missing", "timestamp"),
        (json.dumps(GOOD | {"timestamp": "2026-03-01T12:00:00"}).encode(), "timestamp_invalid", "zone"),
        (json.dumps(GOOD | {"timestamp": 1772366400}).encode(), "timestamp_invalid", "1772366400"),
        (json.dumps(GOOD | {"power": "71"}).encode(), "sensor_wrong_type", "'71'"),
        (json.dumps(GOOD | {"power": True}).encode(), "sensor_wrong_type", "True"),
        (json.dumps(GOOD | {"power": float("nan")}).encode(), "sensor_not_finite", "nan"),
        (json.dumps(GOOD | {"power": float("inf")}).encode(), "sensor_not_finite", "inf"),
        (b'{"machine_id":"a","timestamp":"2026-03-01T12:00:00Z","power":1e999}', "sensor_not_finite", "inf"),
        (
            b'{"machine_id":"a","timestamp":"2026-03-01T12:00:00Z","Power [kW]":50,"hue":3}',
            "no_known_sensor",
            "Power [kW], hue: no sensor of this plant, 'Power [kW]' looks like power",
        ),
    ],
)
def test_each_fault_has_its_reason_and_a_remedy(value: bytes | None, reason: str, words: str) -> None:
    readings, (refusal,), _ = DECODER.decode(value)
    assert not readings
    assert refusal.reason == reason
    assert words in refusal.detail
    assert ";" in refusal.detail, "a remedy follows the rule"


def test_unknown_fields_are_counted_and_ignored() -> None:
    (reading,), refusals, unknown = DECODER.decode(json.dumps(GOOD | {"colour": 1, "noise": "x"}).encode())
    assert (reading.machine_id, refusals, unknown) == ("press-01", [], 2)


@given(
    st.text(min_size=1, max_size=20).filter(str.isprintable),
    st.floats(0, 1),
    st.booleans(),
)
def test_the_derived_score_is_the_contract_on_the_wire(machine_id: str, score: float, flagged: bool) -> None:  # noqa: FBT001
    derived = derive_struct(Score)(
        machine_id=machine_id, timestamp=datetime(2026, 3, 1, tzinfo=UTC), anomaly_score=score, is_anomaly=flagged
    )
    message = Score.model_validate_json(msgspec.json.encode(derived))
    assert message == Score(
        machine_id=machine_id, timestamp=datetime(2026, 3, 1, tzinfo=UTC), anomaly_score=score, is_anomaly=flagged
    )


def test_each_unknown_name_is_reported_once_with_what_it_looks_like() -> None:
    decoder = ReadingDecoder(SENSORS)
    value = json.dumps(GOOD | {"hue": 1, "Vibration": 2.0}).encode()
    decoder.decode(value)

    assert decoder.new_unknown_names() == ["'Vibration', looks like vibration", "'hue'"]
    decoder.decode(value)
    assert decoder.new_unknown_names() == []


def test_the_struct_of_an_answer_is_written_as_the_answer_itself() -> None:
    signal = {"sensor": "power", "actual": 71.2, "expected": None, "deviation": None, "contribution": 1.0}
    fields = {"is_anomaly": False, "anomaly_score": 0.25, "model": "fallback", "baseline": "limits"}
    derived = derive_answer(AnomalyResult)(**fields, contributions=[derive_answer(Signal)(**signal)])

    body = AnomalyResult.model_validate_json(msgspec.json.encode(derived))

    assert body == AnomalyResult.model_validate({**fields, "contributions": [signal]})
