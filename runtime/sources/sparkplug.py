"""Sparkplug B: metrics of edge nodes and devices, whose aliases for names are announced in birth messages.

A payload becomes one document with a list of metrics, each with name, value, timestamp (ms since 1970) and quality.
The fields are those of the Eclipse Sparkplug specification 3.0, chapter 6.4; what it has beyond is passed over.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from core.sources.record import Raw, Unusable

BIRTHS: Final = frozenset({"NBIRTH", "DBIRTH"})
DATA: Final = frozenset({"NDATA", "DDATA"})
_LEVELS: Final = 4  # spBv1.0, group, type, node; a device may follow
_PACKAGE: Final = "nexova.sparkplug"
_REPEATED: Final = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
_OPTIONAL: Final = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_TYPES: Final[dict[str, Any]] = {
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}
_MESSAGES: Final[dict[str, tuple[tuple[int, str, str], ...]]] = {
    "Payload": ((1, "timestamp", "uint64"), (2, "metrics", "Metric*"), (3, "seq", "uint64")),
    "Metric": (
        (1, "name", "string"),
        (2, "alias", "uint64"),
        (3, "timestamp", "uint64"),
        (4, "datatype", "uint32"),
        (7, "is_null", "bool"),
        (9, "properties", "Properties"),
        (10, "int_value", "uint32"),
        (11, "long_value", "uint64"),
        (12, "float_value", "float"),
        (13, "double_value", "double"),
        (14, "boolean_value", "bool"),
        (15, "string_value", "string"),
    ),
    "Properties": ((1, "keys", "string*"), (2, "values", "Property*")),
    "Property": (
        (1, "type", "uint32"),
        (2, "is_null", "bool"),
        (3, "int_value", "uint32"),
        (4, "long_value", "uint64"),
    ),
}
_VALUES: Final = ("double_value", "float_value", "int_value", "long_value", "boolean_value", "string_value")
_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}  # datatypes with a sign, sent as if they had none


def _payload_type() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="nexova/sparkplug.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            plain = kind.removesuffix("*")
            added = message.field.add(name=field, number=number, label=_REPEATED if kind.endswith("*") else _OPTIONAL)
            if plain in _TYPES:
                added.type = _TYPES[plain]
            else:
                added.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                added.type_name = f".{_PACKAGE}.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


Payload: Final[Any] = _payload_type()
"""The type of a payload; `Payload.FromString` reads one."""


def rebirth(at_ms: int) -> bytes:
    """Return the command that requests an edge node's rebirth."""
    payload = Payload(timestamp=at_ms)
    payload.metrics.add(name="Node Control/Rebirth", timestamp=at_ms, datatype=11, boolean_value=True)
    return bytes(payload.SerializeToString())


class SparkplugReader:
    """Reader of payloads that remembers the names announced in birth messages.

    on_unknown_alias: called with group and node if no birth has named a metric's alias, to request a rebirth.
    """

    def __init__(self, on_unknown_alias: Callable[[str, str], None] = lambda _group, _node: None) -> None:
        self._on_unknown_alias = on_unknown_alias
        self._names: dict[tuple[str, str], dict[int, str]] = {}
        self._types: dict[tuple[str, str], dict[str, int]] = {}

    def documents(self, raw: Raw) -> Sequence[object]:
        """Return the payload as one document; none of a death, a command or a state.

        Raises:
            Unusable: it is no Sparkplug payload, or a metric's name is not known yet.
        """
        levels = raw.topic.split("/")
        if len(levels) < _LEVELS or levels[2] not in BIRTHS | DATA:
            return []
        try:
            payload = Payload.FromString(raw.value or b"")
        except DecodeError as error:
            raise Unusable(
                "not_a_reading", f"{raw.topic}: no Sparkplug B payload ({error}); check the sender"
            ) from None
        node = (levels[1], levels[3])
        if levels[2] == "NBIRTH":
            self._names[node], self._types[node] = {}, {}
        names, types = self._names.setdefault(node, {}), self._types.setdefault(node, {})
        metrics = []
        for metric in payload.metrics:
            name = metric.name
            if levels[2] in BIRTHS and metric.HasField("alias") and name:
                names[metric.alias] = name
            elif not name:
                name = names.get(metric.alias, "")
            if not name:
                self._on_unknown_alias(*node)
                detail = f"metric {metric.alias} of {'/'.join(node)}: no birth has named this number yet"
                raise Unusable("no_known_sensor", f"{detail}; request a rebirth of the node (Node Control/Rebirth)")
            if metric.HasField("datatype"):
                types[name] = metric.datatype
            metrics.append(_metric(metric, name, types.get(name, 0), payload.timestamp))
        return [{"timestamp": payload.timestamp, "seq": payload.seq, "metrics": metrics}]


def _metric(metric: Any, name: str, datatype: int, sent_at: int) -> dict[str, Any]:
    value = None if metric.is_null else next((getattr(metric, one) for one in _VALUES if metric.HasField(one)), None)
    if isinstance(value, bool):
        value = float(value)
    bits = _BITS.get(datatype)
    if bits is not None and isinstance(value, int):
        value &= (1 << bits) - 1
        value -= (value >> (bits - 1)) << bits
    found = {"name": name, "timestamp": metric.timestamp or sent_at, "value": value}
    for key, prop in zip(metric.properties.keys, metric.properties.values, strict=False):
        if key.lower() == "quality" and not prop.is_null:
            found["quality"] = prop.long_value if prop.HasField("long_value") else prop.int_value
    return found
