"""One reading in each kind of payload becomes the same reading."""

import base64
import io
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from core.plant import Plant, parse_plant
from core.sources.gather import Gatherer
from core.sources.mapping import long_columns
from core.sources.record import MappedReading, Raw
from runtime.sources.formats import mapping_of
from runtime.sources.settings import RegistrySettings
from tests.runtime.sources.registry_server import Registry, registry_server
from tests.runtime.sources.sparkplug_payloads import a_payload
from tests.tiny_plant import tiny_plant

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = AT.timestamp()
MS = int(SECONDS * 1000)
READING = ("press-01", SECONDS, [41.2, 85.0])
PLANT = tiny_plant(
    """[source]
""",
    timezone="Europe/Berlin",
)
LONG = 'topic = "t"\nform = "long"\ntag = "path:tag"\ntime = "ts"\n'
MAPPED = '\n[source.sensors]\npower = { path = "P", unit = "W" }\ntemperature = "T"\n'


def a_plant(source: str) -> Plant:
    return parse_plant(PLANT + source, source="tiny.toml")


def a_record(value: object, *, key: bytes | None = None, topic: str = "t", headers: Any = ()) -> Raw:
    encoded = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Raw(encoded, key, headers, topic, SECONDS + 0.5)


def readings_of(plant: Plant, *records: Raw, registry: str | None = None) -> list[MappedReading]:
    """All that the records hold, as the bridge makes it; nothing is refused."""
    source = plant.source[0]
    read = mapping_of(source, plant, RegistrySettings(url=registry))
    columns = [column for column, *_ in long_columns(source, plant).values()]
    gatherer = Gatherer(width=len(plant.sensors), columns=columns, within=source.gather_seconds, wait=2)
    readings = []
    for record in records:
        found = read(record)
        assert found.refused == []
        readings += found.readings
        gatherer.add(found.values, written_at=record.written_at, now=record.written_at)
    return readings + gatherer.flush()


