"""Locations of texts and values in a record: paths into a document, keys, headers, topics and templates."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from core.plant import Place
from core.sources.record import Raw, Unusable
from schemas.dead_letters import DeadLetterReason

Getter = Callable[[Any], Any]
"""Function from a document to the value at a path in it; None if there is none."""
TextOf = Callable[[Any, Any, Raw], str]
"""Function from an element, its enclosing document and their record to a text; raises Unusable."""

_SPECIAL: Final = re.compile(r"(\{machine_id\}|\{sensor\}|\+|#)")
_PATTERNS: Final = {
    "{machine_id}": "(?P<machine_id>[^/]+?)",
    "{sensor}": "(?P<sensor>.+)",
    "+": "[^/]*",
    "#": ".*",
}


def getter(path: tuple[str, ...]) -> Getter:
    """Return a function that gets the value at a path; a number among the keys is the index in a list."""
    if len(path) == 1:
        only = path[0]
        return lambda document: document.get(only) if type(document) is dict else _step(document, only)
    first, *others = path
    if len(others) == 1:
        second = others[0]

        def of_two(document: Any) -> Any:
            inner = document.get(first) if type(document) is dict else _step(document, first)
            return inner.get(second) if type(inner) is dict else _step(inner, second)

        return of_two

    def of_many(document: Any) -> Any:
        for key in path:
            document = document.get(key) if type(document) is dict else _step(document, key)
        return document

    return of_many


def inner_or_outer(path: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    """Return a function that looks a path up in an element, or else in its enclosing document."""
    get = getter(path)

    def find(element: Any, document: Any) -> Any:
        found = get(element)
        return get(document) if found is None and document is not element else found

    return find


def _step(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list | tuple) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    return None


def text_of(place: Place, *, what: str) -> TextOf:
    """Return a function that gets the text at a place; what: its name in errors (machine_id or tag)."""
    if place.where == "is":
        return lambda *_: place.name
    if place.where == "topic":
        return lambda _element, _document, raw: raw.topic
    return _text_at(place.path or (), what) if place.where == "path" else _text_of_metadata(place, what)


def _text_at(path: tuple[str, ...], what: str) -> TextOf:
    find, shown = inner_or_outer(path), ".".join(path)
    reason, remedy = _reason(what), f"see {what} of the source in the plant file"

    def of_path(element: Any, document: Any, _: Raw) -> str:
        found = find(element, document)
        if type(found) is str:
            return found
        # numeric ids become text
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if found is None:
            raise Unusable(reason, f"{shown}: there is no {what} in this message; {remedy}")
        raise Unusable(reason, f"{shown} = {found!r:.80}: a {what} must be text; {remedy}")

    return of_path


def _text_of_metadata(place: Place, what: str) -> TextOf:
    shown = "the record's key" if place.where == "key" else f"header {place.name}"
    reason, remedy = _reason(what), f"see {what} of the source in the plant file"

    def of_bytes(_element: Any, _document: Any, raw: Raw) -> str:
        found = raw.key if place.where == "key" else dict(raw.headers).get(place.name)
        if not found:
            raise Unusable(reason, f"{shown} is empty or missing, which gives the {what}; {remedy}")
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise Unusable(reason, f"{shown} = {found!r:.80}: is no UTF-8 text; {remedy}") from None

    return of_bytes


def _reason(what: str) -> DeadLetterReason:
    return "machine_id_missing" if what == "machine_id" else "no_known_sensor"


def pattern_of(template: str) -> re.Pattern[str]:
    """Return the pattern of a template: `+` matches a level, `#` the rest; {machine_id} and {sensor} are captured."""
    parts = [_PATTERNS.get(part) or re.escape(part) for part in _SPECIAL.split(template) if part]
    return re.compile("".join(parts))


def parts_of(template: str, text: str, pattern: re.Pattern[str], *, what: str) -> dict[str, str]:
    """Return the texts that a template captures; raises Unusable if it does not match."""
    match = pattern.fullmatch(text)
    if match is None:
        raise Unusable(
            _reason(what),
            f"{text!r:.80} does not fit the template {template}; correct {what} of the source in the plant file",
        )
    return match.groupdict()
