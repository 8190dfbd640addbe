"""Decoding of Protobuf messages into plain objects, with one reader for each type."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

Reader = Callable[[Any], Any]


def reader_of(kind: Descriptor, known: dict[str, dict[str, Any]] | None = None) -> Reader:
    """Return a function that converts a message to a dictionary; unset fields are omitted.

    Numbers of proto3 that are 0 are not sent, and are 0 all the same. Timestamps become instants with zone.
    """
    if kind.full_name == "google.protobuf.Timestamp":
        return lambda message: datetime.fromtimestamp(message.seconds + message.nanos / 1e9, UTC)
    if kind.full_name.startswith("google.protobuf.") and kind.full_name.endswith("Value"):
        return lambda message: getattr(message, "value", None)
    # a type may contain itself
    readers = {} if known is None else known
    if kind.full_name in readers:
        entry = readers[kind.full_name]
        return lambda message: entry["read"](message)  # noqa: PLW0108  not yet there
    entry = readers[kind.full_name] = {}
    plain, optional = [], []
    for field in kind.fields:
        read = _field(field, readers)
        if field.has_presence:
            optional.append((field.name, read))
        else:
            plain.append((field.name, read))

    def read_message(message: Any) -> dict[str, Any]:
        found = {name: getattr(message, name) if read is None else read(getattr(message, name)) for name, read in plain}
        for name, read in optional:
            if message.HasField(name):
                value = getattr(message, name)
                found[name] = value if read is None else read(value)
        return found

    entry["read"] = read_message
    return read_message


def _field(field: FieldDescriptor, readers: dict[str, dict[str, Any]]) -> Reader | None:
    """Return the reader of a field's value; None where the value is plain."""
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        value = _field(kind.fields_by_name["value"], readers)
        return lambda entries: {str(key): entries[key] if value is None else value(entries[key]) for key in entries}
    one = None if kind is None else reader_of(kind, readers)
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        one = lambda number: names.get(number, number)  # noqa: E731
    if not field.is_repeated:
        return one
    return list if one is None else (lambda values: [one(value) for value in values])
