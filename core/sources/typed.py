"""Fast reader of JSON sources: the mapping becomes a msgspec type and an expression.

The decoder of the type checks and finds values in one step, and the expression scales and orders them. It reads records
that match the mapping exactly. Several documents, faults and qualities are left to `core.sources.mapping`, which also
explains what is wrong.
"""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Optional

import msgspec

from core.plant import Plant, Source
from core.sources.mapping import long_columns, machine_of, tag_parts, wide_columns
from core.sources.record import MappedReading, MappedValue, Raw, Unusable
from core.sources.times import PER_SECOND
from schemas.bounds import machine_id_fault

FastRead = Callable[[Raw], MappedReading | MappedValue | None]
"""Function from a record to its only reading or value; None where the general reader is needed."""

_FAILURES: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
_LARGEST: Final = sys.float_info.max
_LATEST: Final = 253_402_300_000
_MOST_TAGS: Final = 100_000
_NAN: Final = math.nan
_Value = Optional[Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]]  # noqa: UP045  text may say infinity
_Tree = dict[str, Any]


def typed_reader(source: Source, plant: Plant) -> FastRead | None:
    """Return the fast reader of a source; None where its mapping has none."""
    plain = source.format == "json" and source.each is None and source.quality is None
    number_time = source.time_format in PER_SECOND and source.time != ("kafka",)
    if not plain or not number_time:
        return None
    return _long(source, plant) if source.form == "long" else _wide(source, plant)


def _wide(source: Source, plant: Plant) -> FastRead | None:
    columns = wide_columns(source, plant)
    machine = source.machine_place
    leaves: dict[tuple[str, ...], Any] = {path: _Value for _, path, *_ in columns}
    leaves[source.time] = int
    in_text = machine.where == "path" and machine.template is None
    texts = [machine.path or ()] if in_text else []
    leaves |= dict.fromkeys(texts, str)
    made = _type_of(leaves, required={source.time, *texts})
    if made is None or len(leaves) != 1 + len(texts) + len(columns) or any(quality for *_, quality in columns):
        return None
    kind, place_of = made
    decode, find, per_second = _number_decoder(kind, source), machine_of(source), PER_SECOND[source.time_format]
    parts = {
        column: (f"m.{place_of[path]}", f"* {factor!r} + {offset!r}") for column, path, factor, offset, _ in columns
    }
    every = {column: f"{value} {scale}" for column, (value, scale) in parts.items()}
    some = {column: f"nan if {value} is None else {value} {scale}" for column, (value, scale) in parts.items()}
    names, width = set[str](), len(plant.sensors)

    def reading(values: Mapping[int, str]) -> Callable[[Any, str | None], MappedReading]:
        name, listed = (
            f"m.{place_of[texts[0]]}" if in_text else "name",
            (values.get(one, "nan") for one in range(width)),
        )
        return _expression(f"Reading({name}, m.{place_of[source.time]} / {per_second}, [{', '.join(listed)}])")

    whole, holes = reading(every), reading(some)
    has_none = _expression(" is ".join([*(value for value, _ in parts.values()), "None"]))

    def read(raw: Raw) -> MappedReading | None:
        try:
            message = decode(raw[0])
            name = None if in_text else find(None, None, raw)
            try:
                found = whole(message, name)
            except TypeError:  # a value is missing
                if has_none(message, name):
                    return None  # the general reader finds out whether it names any sensor
                found = holes(message, name)
        except (*_FAILURES, TypeError, Unusable):
            return None
        if 0 <= found.seconds < _LATEST and (found.machine_id in names or _is_name(found.machine_id, names)):
            return found
        return None

    return read


def _is_name(machine_id: str, known: set[str]) -> bool:
    """Return whether a machine can have this name, and add it to the `known` ones."""
    if machine_id_fault(machine_id) is not None:
        return False
    if len(known) < _MOST_TAGS:
        known.add(machine_id)
    return True


def _expression(text: str, **known: Any) -> Callable[[Any, str | None], Any]:
    """Return a function of a message, `m`, and a name from beside it, and of what is `known`.

    Its text holds numbers, and attributes that `_struct` named.
    """
    known |= {"nan": _NAN, "inf": math.inf, "Reading": MappedReading, "Value": MappedValue, "__builtins__": {}}
    made: Callable[[Any, str | None], Any] = eval(f"lambda m, name: {text}", known)  # noqa: S307  nothing a user wrote
    return made