KINDS: dict[str, tuple[str, list[Raw]]] = {
    "as ours": (
        'topic = "t"',
        [a_record({"machine_id": "press-01", "timestamp": "2026-03-01T12:00:00Z", "power": 41.2, "temperature": 85})],
    ),
    "renamed, from W": (
        'topic = "t"\nmachine_id = "m"\ntime = "at"' + MAPPED,
        [a_record({"m": "press-01", "at": "2026-03-01T13:00:00+01:00", "P": 41200, "T": 85})],
    ),
    "nested, from °F": (
        (
            'topic = "t"\nmachine_id = "device.id"\ntime = "meta.at"\n[source.sensors]\npower = "d.e.p"\n'
            'temperature = { path = "d.t.0.v", unit = "°F" }'
        ),
        [
            a_record(
                {
                    "device": {"id": "press-01"},
                    "meta": {"at": "2026-03-01T12:00:00Z"},
                    "d": {"e": {"p": 41.2}, "t": [{"v": 185}]},
                }
            )
        ],
    ),
    "factor and offset": (
        'topic = "t"\n[source.sensors]\npower = { path = "P", factor = 0.1, offset = -0.8 }\ntemperature = "T"',
        [a_record({"machine_id": "press-01", "timestamp": "2026-03-01T12:00:00Z", "P": 420, "T": 85})],
    ),
    "keys with dots in them": (
        'topic = "t"\n[source.sensors]\npower = ["a.b", "P"]\ntemperature = "T"',
        [a_record({"machine_id": "press-01", "timestamp": "2026-03-01T12:00:00Z", "a.b": {"P": 41.2}, "T": 85})],
    ),
    "naive time in the plant's zone": (
        'topic = "t"\nmachine_id = "m"\ntime = "at"\ntime_format = "naive"' + MAPPED,
        [a_record({"m": "press-01", "at": "2026-03-01 13:00:00", "P": 41200, "T": 85})],
    ),
    "naive time in a zone of half hours, day first": (
        'topic = "t"\nmachine_id = "m"\ntime = "at"\ntime_format = "naive"\ntime_pattern = "%d.%m.%Y %H:%M"\n'
        'timezone = "Asia/Kolkata"' + MAPPED,
        [a_record({"m": "press-01", "at": "01.03.2026 17:30", "P": 41200, "T": 85})],
    ),
    "Kafka's own time": (
        'topic = "t"\nmachine_id = "key"\ntime = "kafka"' + MAPPED,
        [Raw(b'{"P": 41200, "T": 85}', b"press-01", (), "t", SECONDS)],
    ),
    "machine from a template of the key": (
        'topic = "t"\nmachine_id = "key:hall 4/{machine_id}/+"\ntime = "at"' + MAPPED,
        [a_record({"at": "2026-03-01T12:00:00Z", "P": 41200, "T": 85}, key=b"hall 4/press-01/x")],
    ),
    "machine from a header": (
        'topic = "t"\nmachine_id = "header:device"\ntime = "at"' + MAPPED,
        [a_record({"at": "2026-03-01T12:00:00Z", "P": 41200, "T": 85}, headers=[("device", b"press-01")])],
    ),
    "machine from the topic": (
        'mqtt = "plant/+/data"\nmachine_id = "topic:plant/{machine_id}/data"\ntime = "at"' + MAPPED,
        [a_record({"at": "2026-03-01T12:00:00Z", "P": 41200, "T": 85}, topic="plant/press-01/data")],
    ),
    "machine from part of a path": (
        'topic = "t"\nmachine_id = "path:asset urn:plant:{machine_id}"\ntime = "at"' + MAPPED,
        [a_record({"asset": "urn:plant:press-01", "at": "2026-03-01T12:00:00Z", "P": 41200, "T": 85})],
    ),
    "machine by name": (
        'topic = "t"\nmachine_id = "is:press-01"\ntime = "at"' + MAPPED,
        [a_record({"at": "2026-03-01T12:00:00Z", "P": 41200, "T": 85})],
    ),
    "numbers as text, decimal comma": (
        'topic = "t"\nmachine_id = "m"\ntime = "at"\ndecimal = ","' + MAPPED,
        [a_record({"m": "press-01", "at": "2026-03-01T12:00:00Z", "P": "41200,0", "T": " 85 "})],
    ),
    "byte order mark": (
        'topic = "t"\nmachine_id = "m"\ntime = "at"' + MAPPED,
        [a_record(b'\xef\xbb\xbf{"m": "press-01", "at": "2026-03-01T12:00:00Z", "P": 41200, "T": 85}')],
    ),
    "elements of a list, with the message around them": (
        'topic = "t"\neach = "rows"\nmachine_id = "m"\ntime = "at"' + MAPPED,
        [a_record({"m": "press-01", "rows": [{"at": "2026-03-01T12:00:00Z", "P": 41200, "T": 85}]})],
    ),
    "quality good and uncertain": (
        (
            'topic = "t"\nmachine_id = "m"\ntime = "at"\n[source.sensors]\n'
            'power = { path = "P.v", unit = "W", quality = "P.q" }\ntemperature = { path = "T.v", quality = "T.q" }'
        ),
        [
            a_record(
                {
                    "m": "press-01",
                    "at": "2026-03-01T12:00:00Z",
                    "P": {"v": 41200, "q": 0x40000000},
                    "T": {"v": 85, "q": "Good"},
                }
            )
        ],
    ),
    "long, two messages": (
        LONG + MAPPED.replace("path", "tag"),
        [
            a_record({"tag": "P", "value": 41200, "machine_id": "press-01", "ts": "2026-03-01T12:00:00Z"}),
            a_record({"tag": "T", "value": "85", "machine_id": "press-01", "ts": "2026-03-01T12:00:00Z"}),
        ],
    ),
    "long, by lines, with other tags": (
        LONG + MAPPED.replace("path", "tag"),
        [
            a_record(
                b'{"tag": "P", "value": 41200, "machine_id": "press-01", "ts": "2026-03-01T12:00:00Z"}\n'
                b'{"tag": "X", "value": "open", "machine_id": "press-01", "ts": "2026-03-01T12:00:00Z"}\r\n'
                b'{"tag": "T", "value": 85, "machine_id": "press-01", "ts": "2026-03-01T12:00:00Z"}\n'
            )
        ],
    ),
    "long, machine and sensor in the tag, times that differ by little": (
        (
            'topic = "t"\nform = "long"\ntag = "path:tag {machine_id}.{sensor}"\ntime = "ts"\ntime_format = "ms"\n'
            'gather_seconds = 0.5\n[source.sensors]\npower = { tag = "e.P", unit = "W" }\ntemperature = "T"'
        ),
        [
            a_record({"tag": "press-01.e.P", "value": 41200, "ts": MS}),
            a_record({"tag": "press-01.T", "value": 85, "ts": MS + 400}),
        ],
    ),
    "long, machine and sensor in the topic": (
        'mqtt = "plant/#"\nform = "long"\ntag = "topic:plant/{machine_id}/{sensor}"\ntime = "ts"\ntime_format = "s"'
        + MAPPED.replace("path", "tag"),
        [
            a_record({"value": 41200, "ts": SECONDS}, topic="plant/press-01/P"),
            a_record({"value": 85, "ts": SECONDS}, topic="plant/press-01/T"),
        ],
    ),
    "Sparkplug, names by number after a birth": (
        (
            'mqtt = "spBv1.0/+/+/+/+"\nformat = "sparkplug"\n[source.sensors]\n'
            'power = { tag = "Electrical/Power", unit = "W" }\ntemperature = "Temperature"'
        ),
        [
            a_record(
                a_payload(
                    MS,
                    {"name": "Electrical/Power", "alias": 1, "datatype": 9, "float_value": 41200.0, "quality": 192},
                    {"name": "Temperature", "alias": 2, "datatype": 3, "int_value": 85},
                ),
                topic="spBv1.0/plant/DBIRTH/edge-1/press-01",
            ),
            a_record(
                a_payload(
                    MS,
                    {"alias": 1, "timestamp": MS, "float_value": 41200.0},
                    {"alias": 2, "timestamp": MS, "int_value": 85},
                ),
                topic="spBv1.0/plant/DDATA/edge-1/press-01",
            ),
        ],
    ),
}
for unit, factor in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
    KINDS[f"epoch {unit}"] = (
        f'topic = "t"\nmachine_id = "m"\ntime = "at"\ntime_format = "{unit}"' + MAPPED,
        [a_record({"m": "press-01", "at": int(SECONDS) * factor, "P": 41200, "T": 85})],
    )


