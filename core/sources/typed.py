"""Fast reader of JSON sources: the mapping becomes a msgspec type, so that decoding, checks and look-up are one step.

It reads records that match the mapping exactly. Numbers as text, several documents, faults and qualities are left to
`core.sources.mapping`, which also explains what is wrong.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, Optional

import msgspec

from core.plant import Plant, Source
from core.sources.mapping import long_columns, machine_of, tag_parts, wide_columns
from core.sources.record import MappedReading, MappedValue, Raw, Unusable
from core.sources.times import PER_SECOND
from schemas.bounds import machine_id_fault

FastRead = Callable[[Raw], MappedReading | MappedValue | None]
"""Function from a record to its only reading or value; None where the general reader is needed."""

_FAILURES: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_LATEST: Final = 253_402_300_000
_MOST_TAGS: Final = 100_000
_NAN: Final = math.nan
make: Final = tuple.__new__  # a named tuple's own constructor takes three times as long
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
    leaves: dict[tuple[str, ...], Any] = {path: Optional[float] for _, path, *_ in columns}  # noqa: UP045
    leaves[source.time] = int
    in_text = machine.where == "path" and machine.template is None
    texts = [machine.path or ()] if in_text else []
    leaves |= dict.fromkeys(texts, str)
    made = _type_of(leaves, required={source.time, *texts})
    if made is None or len(leaves) != 1 + len(texts) + len(columns) or any(quality for *_, quality in columns):
        return None
    decode, place_of = msgspec.json.Decoder(made[0]).decode, made[1]
    get = attrgetter(place_of[source.time], *(place_of[path] for path in texts), *(place_of[one[1]] for one in columns))
    find, per_second = machine_of(source), PER_SECOND[source.time_format]
    scaled, latest = _scaler(columns, len(plant.sensors)), _LATEST * per_second

    def read(raw: Raw) -> MappedReading | None:
        try:
            if in_text:
                at, machine_id, *given = get(decode(raw.value))  # type: ignore[arg-type]
                if machine_id_fault(machine_id) is not None:
                    return None
            else:
                at, *given = get(decode(raw.value))  # type: ignore[arg-type]
                machine_id = find(None, None, raw)
        except (*_FAILURES, TypeError, AttributeError, Unusable):
            return None
        values = scaled(given)
        if values is None or not 0 <= at < latest:
            return None
        return make(MappedReading, (machine_id, at / per_second, values))

    return read


def _scaler(columns: Sequence[tuple[int, Any, float, float, Any]], width: int) -> Callable[[Any], list[float] | None]:
    """Return a function from sent values to a reading's values, (S,); it returns None if all are missing."""
    spots = [column for column, *_ in columns]
    in_order = spots == list(range(width))
    scales = [(factor, offset) for _, _, factor, offset, _ in columns]
    plain = all(scale == (1.0, 0.0) for scale in scales)

    def scaled(given: list[float | None]) -> list[float] | None:
        if None not in given:
            values: list[float] = given if plain else [v * f + o for v, (f, o) in zip(given, scales, strict=True)]  # type: ignore[assignment,operator]
        elif given.count(None) == len(given):
            return None  # the general reader finds out whether it names any sensor
        else:
            values = [_NAN if v is None else v * f + o for v, (f, o) in zip(given, scales, strict=True)]
        if in_order:
            return values
        full = [_NAN] * width
        for spot, value in zip(spots, values, strict=True):
            full[spot] = value
        return full

    return scaled


def _long(source: Source, plant: Plant) -> FastRead | None:
    tag = source.tag
    if tag is None or tag.where not in {"path", "topic"}:
        return None
    machine = None if "machine_id" in tag.captures else source.machine_place
    leaves: dict[tuple[str, ...], Any] = {source.value: Optional[float], source.time: int}  # noqa: UP045
    texts = [
        place.path or ()
        for place in (tag, machine)
        if place is not None and place.where == "path" and (place is tag or place.template is None)
    ]
    leaves |= dict.fromkeys(texts, str)
    made = _type_of(leaves, required={source.time, *texts})
    if made is None or len(leaves) != 2 + len(texts):
        return None
    decode, place_of = msgspec.json.Decoder(made[0]).decode, made[1]
    get = attrgetter(place_of[source.time], place_of[source.value], *(place_of[path] for path in texts))
    in_text = machine is not None and machine.where == "path" and machine.template is None
    find = None if machine is None or in_text else machine_of(source)
    resolve, of_topic = _Resolved(source, plant), tag.where == "topic"
    per_second, latest = PER_SECOND[source.time_format], _LATEST * PER_SECOND[source.time_format]

    def read(raw: Raw) -> MappedValue | None:
        try:
            at, value, *given = get(decode(raw.value))  # type: ignore[arg-type]
            machine_id, column, factor, offset = resolve[raw.topic if of_topic else given[0]]
            if in_text:
                machine_id = given[-1]
            elif find is not None:
                machine_id = find(None, None, raw)
        except (*_FAILURES, TypeError, AttributeError, Unusable, KeyError):
            return None
        if not 0 <= at < latest or (in_text and machine_id_fault(machine_id) is not None):
            return None
        number = _NAN if value is None else value * factor + offset
        return make(MappedValue, (machine_id, at / per_second, column, number))

    return read


class _Resolved(dict[str, tuple[str, int, float, float]]):
    """Cache of machine, column, factor and offset by tag; KeyError where a tag is no sensor of the source."""

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
            # a missing branch is left to the general reader: it is rarely correct
            fields.append((name, _struct(inner, (*path, key), f"{prefix}{name}.", places)))
            continue
        kind, needed = inner
        places[*path, key] = f"{prefix}{name}"
        fields.append((name, kind) if needed else (name, kind, None))
    fields.sort(key=len)
    return msgspec.defstruct("Message", fields, rename=names, frozen=True, gc=False)
