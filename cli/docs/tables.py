"""Tables of the documentation, rendered from the catalogues and contracts in the code."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from runtime.metrics import Metric, MetricSet
from schemas.topics import CATALOGUE, Topic

Schema = Mapping[str, Any]

_WORDS: Final = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "null": "null",
    "date-time": "time",
    "base64": "base64",
}
_BOUNDS: Final = (
    ("exclusiveMinimum", "above {}"),
    ("minimum", "from {}"),
    ("exclusiveMaximum", "below {}"),
    ("maximum", "to {}"),
    ("minLength", "of {} or more characters"),
    ("maxLength", "at most {} characters"),
)


def topics_table() -> str:
    """Return all topics with key, message and policy."""
    rows = (
        (f"`{topic.name}`", topic.key, _message_link(topic), _policy(topic), _spread(topic), topic.description)
        for topic in CATALOGUE
    )
    return markdown_table(("Topic", "Key", "Message", "Kept", "Partitions", "Content"), rows)


def metrics_table(metrics: type[MetricSet]) -> str:
    """Return all metrics of one process with their labels."""
    rows = (
        (f"`{metric.name}`", metric.kind, _labels(metric), metric.help + _buckets(metric))
        for metric in metrics.catalogue()
    )
    return markdown_table(("Metric", "Kind", "Labels", "Description"), rows)


def messages_text(schemas: Mapping[str, Schema]) -> str:
    """Return a section for each message and for each part of messages."""
    parts: dict[str, Schema] = {}
    for schema in schemas.values():
        parts |= schema.get("$defs", {})
    messages = [_message(name, schema) for name, schema in schemas.items()]
    nested = [_message(name, parts[name]) for name in sorted(parts.keys() - schemas.keys())]
    return "\n\n".join([*messages, "## Parts of messages", *nested])


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; header: names of the columns."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _message_link(topic: Topic) -> str:
    name = topic.message.__name__ if topic.message else ""
    return f"[{name}](messages.md#{name.lower()})" if name else ""


def _policy(topic: Topic) -> str:
    hours = topic.retention_hours
    kept = "for good" if hours is None else f"{hours // 24} d" if hours % 24 == 0 else f"{hours} h"
    if topic.cleanup == "compact":
        return "the last of each key"
    return kept if topic.cleanup == "delete" else f"the last of each key, {kept}"


def _spread(topic: Topic) -> str:
    return "1" if topic.partitions == "one" else "`NEXOVA_KAFKA__PARTITIONS`"


def _labels(metric: Metric[Any]) -> str:
    return "; ".join(
        f"`{label.name}`: " + (", ".join(label.values) if label.values else label.bound) for label in metric.labels
    )


def _buckets(metric: Metric[Any]) -> str:
    if not metric.buckets:
        return ""
    return f" Buckets: {' '.join(f'{bound:g}' for bound in metric.buckets)}."


def _message(name: str, schema: Schema) -> str:
    required = set(schema.get("required", ()))
    rows = (
        (f"`{field}`", kind_of(body), "always" if field in required else "optional", _text(body))
        for field, body in schema["properties"].items()
    )
    table = markdown_table(("Field", "Type", "Presence", "Description"), rows)
    description = [schema["description"]] if "description" in schema else []
    return "\n\n".join([f"### {name}", *description, table])


def _text(body: Schema) -> str:
    return str(body.get("description", ""))


def kind_of(body: Schema) -> str:
    """Return the type that a JSON Schema describes, in words."""
    if "$ref" in body:
        name = body["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in body:
        return " or ".join(kind_of(option) for option in body["anyOf"])
    if "enum" in body:
        return " · ".join(f"`{value}`" for value in body["enum"])
    return _container(body) or " ".join((_WORDS.get(_type(body), "any value"), *_limits(body)))


def _container(body: Schema) -> str:
    if body.get("type") == "array":
        return f"list of {kind_of(body.get('items', {}))}"
    if body.get("type") == "object":
        return f"map of names to {kind_of(body.get('additionalProperties', {}))}"
    return ""


def _type(body: Schema) -> str:
    formatted = str(body.get("format"))
    return formatted if formatted in _WORDS else str(body.get("type"))


def _limits(body: Schema) -> Iterator[str]:
    return (text.format(f"{body[key]:,}") for key, text in _BOUNDS if key in body)
