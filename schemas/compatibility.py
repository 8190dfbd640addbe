"""Compatibility of a JSON Schema with an earlier one, for the programs that rely on it; pure.

In messages that we *send*, fields may be added, but none may be removed, change its type, or gain values unknown to
readers. In messages that we *receive*, nothing new may be required, and nothing accepted before may be refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Document = Mapping[str, Any]
Direction = Literal["sent", "received"]
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def breaking_changes(before: Document, after: Document, direction: Direction) -> tuple[str, ...]:
    """Return each breaking change from `before` to `after`, as "path: what"; empty if there is none."""
    return tuple(_compare(before, after, "", _Comparison(direction=direction, old=before, new=after)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """The two documents, which references lead into, and who relies on them."""

    direction: Direction
    old: Document
    new: Document


def _compare(before: Document, after: Document, path: str, whole: _Comparison) -> Iterator[str]:
    old, new, direction = _resolved(before, whole.old), _resolved(after, whole.new), whole.direction
    where = path or "the message"
    yield from _types(old, new, direction, where)
    yield from _values(old, new, direction, where)
    if direction == "received":
        yield from _bounds(old, new, where)
    yield from _fields(old, new, path, whole)
    if "items" in old and "items" in new:
        yield from _compare(old["items"], new["items"], f"{path}[]", whole)


def _types(old: Document, new: Document, direction: Direction, where: str) -> Iterator[str]:
    was, now = _type_set(old), _type_set(new)
    if not was or not now:
        return
    wider, narrower = now - was, was - now
    if direction == "sent" and wider:
        yield f"{where}: may now be {', '.join(sorted(wider))}, which readers do not expect"
    if direction == "received" and narrower:
        yield f"{where}: {', '.join(sorted(narrower))} is no longer accepted"


def _values(old: Document, new: Document, direction: Direction, where: str) -> Iterator[str]:
    was, now = old.get("enum"), new.get("enum")
    if was is None:
        return
    if direction == "sent" and (now is None or set(now) - set(was)):
        added = "any value" if now is None else ", ".join(sorted(map(str, set(now) - set(was))))
        yield f"{where}: may now be {added}, which readers do not know"
    if direction == "received" and now is not None and set(was) - set(now):
        yield f"{where}: {', '.join(sorted(map(str, set(was) - set(now))))} is no longer accepted"


def _bounds(old: Document, new: Document, where: str) -> Iterator[str]:
    for name in _LOWER:
        if name in new and new[name] > old.get(name, float("-inf")):
            yield f"{where}: {name} rose to {new[name]}"
    for name in _UPPER:
        if name in new and new[name] < old.get(name, float("inf")):
            yield f"{where}: {name} fell to {new[name]}"


def _fields(old: Document, new: Document, path: str, whole: _Comparison) -> Iterator[str]:
    was, now = old.get("properties", {}), new.get("properties", {})
    for name, schema in was.items():
        place = f"{path}.{name}" if path else name
        if name not in now:
            yield f"{place}: is gone"
        else:
            yield from _compare(schema, now[name], place, whole)
    demanded_before, demanded = set(old.get("required", ())), set(new.get("required", ()))
    changed = demanded - demanded_before if whole.direction == "received" else (demanded_before - demanded) & set(now)
    for name in sorted(changed):
        place = f"{path}.{name}" if path else name
        yield f"{place}: {'is now demanded' if whole.direction == 'received' else 'may now be missing'}"


def _resolved(schema: Document, root: Document) -> Document:
    """Follow a reference, and reduce "X or null" to X with null among its types."""
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return _resolved(found, root)
    options: Sequence[Document] = schema.get("anyOf", ())
    others = [_resolved(one, root) for one in options if one.get("type") != "null"]
    if len(others) == 1:
        nullable = len(others) < len(options)
        return {**others[0], "nullable": nullable}
    return schema


def _type_set(schema: Document) -> set[str]:
    """Return the JSON types that a schema allows; empty if it does not state any."""
    said = schema.get("type")
    types = {said} if isinstance(said, str) else set(said or ())
    if not types and "enum" in schema:
        kinds = {str: "string", type(None): "null"}
        types = {kinds.get(type(value), "number") for value in schema["enum"]}
    for option in schema.get("anyOf", ()):
        types |= _type_set(option)
    if schema.get("nullable"):
        types.add("null")
    # every integer is a number: a reader of numbers reads it
    return types | ({"integer"} if "number" in types else set())