def _number_decoder(kind: type[msgspec.Struct], source: Source) -> Callable[[Any], Any]:
    """Return a decoder of messages that changes to numbers as text when a sender first writes one.

    Text with another possible meaning is left to the general reader: decimal commas, and words for missing values other
    than null and NaN.
    """
    strict = msgspec.json.Decoder(kind).decode
    lax = msgspec.json.Decoder(kind, strict=False).decode
    words = {word.strip().lower() for word in source.missing}
    if source.decimal == "," or not words >= {"nan", "null"} or any(map(_is_number, words - {"nan"})):
        return strict
    chosen = strict

    def decode(value: Any) -> Any:
        nonlocal chosen
        try:
            found = chosen(value)
        except msgspec.ValidationError:
            if chosen is lax:
                raise
            found = lax(value)
            chosen = lax
        return found

    return decode


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _long(source: Source, plant: Plant) -> FastRead | None:
    tag = source.tag
    if tag is None or tag.where not in {"path", "topic"}:
        return None
    machine = None if "machine_id" in tag.captures else source.machine_place
    leaves: dict[tuple[str, ...], Any] = {source.value: _Value, source.time: int}
    texts = [
        place.path or ()
        for place in (tag, machine)
        if place is not None and place.where == "path" and (place is tag or place.template is None)
    ]
    leaves |= dict.fromkeys(texts, str)
    made = _type_of(leaves, required={source.time, *texts})
    if made is None or len(leaves) != 2 + len(texts):
        return None
    decode, place_of, per_second = _number_decoder(made[0], source), made[1], PER_SECOND[source.time_format]
    in_text = machine is not None and machine.where == "path" and machine.template is None
    find = None if machine is None or in_text else machine_of(source)
    if tag.where == "topic" and find is not None:
        return None  # only one name from beside the message
    resolve, of_topic, names = _Resolved(source, plant), tag.where == "topic", set[str]()
    machine_id = f"m.{place_of[texts[-1]]}" if in_text else "r[0]" if find is None else "name"
    text = "name" if of_topic else f"m.{place_of[texts[0]]}"
    value_of = _expression(
        f"(r := resolve[{text}]) and Value({machine_id}, m.{place_of[source.time]} / {per_second}, r[1], "
        f"m.{place_of[source.value]} * r[2] + r[3])",
        resolve=resolve,
    )

    def read(raw: Raw) -> MappedValue | None:
        try:
            name = raw.topic if of_topic else None if find is None else find(None, None, raw)
            found: MappedValue = value_of(decode(raw[0]), name)
        except (*_FAILURES, TypeError, Unusable, KeyError):
            return None
        if not 0 <= found.seconds < _LATEST:
            return None
        if in_text and found.machine_id not in names and not _is_name(found.machine_id, names):
            return None
        return found

    return read


class _Resolved(dict[str, tuple[str, int, float, float]]):
    """Tags that were seen: machine, column, factor and offset. A KeyError where a tag is no sensor of the source."""

    def __init__(self, source: Source, plant: Plant) -> None:
        super().__init__()
        self._split, self._columns = tag_parts(source), long_columns(source, plant)

    def __missing__(self, tag: str) -> tuple[str, int, float, float]:
        name, machine_id = self._split(tag)
        found = (machine_id, *self._columns[name])
        if len(self) < _MOST_TAGS:
            self[tag] = found
        return found


def _type_of(
    leaves: Mapping[tuple[str, ...], Any], *, required: set[tuple[str, ...]]
) -> tuple[type[msgspec.Struct], dict[tuple[str, ...], str]] | None:
    """Return a type with these leaves, and the attribute's name of each; None where one path leads through another."""
    tree: _Tree = {}
    for path, kind in leaves.items():
        node = tree
        for key in path[:-1]:
            if key.isdigit() or not isinstance(node.setdefault(key, {}), dict):
                return None
            node = node[key]
        if path[-1] in node or path[-1].isdigit():
            return None
        node[path[-1]] = (kind, path in required)
    places: dict[tuple[str, ...], str] = {}
    return _struct(tree, (), "", places), places


def _struct(
    tree: _Tree, path: tuple[str, ...], prefix: str, places: dict[tuple[str, ...], str]
) -> type[msgspec.Struct]:
    fields: list[Any] = []
    names: dict[str, str] = {}
    for number, (key, inner) in enumerate(tree.items()):
        name = f"f{number}"
        names[name] = key
        if isinstance(inner, dict):
            # a missing branch is left to the general reader: it may be right, but seldom is
            fields.append((name, _struct(inner, (*path, key), f"{prefix}{name}.", places)))
            continue
        kind, needed = inner
        places[*path, key] = f"{prefix}{name}"
        fields.append((name, kind) if needed else (name, kind, None))
    fields.sort(key=len)
    return msgspec.defstruct("Message", fields, rename=names, frozen=True, gc=False)
