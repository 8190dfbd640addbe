"""Compilation of a source of the plant file into functions that are called for each record."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from core.plant import Place, Plant, Sensor, Source, SourceSensor
from core.sources.places import getter, inner_or_outer, parts_of, pattern_of, text_of
from core.sources.record import Documents, Mapped, MappedReading, MappedValue, Raw, Unusable
from core.sources.times import seconds_of
from core.sources.values import GOOD, UNCERTAIN, number_of, quality_of
from schemas.bounds import MOST_ID_LENGTH, machine_id_fault
from schemas.codec import MOST_EXPLAINED, MOST_READINGS, Refusal
from schemas.dead_letters import DeadLetterReason
from schemas.near_names import looks_like

MapRecord = Callable[[Raw], Mapped]
_Add = Callable[[Any, Any, Raw, Mapped], None]
_MOST_TAGS: Final = 100_000
_SHOWN: Final = 200


def compile_source(source: Source, plant: Plant, documents: Documents) -> MapRecord:
    """Return a function that maps a record to readings, or to values of a long source; it never raises."""
    add = _long(source, plant) if source.form == "long" else _wide(source, plant)
    elements_of = _elements(source)

    def read(raw: Raw) -> Mapped:
        found = Mapped()
        if not raw.value:
            reason: DeadLetterReason = "null_value" if raw.value is None else "empty_value"
            found.refused.append(_refusal(Unusable(reason, "the record has no value; send a reading"), b""))
            return found
        try:
            for document in documents(raw):
                for element in elements_of(document):
                    try:
                        add(element, document, raw, found)
                    except Unusable as fault:
                        _keep(fault, element, found)
        except Unusable as fault:
            found.refused.append(_refusal(fault, raw.value))
        return found

    return read


def _elements(source: Source) -> Callable[[Any], list[Any]]:
    if source.each is None:
        return lambda document: [document]
    get, shown = getter(source.each), ".".join(source.each)

    def find(document: Any) -> list[Any]:
        found = get(document)
        if not isinstance(found, list):
            raise Unusable("not_a_reading", f"{shown}: there is no list in this message; see each of the source")
        if len(found) > MOST_READINGS:
            detail = f"{len(found)} elements is above the limit of {MOST_READINGS}; send fewer in a message"
            raise Unusable("too_large", detail)
        return found

    return find


def _wide(source: Source, plant: Plant) -> _Add:
    machine = machine_of(source)
    time, seconds = inner_or_outer(source.time), seconds_of(source, zone=plant.timezone)
    quality = None if source.quality is None else inner_or_outer(source.quality)
    is_usable = _usable_quality(source)
    mapped = wide_columns(source, plant)
    columns = [
        (column, getter(path), number_of(source, ".".join(path)), factor, offset, getter(own) if own else None)
        for column, path, factor, offset, own in mapped
    ]
    width, tops = len(plant.sensors), tuple(path[0] for _, path, *_ in mapped)

    def add(element: Any, document: Any, raw: Raw, found: Mapped) -> None:
        if not isinstance(element, dict):
            raise Unusable("not_a_reading", f"{element!r:.80} is no object; send an object with names and values")
        machine_id = machine(element, document, raw)
        at = seconds(time(element, document), raw)
        values = [math.nan] * width
        if quality is not None and not is_usable(quality(element, document)):
            found.bad += len(columns)
            found.readings.append(MappedReading(machine_id, at, values))
            return
        said = False
        for column, get, read, factor, offset, own_quality in columns:
            value = get(element)
            if value is None:
                continue
            said = True
            if own_quality is not None and not is_usable(own_quality(element)):
                found.bad += 1
                continue
            values[column] = read(value) * factor + offset
        if not said and not any(top in element for top in tops):
            names = sorted(str(name) for name in element)
            detail = f"{', '.join(names)[:_SHOWN]}: no sensor of this source{looks_like(names, tops)}"
            raise Unusable("no_known_sensor", f"{detail}; write these in sensors of the source")
        found.readings.append(MappedReading(machine_id, at, values))

    return add


def wide_columns(
    source: Source, plant: Plant
) -> list[tuple[int, tuple[str, ...], float, float, tuple[str, ...] | None]]:
    """Return column, path, factor, offset and the quality's path of each sensor that a wide source has."""
    found = []
    for column, sensor, given, factor, offset in _mapped_sensors(source, plant):
        path = (sensor.name,) if given is None or given.path is None else given.path
        found.append((column, path, factor, offset, None if given is None else given.quality))
    return found


def long_columns(source: Source, plant: Plant) -> dict[str, tuple[int, float, float]]:
    """Return column, factor and offset of each tag that a long source has."""
    found = {}
    for column, sensor, given, factor, offset in _mapped_sensors(source, plant):
        tag = sensor.name if given is None or given.tag is None else given.tag
        found[tag] = (column, factor, offset)
    return found


