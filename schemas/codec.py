"""Fast decoding of readings.

The msgspec types here are derived from the pydantic contracts, never written by hand, so that there is one
definition of each message; a property test holds that both accept and refuse the same inputs.
"""

import json
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, Final

import annotated_types
import msgspec
from pydantic import AwareDatetime, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from schemas.dead_letters import DeadLetterReason
from schemas.near_names import looks_like
from schemas.readings import Reading, reading_model

Body = typing.TypeVar("Body", bound=BaseModel)

MOST_READINGS: Final = 10_000
"""Readings of one message; one that holds more is refused whole, before its elements cost anything."""
MOST_EXPLAINED: Final = 16
"""Refusals of one message that are explained; the rest is counted."""
_IN_ONE_CALL: Final = 512
_SHOWN: Final = 200  # characters of unknown names in a message
_NOTICED: Final = 100  # unknown names that are reported
_CONSTRAINTS: Final[dict[Any, tuple[str, str]]] = {
    annotated_types.MinLen: ("min_length", "min_length"),
    annotated_types.MaxLen: ("max_length", "max_length"),
    annotated_types.Ge: ("ge", "ge"),
    annotated_types.Le: ("le", "le"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Reason of a refused reading. payload: its part of the message. count: number of readings it stands for."""

    reason: DeadLetterReason
    detail: str
    payload: bytes
    count: int = 1


class DecodedReading(typing.Protocol):
    """Result of the decoder: a struct with these two fields and one attribute for each sensor."""

    machine_id: str
    timestamp: datetime


def derive_struct(model: type[BaseModel], *, forbid_unknown_fields: bool = False) -> type[msgspec.Struct]:
    """Return a msgspec type with the fields, defaults and bounds of a pydantic `model`, and of models in its fields.

    Its constructor takes the fields by place too, required ones first: that is twice as fast as by name.
    """
    fields: list[Any] = []
    for name, info in model.model_fields.items():
        annotation = _msgspec_type(info)
        fields.append((name, annotation) if info.is_required() else (name, annotation, info.default))
    fields.sort(key=len)  # a default makes the third element; the sort is stable
    return msgspec.defstruct(model.__name__, fields, forbid_unknown_fields=forbid_unknown_fields, frozen=True, gc=False)


def derive_answer(model: type[Body]) -> type[Body]:
    """Return the struct of an answer's body, to be made and encoded many times: it checks and rounds nothing.

    To a type checker it is the body itself, as it has the same fields and takes them by name.
    """
    return typing.cast("type[Body]", derive_struct(model))


def _msgspec_type(info: FieldInfo) -> Any:
    annotation = info.annotation
    bounds = {
        key: getattr(item, attribute)
        for item in info.metadata
        for kind, (key, attribute) in _CONSTRAINTS.items()
        if isinstance(item, kind)
    }
    if annotation in (datetime, AwareDatetime):
        return Annotated[datetime, msgspec.Meta(tz=True)]
    plain = _strip(annotation)
    return Annotated[plain, msgspec.Meta(**bounds)] if bounds else plain


def _strip(annotation: Any) -> Any:
    """Return the annotation without pydantic's metadata, which msgspec would refuse."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _strip(typing.get_args(annotation)[0])
    if origin in (types.UnionType, typing.Union):
        return typing.Union[tuple(_strip(part) for part in typing.get_args(annotation))]  # noqa: UP007
    if origin in (list, tuple, dict):
        return origin[tuple(_strip(part) for part in typing.get_args(annotation))]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return derive_struct(annotation)
    return annotation


class ReadingDecoder:
    """Decoder of the messages of a plant with these `sensors`; about 0.7 microseconds a reading.

    `columns(reading)` gives the sensors' values of a decoded reading in the order of `sensors`, None where missing.
    """

    def __init__(self, sensors: Sequence[str]) -> None:
        self.sensors = tuple(sensors)
        self.model: type[Reading] = reading_model(self.sensors)
        known = set(self.model.model_fields)
        self._known = known
        self._noticed: dict[str, bool] = {}
        # the strict type costs nothing and tells us, by failing, that a reading carries unknown fields
        self._strict = msgspec.json.Decoder(derive_struct(self.model, forbid_unknown_fields=True))
        self._lenient = msgspec.json.Decoder(derive_struct(self.model))
        self._elements = msgspec.json.Decoder(list[msgspec.Raw])
        self._object = msgspec.json.Decoder(dict[str, msgspec.Raw])
        get = attrgetter(*self.sensors)
        self.columns: Any = get if len(self.sensors) > 1 else lambda reading: (get(reading),)

    def decode_one(self, value: bytes) -> DecodedReading:
        """Return one reading. Fast path; raises msgspec.MsgspecError if `decode` is needed."""
        return typing.cast("DecodedReading", self._strict.decode(value))

    def decode_all(self, values: Sequence[bytes | None]) -> list[DecodedReading] | None:
        """Return one reading for each value, or None if any of them needs `decode`; the fast path of a batch."""
        readings: list[DecodedReading] = []
        try:
            # one call for all would keep other threads from the interpreter for as long as it takes
            for start in range(0, len(values), _IN_ONE_CALL):
                # None is no buffer: a TypeError
                readings += map(self._strict.decode, values[start : start + _IN_ONE_CALL])  # type: ignore[arg-type]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
            return None
        return readings

    def decode(self, value: bytes | None) -> tuple[list[DecodedReading], list[Refusal], int]:
        """Return readings, refusals and the number of unknown fields of one message, which may hold an array."""
        if value is None:
            return [], [_refusal("null_value", "the record has no value; send a reading as JSON", b"")], 0
        stripped = value.lstrip()
        if not stripped:
            return [], [_refusal("empty_value", "the value is empty; send a reading as JSON", value)], 0
        if not stripped.startswith(b"["):
            return self._decode_element(value)
        try:
            elements: list[bytes] = [bytes(element) for element in self._elements.decode(value)]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            elements_or_none = _split_leniently(value)
            if elements_or_none is None:
                return [], [_refusal("not_json", f"{error}; {_REMEDY['not_json']}", value)], 0
            elements = elements_or_none
        if not elements:
            return [], [_refusal("empty_value", "the array is empty; send at least one reading", value)], 0
        return self._decode_elements(elements, value)

    def _decode_elements(self, elements: list[bytes], value: bytes) -> tuple[list[DecodedReading], list[Refusal], int]:
        if len(elements) > MOST_READINGS:
            detail = f"{len(elements)} elements is above the limit of {MOST_READINGS}; {_REMEDY['too_large']}"
            return [], [_refusal("too_large", detail, value)], 0
        readings: list[DecodedReading] = []
        refusals: list[Refusal] = []
        unknown = unexplained = 0
        for element in elements:
            good, bad, unknown_fields = self._decode_element(element, explain=len(refusals) < MOST_EXPLAINED)
            readings += good
            refusals += bad
            unknown += unknown_fields
            unexplained += not good and not bad
        if unexplained:
            detail = f"{unexplained} more readings of this message were refused; {_REMEDY['not_explained']}"
            refusals.append(Refusal(reason="not_explained", detail=detail, payload=value, count=unexplained))
        return readings, refusals, unknown

    def _decode_element(self, value: bytes, *, explain: bool = True) -> tuple[list[DecodedReading], list[Refusal], int]:
        try:
            return [self.decode_one(value)], [], 0
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        try:
            reading = typing.cast("DecodedReading", self._lenient.decode(value))
            names = self._object.decode(value).keys()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return [], [self._explain(value, error)] if explain else [], 0
        unknown = names - self._known
        if names.isdisjoint(self.sensors):
            if not explain:
                return [], [], 0
            # a machine whose every value is ignored must not look as if it ran well
            shown = ", ".join(sorted(unknown))[:_SHOWN]
            detail = f"{shown}: no sensor of this plant{looks_like(sorted(unknown), self.sensors)}"
            return [], [_refusal("no_known_sensor", f"{detail}; {_REMEDY['no_known_sensor']}", value)], 0
        if len(self._noticed) < _NOTICED:
            self._noticed.update(dict.fromkeys(unknown - self._noticed.keys(), False))
        return [reading], [], len(unknown)

    def new_unknown_names(self) -> list[str]:
        """Return each unknown name that readings had since the last call and never before, with what it looks like."""
        new = sorted(name for name, reported in self._noticed.items() if not reported)
        self._noticed.update(dict.fromkeys(new, True))
        return [f"{name[:_SHOWN]!r}{looks_like([name], self.sensors).replace(f', {name!r}', ',')}" for name in new]

    def _explain(self, value: bytes, error: Exception) -> Refusal:
        """Return the refusal of `value`, from pydantic's error with its type and place."""
        try:
            self.model.model_validate_json(value)
        except ValidationError as refused:
            # the sender's identity comes first: without it no other fault can be traced
            first = min(refused.errors(include_url=False), key=lambda item: _ORDER.get(str(item["loc"][:1]), 2))
            place = str(first["loc"][0]) if first["loc"] else ""
            reason = _reason(first["type"], place)
            shown = repr(first["input"])[:80]
            detail = f"{place or 'value'} = {shown}: {first['msg']}"
            return _refusal(reason, f"{detail}; {_REMEDY[reason]}", value)
        # NaN in a field that we ignore is all that pydantic takes and JSON does not
        return _refusal("not_json", f"{error}; {_REMEDY['not_json']}", value)


def _split_leniently(value: bytes) -> list[bytes] | None:
    """Return the elements of an array with NaN, which is not JSON, so that only the rows with NaN are refused."""
    try:
        elements = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return [json.dumps(element).encode() for element in elements]


_ORDER: Final = {"('machine_id',)": 0, "('timestamp',)": 1}
_REMEDY: Final[dict[DeadLetterReason, str]] = {
    "not_json": "send UTF-8 JSON",
    "too_large": "send fewer readings a message",
    "not_explained": "correct what its other dead letters name",
    "not_a_reading": "send an object with machine_id, timestamp and the plant's sensors, or an array of such objects",
    "not_a_history": "send machine_id, start (a whole hour) and energy_kwh, one number or null an hour",
    "machine_id_missing": "send the machine's name as machine_id",
    "machine_id_invalid": "send 1 to 128 characters as machine_id",
    "timestamp_missing": "send the time of measurement as timestamp",
    "timestamp_invalid": "send RFC 3339 with zone, as 2026-03-01T12:00:00Z",
    "sensor_wrong_type": "send a JSON number, null, or leave the sensor out",
    "sensor_not_finite": "send a finite number, null, or leave the sensor out",
    "no_known_sensor": "send the plant file's names of sensors, or add these to it",
}


def _reason(kind: str, place: str) -> DeadLetterReason:
    """Return the reason for a pydantic error of type `kind` at field `place`."""
    if kind == "json_invalid":
        return "not_json"
    if place == "machine_id":
        return "machine_id_missing" if kind in {"missing", "string_too_short"} else "machine_id_invalid"
    if place == "timestamp":
        return "timestamp_missing" if kind == "missing" else "timestamp_invalid"
    if kind == "finite_number":
        return "sensor_not_finite"
    return "sensor_wrong_type" if place else "not_a_reading"


def _refusal(reason: DeadLetterReason, detail: str, payload: bytes) -> Refusal:
    return Refusal(reason=reason, detail=detail, payload=payload)