def is_the_reading(found: MappedReading) -> bool:
    machine_id, seconds, values = READING
    return found.machine_id == machine_id and found.seconds == seconds and found.values == pytest.approx(values)


@pytest.mark.parametrize("kind", KINDS)
def test_one_reading_in_each_kind_of_payload_becomes_the_same_reading(kind: str) -> None:
    source, records = KINDS[kind]
    found = readings_of(a_plant(source), *records)
    assert found
    assert all(map(is_the_reading, found)), found


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with registry_server() as server:
        yield server


IN_REGISTRY = 'topic = "t"\nformat = "registry"\nmachine_id = "m"\ntime = "at"'


def in_wire_format(number: int, body: bytes) -> bytes:
    return struct.pack(">bI", 0, number) + body


def test_json_with_a_schema_in_the_registry(registry: Registry) -> None:
    registry.schemas[1] = {"schemaType": "JSON", "schema": '{"type": "object"}'}
    body = json.dumps({"m": "press-01", "at": "2026-03-01T12:00:00Z", "P": 41200, "T": 85}).encode()
    found = readings_of(a_plant(IN_REGISTRY + MAPPED), a_record(in_wire_format(1, body)), registry=registry.url)
    assert [is_the_reading(one) for one in found] == [True]


def test_avro_with_a_schema_that_refers_to_another_one(registry: Registry) -> None:
    values = {"type": "record", "name": "Values", "fields": [{"name": "P", "type": ["null", "double"]}]}
    when = {"type": "long", "logicalType": "timestamp-millis"}
    whole = {
        "type": "record",
        "name": "Telemetry",
        "fields": [
            {"name": "m", "type": "string"},
            {"name": "at", "type": when},
            {"name": "e", "type": "Values"},
            {"name": "T", "type": "int"},
        ],
    }
    registry.schemas[20] = {"schema": json.dumps(values)}
    registry.subjects["values-value", "3"] = 20
    references = [{"name": "Values", "subject": "values-value", "version": 3}]
    registry.schemas[2] = {"schema": json.dumps(whole), "references": references}
    body = io.BytesIO()
    inlined = json.loads(json.dumps(whole).replace('"type": "Values"', '"type": ' + json.dumps(values)))
    record = {"m": "press-01", "at": AT, "e": {"P": 41200.0}, "T": 85}
    fastavro.schemaless_writer(body, fastavro.parse_schema(inlined), record)
    plant = a_plant(IN_REGISTRY + MAPPED.replace('"P"', '"e.P"'))
    message = a_record(in_wire_format(2, body.getvalue()))
    found = readings_of(plant, message, message, registry=registry.url)
    assert [is_the_reading(one) for one in found] == [True, True]
    assert registry.asked.count("/schemas/ids/2") == 1, "a schema is fetched once"


