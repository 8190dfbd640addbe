"""Tables of the plant file's keys, rendered from the rules that check it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cli.docs.tables import kind_of, markdown_table
from core.plant import Plant


def plant_tables() -> str:
    """Return Markdown with a section for each table of a plant file: its keys with type, default and description."""
    document = Plant.model_json_schema()
    return "\n\n".join(_sections(document, document["$defs"], heading="top of the file", path=""))


def plant_keys() -> set[str]:
    """Return the path of each key, as `alerts.fleet.share`; keys of named sensors under `source.sensors`."""
    document = Plant.model_json_schema()
    return set(_paths(document, document["$defs"], path=""))


def _paths(table: Mapping[str, Any], parts: Mapping[str, Any], *, path: str) -> Iterator[str]:
    for name, body in table["properties"].items():
        yield f"{path}{name}"
        nested = _nested(body)
        if nested is not None:
            yield from _paths(parts[nested[0]], parts, path=f"{path}{name}.")


def _sections(table: Mapping[str, Any], parts: Mapping[str, Any], *, heading: str, path: str) -> Iterator[str]:
    required = set(table.get("required", ()))
    flat = {name: body for name, body in table["properties"].items() if _nested(body) is None}
    rows = [
        (f"`{name}`", _value(body), "required" if name in required else _default(body), body.get("description", ""))
        for name, body in flat.items()
    ]
    summary = table["description"].splitlines()[0]
    yield "\n\n".join([f"### {heading}", summary, markdown_table(("Key", "Type", "Default", "Description"), rows)])
    for name, body in table["properties"].items():
        nested = _nested(body)
        if nested is not None:
            part, form = nested
            title = form.format(f"{path}{name}")
            yield from _sections(parts[part], parts, heading=title, path=f"{path}{name}.")


def _nested(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the part that a key leads to, and the form of its heading in TOML; None for plain values."""
    for option in (body, *body.get("anyOf", ())):
        for inner, form in (
            (option, "`[{}]`"),
            (option.get("items", {}), "`[[{}]]`"),
            (option.get("additionalProperties", {}), "`[{}.NAME]`"),
        ):
            part = inner.get("$ref", "").rpartition("/")[2] if isinstance(inner, dict) else ""
            if part:
                return part, form
    return None


def _value(body: Mapping[str, Any]) -> str:
    options = [option for option in body.get("anyOf", (body,)) if option.get("type") != "null"]
    return " or ".join(kind_of(option) for option in options)


def _default(body: Mapping[str, Any]) -> str:
    default = body.get("default")
    return "" if default is None else f"`{json.dumps(default)}`"
