"""What becomes of messages that are not as the source says, and of values that are not good."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plant import Plant, PlantError, parse_plant
from core.sources.documents import json_documents
from core.sources.mapping import MapRecord, compile_source
from core.sources.record import Mapped, Raw
from tests.tiny_plant import tiny_plant

PLANT = tiny_plant(timezone="Europe/Berlin")
WIDE = '[source]\ntopic = "t"\nmachine_id = "m"\ntime = "at"\n'
NAMES = '[source.sensors]\npower = "P"\ntemperature = "T"\n'
GOOD: dict[str, Any] = {"m": "press-01", "at": "2026-03-01T12:00:00Z", "P": 41.2, "T": 85}


def a_plant(source: str) -> Plant:
    return parse_plant(PLANT + source, source="tiny.toml")


def compiled(source: str) -> MapRecord:
    plant = a_plant(source)
    return compile_source(plant.source[0], plant, lambda raw: json_documents(raw.value or b""))


def read(source: str, value: object, *, written_at: float = 0.0, key: bytes | None = None) -> Mapped:
    encoded = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return compiled(source)(Raw(encoded, key, (), "t", written_at))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (None, "null_value", "the record has no value"),
        (b"", "empty_value", "the record has no value"),
        (b"[]", "empty_value", "the message is empty"),
        (b"nothing", "not_json", "send UTF-8 JSON"),
        (b"\xff\xfe", "not_json", "send UTF-8 JSON"),
        (b"[" * 5000, "not_json", "send UTF-8 JSON"),
        (b"7", "not_a_reading", "send an object"),
        (b"[" + b"{}," * 10_000 + b"{}]", "too_large", "10001 documents is above the limit of 10000"),
        (without("m"), "machine_id_missing", "m: there is no machine_id in this message"),
        (GOOD | {"m": {"x": 1}}, "machine_id_missing", "a machine_id must be text"),
        (GOOD | {"m": " press"}, "machine_id_invalid", "begins or ends with a space"),
        (GOOD | {"m": "plant:x"}, "machine_id_invalid", "is reserved"),
        (without("at"), "timestamp_missing", "at: there is no time in this message"),
        (GOOD | {"at": "2026-03-01T12:00:00"}, "timestamp_invalid", "send RFC 3339 with zone, or set time_format"),
        (GOOD | {"at": 1772366400}, "timestamp_invalid", "send RFC 3339 with zone, or set time_format"),
        (GOOD | {"P": "1,5"}, "sensor_wrong_type", "P = '1,5': is no number; set decimal or missing"),
        (GOOD | {"P": "1_5"}, "sensor_wrong_type", "P = '1_5': is no number"),
        (GOOD | {"P": True}, "sensor_wrong_type", "P = True: must be a number"),
        (GOOD | {"P": [1]}, "sensor_wrong_type", "P = [1]: must be a number"),
        (b'{"m": "a", "at": "2026-03-01T12:00:00Z", "P": 1e999}', "sensor_not_finite", "must be finite"),
        ({"m": "press-01", "at": "2026-03-01T12:00:00Z", "p": 1}, "no_known_sensor", "'p' looks like P"),
    ],
)
def test_what_cannot_be_used_is_refused_with_reason_and_remedy(value: object, reason: str, words: str) -> None:
    found = read(WIDE + NAMES, value)
    assert found.readings == []
    assert [refusal.reason for refusal in found.refused] == [reason]
    assert words in found.refused[0].detail


@pytest.mark.parametrize("written", [None, "", "n/a", "NaN", " NULL ", "-", math.nan])
def test_words_for_missing_are_missing_values(written: object) -> None:
    (reading,) = read(WIDE + NAMES, json.dumps(GOOD | {"T": written}).encode()).readings
    assert reading.values[0] == 41.2
    assert math.isnan(reading.values[1])


def test_a_plants_own_words_for_missing_replace_the_usual_ones() -> None:
    assert math.isnan(read(WIDE + 'missing = ["-9999"]\n' + NAMES, GOOD | {"T": "-9999"}).readings[0].values[1])


def test_one_bad_line_does_not_affect_the_others() -> None:
    lines = [GOOD, GOOD | {"P": "x"}, GOOD | {"m": "press-02"}]
    found = read(WIDE + NAMES, "\n".join(map(json.dumps, lines)).encode())
    assert [reading.machine_id for reading in found.readings] == ["press-01", "press-02"]
    assert [json.loads(refusal.payload)["P"] for refusal in found.refused] == ["x"]


def test_refusals_of_one_message_are_explained_up_to_a_limit_and_counted_beyond() -> None:
    found = read(WIDE + NAMES, [GOOD | {"P": "x"}] * 500)
    assert len(found.refused) == 17
    assert sum(refusal.count for refusal in found.refused) == 500
    assert found.refused[-1].reason == "not_explained"


@pytest.mark.parametrize(
    ("codes", "quality", "used"),
    [
        ("ua", 0, True),
        ("ua", 0x408F0000, True),  # UncertainSensorNotAccurate
        ("ua", 0x808C0000, False),  # BadSensorFailure
        ("ua", -2147483648, False),  # the same with a sign
        ("ua", "0x808C0000", False),
        ("ua", "BadSensorFailure", False),
        ("ua", "GoodClamped", True),
        ("da", 192, True),
        ("da", 64, True),
        ("da", 0, False),
        ("da", "28", False),
        ("sparkplug", 500, False),
        ("ua", True, True),
        ("ua", False, False),
        ("ua", None, True),
    ],
)
def test_values_of_bad_quality_are_missing_and_counted(codes: str, quality: object, used: bool) -> None:  # noqa: FBT001
    source = WIDE + f'quality_codes = "{codes}"\n[source.sensors]\npower = {{ path = "P", quality = "q" }}\n'
    found = read(source, GOOD | {"q": quality})
    assert math.isnan(found.readings[0].values[0]) is not used
    assert found.bad == (not used)


def test_uncertain_values_can_be_dropped_and_a_whole_reading_can_be_bad() -> None:
    source = WIDE + 'quality = "q"\nuncertain = "drop"\n' + NAMES
    assert read(source, GOOD | {"q": "uncertain"}).bad == 2
    assert all(map(math.isnan, read(source, GOOD | {"q": "uncertain"}).readings[0].values))
    assert read(source, GOOD | {"q": "good"}).bad == 0


def test_an_unknown_quality_is_no_good_quality() -> None:
    (refusal,) = read(WIDE + 'quality = "q"\n' + NAMES, GOOD | {"q": "so so"}).refused
    assert "quality = 'so so': is no quality" in refusal.detail


NAIVE = WIDE + 'time_format = "naive"\n' + NAMES


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("wall", "written_at", "expected"),
    [
        ("2026-10-25 02:30:00", at(2026, 10, 25, 0, 31), at(2026, 10, 25, 0, 30)),  # the first pass of the hour
        ("2026-10-25 02:30:00", at(2026, 10, 25, 1, 31), at(2026, 10, 25, 1, 30)),  # the second
        ("2026-07-01T12:00:00.250", 0, at(2026, 7, 1, 10) + 0.25),
    ],
)
def test_naive_times_are_in_the_plants_zone_and_a_repeated_hour_is_that_of_its_record(
    wall: str, written_at: float, expected: float
) -> None:
    (reading,) = read(NAIVE, GOOD | {"at": wall}, written_at=written_at).readings
    assert reading.seconds == expected


def test_a_time_that_spring_leaves_out_is_refused() -> None:
    (refusal,) = read(NAIVE, GOOD | {"at": "2026-03-29 02:30:00"}).refused
    assert "does not exist in Europe/Berlin" in refusal.detail


@pytest.mark.parametrize("written", [1772366400123456789, "1772366400123456789"])
def test_nanoseconds_are_not_rounded_to_minutes_of_error(written: object) -> None:
    (reading,) = read(WIDE + 'time_format = "ns"\n' + NAMES, GOOD | {"at": written}).readings
    assert reading.seconds == pytest.approx(1772366400.123456, abs=1e-6)


@pytest.mark.parametrize("written", [-1, 1e300, 10**40, "abc", True, [], {}])
def test_numbers_that_are_no_time_are_refused(written: object) -> None:
    (refusal,) = read(WIDE + 'time_format = "ms"\n' + NAMES, GOOD | {"at": written}).refused
    assert refusal.reason == "timestamp_invalid"


def test_ids_that_are_numbers_are_texts() -> None:
    assert read(WIDE + NAMES, GOOD | {"m": 7}).readings[0].machine_id == "7"
    assert read(WIDE + NAMES, GOOD | {"m": "007"}).readings[0].machine_id == "007"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("[source]\n", "a source has either topic or mqtt"),
        ('[source]\ntopic = "t"\nmqtt = "t"\n', "a source has either topic or mqtt"),
        ('[source]\ntopic = "nexova.readings"\n', "is a topic of Nexova's own"),
        ('[source]\ntopic = "t"\nform = "long"\n', "names its sensors by a tag"),
        ('[source]\ntopic = "t"\ntag = "path:x"\n', "a wide source has no tag"),
        ('[source]\ntopic = "t"\nform = "long"\ntag = "path:x {machine_id}"\n', "lacks {sensor}"),
        (
            '[source]\ntopic = "t"\nform = "long"\ntag = "path:x {a}.{sensor}"\n',
            "has {a}, which is repeated or unknown",
        ),
        ('[source]\ntopic = "t"\nmachine_id = "key:a/b"\n', "lacks {machine_id}"),
        (
            '[source]\ntopic = "t"\nform = "long"\nmachine_id = "m"\ntag = "path:x {machine_id}.{sensor}"\n',
            "tag and machine_id both name the machine",
        ),
        ('[source]\nmqtt = "t"\ntime = "kafka"\n', "MQTT messages have no time of their own"),
        ('[source]\ntopic = "t"\ntimezone = "UTC"\n', "timezone is for naive times"),
        (WIDE + '[source.sensors]\nload = "P"\n', "maps 'load', which is no sensor of this plant"),
        (WIDE + '[source.sensors]\npower = { path = "P", unit = "°F" }\n', "power in °F cannot become kW"),
        (WIDE + '[source.sensors]\npower = { path = "P", unit = "W", factor = 2.0 }\n', "define the conversion twice"),
        (WIDE + '[source.sensors]\npower = { tag = "P" }\n', "have a path, not a tag"),
        ('[[source]]\ntopic = "t"\n[[source]]\ntopic = "t"\n', "source 't' is there 2 times"),
    ],
)
def test_sources_that_contradict_themselves_are_refused_with_the_plant_file(source: str, words: str) -> None:
    with pytest.raises(PlantError, match=r"tiny\.toml") as refused:
        a_plant(source)
    assert words in str(refused.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["m", "at", "P", "T", "tag", "value", "x"]), inner, max_size=5)
        ),
        max_leaves=12,
    )
)
def test_nothing_that_a_sender_writes_raises(value: object) -> None:
    long = WIDE + 'form = "long"\ntag = "tag"\n'
    for source in (WIDE + NAMES, WIDE + 'each = "x"\nquality = "T"\n' + NAMES, NAIVE, long):
        found = read(source, json.dumps(value).encode())
        assert (
            found.readings
            or found.values
            or found.refused
            or found.ignored
            or value in ([], {"x": []})
            or (isinstance(value, dict | list))
        )