def test_protobuf_with_a_nested_type_an_import_and_a_timestamp(registry: Registry) -> None:
    field = descriptor_pb2.FieldDescriptorProto
    values = descriptor_pb2.FileDescriptorProto(name="values.proto", package="plant", syntax="proto3")
    inner = values.message_type.add(name="Values")
    inner.field.add(name="P", number=1, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    whole = descriptor_pb2.FileDescriptorProto(name="telemetry.proto", package="plant", syntax="proto3")
    whole.dependency.extend(["values.proto", "google/protobuf/timestamp.proto"])
    whole.message_type.add(name="Other")
    outer = whole.message_type.add(name="Envelope").nested_type.add(name="Telemetry")
    outer.field.add(name="m", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    for number, name, kind in ((2, "at", ".google.protobuf.Timestamp"), (3, "e", ".plant.Values")):
        outer.field.add(name=name, number=number, type=field.TYPE_MESSAGE, type_name=kind, label=field.LABEL_OPTIONAL)
    outer.field.add(name="T", number=4, type=field.TYPE_SINT32, label=field.LABEL_OPTIONAL)

    def serialized(file: descriptor_pb2.FileDescriptorProto) -> str:
        return base64.b64encode(file.SerializeToString()).decode()

    registry.schemas[30] = {"schemaType": "PROTOBUF", "schema": "", "serialized": serialized(values)}
    registry.subjects["values.proto", "1"] = 30
    references = [{"name": "values.proto", "subject": "values.proto", "version": 1}]
    registry.schemas[3] = {
        "schemaType": "PROTOBUF",
        "schema": "",
        "serialized": serialized(whole),
        "references": references,
    }
    pool = descriptor_pool.DescriptorPool()
    known = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(known)
    for file in (known, values, whole):
        pool.Add(file)
    telemetry: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("plant.Envelope.Telemetry"))
    message = telemetry(m="press-01", T=85)
    message.at.seconds, message.e.P = int(SECONDS), 41200.0
    # the second message of the file, and the first one within it: two levels, zigzag
    body = bytes([4, 2, 0]) + message.SerializeToString()
    plant = a_plant(IN_REGISTRY + MAPPED.replace('"P"', '"e.P"'))
    found = readings_of(plant, a_record(in_wire_format(3, body)), registry=registry.url)
    assert [is_the_reading(one) for one in found] == [True]
