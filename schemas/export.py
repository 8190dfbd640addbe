"""Export of the wire contract: a JSON Schema of each message and one AsyncAPI 3 document.

Both are generated from the topic catalogue and the pydantic messages. Messages that Nexova receives are described for
their senders, those that Nexova sends for their receivers.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from schemas.message import SCHEMA_VERSION
from schemas.readings import Reading, reading_model
from schemas.topics import CATALOGUE, FEEDBACK, HISTORY, KNOWN_INPUTS, READINGS, Topic

Document = dict[str, Any]
Mode = Literal["validation", "serialization"]

RECEIVED: Final = frozenset({READINGS, FEEDBACK, HISTORY, KNOWN_INPUTS})
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_READING_BATCH: Final = "ReadingOrReadings"
_HOUR_MS: Final = 3_600_000


class _AsSent(GenerateJsonSchema):
    """Schema generator of sent messages, which contain every field, also those with a default."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: FBT001 - the signature is pydantic's
    ) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


def json_schemas(sensors: Sequence[str]) -> dict[str, Document]:
    """Return a self-contained JSON Schema for each message of the catalogue, by message name.

    A reading's fields depend on the plant: `sensors` are the names that the exported one lists.
    """
    schemas = {}
    for topic in CATALOGUE:
        model = _model(topic, sensors)
        body = model.model_json_schema(mode=_mode(topic), schema_generator=_AsSent)
        identity = {"$schema": _DIALECT, "$id": f"urn:nexova:{model.__name__}:{SCHEMA_VERSION}"}
        schemas[model.__name__] = identity | body
    return schemas


def asyncapi(sensors: Sequence[str]) -> Document:
    """Return the AsyncAPI 3.0 document of all topics, seen from Nexova: it receives readings and sends the rest."""
    _, definitions = models_json_schema(
        [(_model(topic, sensors), _mode(topic)) for topic in CATALOGUE],
        ref_template="#/components/schemas/{model}",
        schema_generator=_AsSent,
    )
    schemas = definitions["$defs"]
    reading = {"$ref": f"#/components/schemas/{Reading.__name__}"}
    schemas[_READING_BATCH] = {
        "description": "One reading, or an array of them.",
        "oneOf": [reading, {"type": "array", "items": reading, "minItems": 1}],
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Nexova",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": "Readings of machines in; scores, alerts, maintenance advice and energy out.",
            "license": {"name": "MIT"},
            "tags": [{"name": "kafka"}, {"name": "machines"}],
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "The broker of docker-compose.yml.",
            }
        },
        "channels": {topic.name: _channel(topic) for topic in CATALOGUE},
        "operations": {_operation_name(topic): _operation(topic) for topic in CATALOGUE},
        "components": {
            "messages": {_message_name(topic): _message(topic) for topic in CATALOGUE},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _message_name(topic: Topic) -> str:
    if topic.message is None:
        raise ValueError(f"topic {topic.name}: has no message; give it one in schemas/topics.py")
    return topic.message.__name__


def _model(topic: Topic, sensors: Sequence[str]) -> type[BaseModel]:
    if topic.message is None:
        raise ValueError(f"topic {topic.name}: has no message; give it one in schemas/topics.py")
    return reading_model(sensors) if topic.message is Reading else topic.message


def _mode(topic: Topic) -> Mode:
    return "validation" if topic.name in RECEIVED else "serialization"


def _message(topic: Topic) -> Document:
    name = _message_name(topic)
    payload = _READING_BATCH if name == Reading.__name__ else name
    return {
        "name": name,
        "title": topic.title,
        "summary": topic.description,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{payload}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
    }


def _channel(topic: Topic) -> Document:
    configuration: Document = {
        "cleanup.policy": topic.cleanup.split(","),
        "max.message.bytes": topic.max_message_bytes,
    }
    if "delete" in topic.cleanup:
        configuration["retention.ms"] = -1 if topic.retention_hours is None else topic.retention_hours * _HOUR_MS
    name = _message_name(topic)
    return {
        "address": topic.name,
        "title": topic.title,
        "description": topic.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": configuration,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation_name(topic: Topic) -> str:
    return f"{_action(topic)}{_message_name(topic)}"


def _action(topic: Topic) -> Literal["receive", "send"]:
    return "receive" if topic.name in RECEIVED else "send"


def _operation(topic: Topic) -> Document:
    # the keys of `channels` hold dots and dashes only, which a JSON pointer takes as they are
    channel = f"#/channels/{topic.name}"
    return {
        "action": _action(topic),
        "description": topic.description,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{_message_name(topic)}"}],
    }
