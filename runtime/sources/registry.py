"""Confluent wire format: a zero byte, the number of a schema in the registry, and Avro, Protobuf or JSON after it."""

import base64
import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from core.sources.documents import json_documents
from core.sources.record import Raw, Unusable
from runtime.errors import FailureError, UsageError
from runtime.sources.settings import RegistrySettings

_HEAD: Final = 5  # a zero byte and a number of 4 bytes
_NOT_FOUND: Final = 404
_Read = Callable[[bytes], Sequence[object]]


class RegistryReader:
    """Reader of records with schemas from a registry; each schema is fetched once."""

    def __init__(self, settings: RegistrySettings) -> None:
        if settings.url is None:
            raise UsageError('a source has format = "registry"; set NEXOVA_REGISTRY__URL to the schema registry')
        try:
            from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(f"the schema registry's client is missing ({error}); install nexova[registry]") from None
        config: dict[str, Any] = {"url": settings.url, "max.retries": 2}
        if settings.username is not None:
            password = "" if settings.password is None else settings.password.get_secret_value()
            config["basic.auth.user.info"] = f"{settings.username}:{password}"
        if settings.ca_file is not None:
            config["ssl.ca.location"] = str(settings.ca_file)
        self._url = settings.url
        self._client = SchemaRegistryClient(config)
        # a client remembers a schema whatever the form it was asked for
        self._serialized = SchemaRegistryClient(config)
        self._readers: dict[int, _Read] = {}

    def documents(self, raw: Raw) -> Sequence[object]:
        """Return the documents of a record.

        Raises:
            Unusable: it is not in wire format, its schema is unknown, or it does not fit that.
            FailureError: the registry does not answer.
        """
        value = raw.value or b""
        if len(value) < _HEAD or value[0]:
            detail = f"the message begins with {value[:1]!r}, not with a zero byte and a schema's number"
            raise Unusable("not_a_reading", f'{detail}; write format = "json" for plain JSON')
        number = int.from_bytes(value[1:_HEAD], "big")
        read = self._readers.get(number)
        if read is None:
            read = self._readers[number] = self._reader(number)
        try:
            return read(value[_HEAD:])
        except Unusable:
            raise
        except Exception as error:  # noqa: BLE001  whatever a decoder makes of bytes that are not its own
            detail = f"does not fit schema {number} of the registry ({type(error).__name__}: {error!s:.120})"
            raise Unusable("not_a_reading", f"the message {detail}; check the sender's schema") from None

    def _reader(self, number: int) -> _Read:
        schema = self._fetch(lambda: self._client.get_schema(number), number)
        kind = schema.schema_type or "AVRO"
        if kind == "JSON":
            return json_documents
        if kind == "PROTOBUF":
            return self._protobuf(number)
        return self._avro(schema)

    def _fetch(self, ask: Callable[[], Any], number: int) -> Any:
        from confluent_kafka.schema_registry import SchemaRegistryError  # noqa: PLC0415

        try:
            return ask()
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                detail = f"schema {number} is not in the registry at {self._url}"
                raise Unusable(
                    "not_a_reading", f"{detail}; check NEXOVA_REGISTRY__URL and the sender's registry"
                ) from None
            raise FailureError(
                f"the registry at {self._url} refused schema {number} ({error}); check its rights"
            ) from None
        except Exception as error:  # noqa: BLE001  its HTTP client's own
            raise FailureError(f"the schema registry at {self._url} does not answer ({error}); start it") from None

    def _referenced(self, schema: Any, *, fmt: str | None = None) -> list[Any]:
        """Return the schemas that one refers to, those first that others need."""
        found = []
        for reference in schema.references or ():
            client = self._client if fmt is None else self._serialized
            ask = partial(client.get_version, reference.subject, reference.version, fmt=fmt)
            inner = self._fetch(ask, reference.version).schema
            found += [*self._referenced(inner, fmt=fmt), (reference.name, inner)]
        return found

    def _avro(self, schema: Any) -> _Read:
        import json  # noqa: PLC0415

        from fastavro import parse_schema, schemaless_reader  # noqa: PLC0415

        named: dict[str, Any] = {}
        for _, inner in self._referenced(schema):
            parse_schema(json.loads(inner.schema_str), named_schemas=named)
        parsed = parse_schema(json.loads(schema.schema_str), named_schemas=named)
        return lambda value: [schemaless_reader(io.BytesIO(value), parsed, None)]

    def _protobuf(self, number: int) -> _Read:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415

        from runtime.sources.protobuf import reader_of  # noqa: PLC0415

        schema = self._fetch(lambda: self._serialized.get_schema(number, fmt="serialized"), number)
        pool = descriptor_pool.DescriptorPool()
        _add_well_known(pool)
        name = ""
        for file_name, one in [*self._referenced(schema, fmt="serialized"), (f"schema-{number}.proto", schema)]:
            file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(one.schema_str))
            file.name = name = file_name
            pool.Add(file)
        described = pool.FindFileByName(name)
        types: dict[tuple[int, ...], tuple[Any, Callable[[Any], Any]]] = {}

        def read(value: bytes) -> Sequence[object]:
            path, start = _message_path(value)
            known = types.get(path)
            if known is None:
                kind = list(described.message_types_by_name.values())[path[0]]
                for index in path[1:]:
                    kind = kind.nested_types[index]
                known = types[path] = message_factory.GetMessageClass(kind), reader_of(kind)
            return [known[1](known[0].FromString(value[start:]))]

        return read


def _message_path(value: bytes) -> tuple[tuple[int, ...], int]:
    """Return the path of a value's message type in its file, and the offset at which its bytes begin."""
    length, position = _zigzag(value, 0)
    if length == 0:
        return (0,), position
    if not 0 < length <= 16:  # noqa: PLR2004  nested deeper than any message
        raise ValueError(f"{length} levels of messages")
    path = []
    for _ in range(length):
        index, position = _zigzag(value, position)
        path.append(index)
    return tuple(path), position


def _zigzag(value: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = value[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (number >> 1) ^ -(number & 1), position
        shift += 7


def _add_well_known(pool: Any) -> None:
    from google.protobuf import descriptor_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2  # noqa: PLC0415

    for module in (timestamp_pb2, duration_pb2, wrappers_pb2, struct_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pool.Add(file)