def _mapped_sensors(source: Source, plant: Plant) -> Iterator[tuple[int, Sensor, SourceSensor | None, float, float]]:
    """Yield column, sensor, its part of the source, factor and offset of each sensor that a source has."""
    for column, sensor in enumerate(plant.sensors):
        given = source.sensors.get(sensor.name)
        if sensor.formula is None and (given is not None or not source.sensors):
            yield column, sensor, given, *((1.0, 0.0) if given is None else given.scale(sensor.unit))


def _usable_quality(source: Source) -> Callable[[Any], bool]:
    """Return the function that says whether values of a sent quality are used; raises Unusable."""
    level_of, accepted = quality_of(source), (GOOD, UNCERTAIN) if source.uncertain == "use" else (GOOD,)
    return lambda value: level_of(value) in accepted


def _long(source: Source, plant: Plant) -> _Add:
    tag = source.tag or Place(where="path", path=("tag",))
    tag_text = text_of(tag, what="tag")
    locate = tag_parts(source)
    machine = None if "machine_id" in tag.captures else machine_of(source)
    value_of = inner_or_outer(source.value)
    time, seconds = inner_or_outer(source.time), seconds_of(source, zone=plant.timezone)
    quality = None if source.quality is None else inner_or_outer(source.quality)
    is_usable = _usable_quality(source)
    columns = {
        name: (column, number_of(source, name), factor, offset)
        for name, (column, factor, offset) in long_columns(source, plant).items()
    }

    def add(element: Any, document: Any, raw: Raw, found: Mapped) -> None:
        if not isinstance(element, dict):
            raise Unusable("not_a_reading", f"{element!r:.80} is no object; send an object with tag and value")
        name, of_tag = locate(tag_text(element, document, raw))
        known = columns.get(name)
        if known is None:
            found.ignored.append(name)
            return
        column, read, factor, offset = known
        machine_id = of_tag if machine is None else machine(element, document, raw)
        at = seconds(time(element, document), raw)
        if quality is not None and not is_usable(quality(element, document)):
            found.bad += 1
            found.values.append(MappedValue(machine_id, at, column, math.nan))
            return
        found.values.append(MappedValue(machine_id, at, column, read(value_of(element, document)) * factor + offset))

    return add


def tag_parts(source: Source) -> Callable[[str], tuple[str, str]]:
    """Return the function that splits a tag into the sensor's name there and the machine ("" where it has none)."""
    tag = source.tag
    if tag is None or tag.template is None:
        return lambda text: (text, "")
    template, pattern = tag.template, pattern_of(tag.template)
    known: dict[str, tuple[str, str]] = {}

    def split(text: str) -> tuple[str, str]:
        found = known.get(text)
        if found is not None:
            return found
        parts = parts_of(template, text, pattern, what="tag")
        machine_id = parts.get("machine_id", "")
        if machine_id:
            _check(machine_id)
        if len(known) < _MOST_TAGS:
            known[text] = parts["sensor"], machine_id
        return parts["sensor"], machine_id

    return split


def machine_of(source: Source) -> Callable[[Any, Any, Raw], str]:
    """Return the function that finds the machine's name, and checks it; raises Unusable."""
    place = source.machine_place
    text = text_of(place, what="machine_id")
    template = place.template
    pattern = None if template is None else pattern_of(template)

    def find(element: Any, document: Any, raw: Raw) -> str:
        found = text(element, document, raw)
        if pattern is not None and template is not None:
            found = parts_of(template, found, pattern, what="machine_id")["machine_id"]
        _check(found)
        return found

    return find


def _check(machine_id: str) -> None:
    fault = machine_id_fault(machine_id)
    if fault is not None:
        raise Unusable(
            "machine_id_invalid",
            f"machine_id = {machine_id!r:.80}: a machine's name {fault}; send 1 to {MOST_ID_LENGTH} printable "
            "characters without spaces around them",
        )


def _keep(fault: Unusable, element: object, found: Mapped) -> None:
    """Record the refusal of an element; after the first ones, refusals are counted only."""
    if len(found.refused) < MOST_EXPLAINED:
        found.refused.append(_refusal(fault, _written(element)))
        return
    last = found.refused[-1]
    more = last.count + 1 if last.reason == "not_explained" else 1
    if last.reason == "not_explained":
        found.refused.pop()
    detail = f"{more} more readings of this message were refused; correct what its other dead letters name"
    found.refused.append(Refusal(reason="not_explained", detail=detail, payload=b"", count=more))


def _written(element: object) -> bytes:
    try:
        return msgspec.json.encode(element)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return repr(element).encode()


def _refusal(fault: Unusable, payload: bytes) -> Refusal:
    return Refusal(reason=fault.reason, detail=fault.detail, payload=payload)
