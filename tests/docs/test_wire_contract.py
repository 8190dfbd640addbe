"""The exported contract against the messages themselves: what we send and accept must fit it, and the reverse."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from pydantic import BaseModel, ValidationError

from runtime.plants import load_plant
from schemas.dead_letters import DeadLetter, Source
from schemas.energy import EnergyWindow
from schemas.export import RECEIVED, asyncapi, json_schemas
from schemas.feedback import Feedback
from schemas.message import Message
from schemas.readings import reading_model
from schemas.scores import Score
from schemas.topics import CATALOGUE

SENSORS = load_plant(None).sensor_names
SCHEMAS = json_schemas(SENSORS)
ASYNCAPI = asyncapi(SENSORS)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
READING = {"machine_id": "press-01", "timestamp": "2026-03-01T12:00:00Z", "power": 71.2}


def fits(name: str, document: Any) -> bool:
    return bool(Draft202012Validator(SCHEMAS[name], format_checker=FormatChecker()).is_valid(document))


def accepted(model: type[BaseModel], document: Any) -> bool:
    try:
        model.model_validate_json(json.dumps(document))
    except ValidationError:
        return False
    return True


def test_every_message_of_the_catalogue_has_a_valid_schema_with_an_identity() -> None:
    assert set(SCHEMAS) == {topic.message.__name__ for topic in CATALOGUE if topic.message}
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:nexova:{name}:1"


@pytest.mark.parametrize(
    "message",
    [
        Score(machine_id="press-01", timestamp=NOON, anomaly_score=0.4, condition="running"),
        Score(machine_id="press-01", timestamp=NOON, condition="off"),
        EnergyWindow(
            machine_id="press-01",
            start=NOON,
            end=NOON.replace(hour=13),
            energy_kwh=70.5,
            mean_power_kw=70.5,
            peak_power_kw=None,
            production=None,
            readings=3600,
            expected_readings=3600,
            completeness=1.0,
        ),
        DeadLetter.of(
            Source(topic="nexova.readings", partition=0, offset=7),
            reason="not_json",
            detail="x",
            payload=b"\xff",
            failed_at=NOON,
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_we_send_fits_its_schema_and_without_any_one_field_it_does_not(message: Message) -> None:
    name = type(message).__name__
    sent = json.loads(message.encode())

    assert fits(name, sent)
    for field in sent:
        assert not fits(name, {key: value for key, value in sent.items() if key != field}), field


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"power": None},
        {"power": 71},
        {"stranger": 1},
        {"machine_id": "x" * 128},
        {"machine_id": ""},
        {"machine_id": "x" * 129},
        {"machine_id": 7},
        {"power": "71.2"},
        {"power": True},
        {"power": [71.2]},
        {"timestamp": 1772366400},
        {"timestamp": None},
    ],
    ids=str,
)
def test_the_schema_of_a_reading_and_the_decoder_agree(change: dict[str, Any]) -> None:
    document = READING | change

    assert fits("Reading", document) == accepted(reading_model(SENSORS), document)


@pytest.mark.parametrize("missing", ["machine_id", "timestamp", "power"])
def test_the_schema_and_the_decoder_want_the_same_fields_of_a_reading(missing: str) -> None:
    document = {key: value for key, value in READING.items() if key != missing}

    assert fits("Reading", document) == accepted(reading_model(SENSORS), document) == (missing == "power")


def test_the_schema_of_a_reading_lists_the_sensors_of_the_plant() -> None:
    assert set(SCHEMAS["Reading"]["properties"]) == {"machine_id", "timestamp", *SENSORS}


def test_feedback_may_leave_out_what_it_does_not_know() -> None:
    document = {"machine_id": "press-01", "kind": "confirmed", "at": "2026-03-01T12:00:00Z"}

    assert fits("Feedback", document)
    assert accepted(Feedback, document)


def resolved(reference: str) -> Any:
    node: Any = ASYNCAPI
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [reference for value in node.values() for reference in references(value)]
    if isinstance(node, list):
        return [reference for value in node for reference in references(value)]
    return []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    found = references(ASYNCAPI)

    assert found
    for reference in found:
        assert resolved(reference), reference


def test_the_asyncapi_document_has_each_topic_once_with_its_policy_and_direction() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert list(ASYNCAPI["channels"]) == [topic.name for topic in CATALOGUE]
    actions = {
        operation["channel"]["$ref"].removeprefix("#/channels/"): operation["action"]
        for operation in ASYNCAPI["operations"].values()
    }
    assert {name for name, action in actions.items() if action == "receive"} == RECEIVED
    assert set(actions) == set(ASYNCAPI["channels"])
    binding = ASYNCAPI["channels"]["nexova.alerts"]["bindings"]["kafka"]["topicConfiguration"]
    assert binding["cleanup.policy"] == ["compact", "delete"]
    assert binding["retention.ms"] == 90 * 24 * 3600 * 1000


def test_the_schemas_inside_asyncapi_hold_to_its_dialect_and_take_one_reading_or_many() -> None:
    # AsyncAPI reads schemas as JSON Schema draft 7 unless told otherwise
    for schema in ASYNCAPI["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    payload = resolved(ASYNCAPI["components"]["messages"]["Reading"]["payload"]["$ref"])
    validator = Draft7Validator(payload | {"components": ASYNCAPI["components"]})

    assert validator.is_valid(READING)
    assert validator.is_valid([READING, READING])
    assert not validator.is_valid([])
    assert not validator.is_valid([READING | {"power": "71"}])


def test_the_written_documents_are_json_with_the_same_content() -> None:
    folder = Path(__file__).parents[2] / "docs" / "reference"

    assert json.loads((folder / "asyncapi.json").read_text(encoding="utf-8")) == ASYNCAPI
    assert json.loads((folder / "dead-letter.json").read_text(encoding="utf-8")) == SCHEMAS["DeadLetter"]
