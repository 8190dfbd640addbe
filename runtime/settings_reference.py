"""Reference of the settings: `.env.example` and the table of the docs, generated from the fields.

`python -m runtime.settings_reference` writes `.env.example`; a test checks that it is up to date.
"""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from runtime.settings import PREFIX, Settings, bare_names, variable_name

_FILE: Final = ".env.example"
_HEADER: Final = f"""\
# Settings of Nexova, with their defaults. Copy this file to .env and take the # away from what you change; variables
# of the environment win over the file. Made by `python -m runtime.settings_reference`.
#
# {", ".join(sorted(bare_names()))} also work without {PREFIX}.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One setting: its variable, its default as text (empty: not set), its rule, and its description."""

    section: str
    variable: str
    default: str
    rule: str
    description: str


def setting_rows() -> tuple[SettingRow, ...]:
    """Return a row for each setting, in the order of the code, the nested ones last."""
    rows = tuple(_rows(Settings, ()))
    return tuple(sorted(rows, key=lambda row: row.section))


def settings_table() -> str:
    """Return the settings as the rows of a Markdown table, with its head."""
    lines = ["| variable | default | rule | description |", "|---|---|---|---|"]
    for row in setting_rows():
        default = f"`{row.default}`" if row.default else ""
        cells = (f"`{row.variable}`", default, row.rule, row.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """Return the text of `.env.example`: each setting with its description, rule and default, all commented out."""
    lines = [_HEADER]
    section = ""
    for row in setting_rows():
        if row.section != section:
            section = row.section
            lines.append(f"\n# {section.capitalize()}\n")
        rule = f" ({row.rule})" if row.rule else ""
        lines.append(f"# {row.description}{rule}\n#{row.variable}={row.default}\n")
    return "\n".join(lines)


def _rows(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[SettingRow]:
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from _rows(nested, (*path, name))
            continue
        variable = variable_name((*path, name))
        yield SettingRow(
            section=" ".join(path),
            variable=variable if variable.startswith(PREFIX) else PREFIX + variable,
            default=_text(field.default),
            rule=_rule(field),
            description=field.description or "",
        )


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rule(field: FieldInfo) -> str:
    """Return bounds such as `1 to 64` or `above 0, to 60`; empty if every value of the type is valid."""
    choices = [choice for choice in _choices(field.annotation) if choice is not None]
    if choices:
        return ", ".join(str(choice) for choice in choices)
    parts = []
    for bound in field.metadata:
        match bound:
            case Ge(ge=value):
                parts.append(f"from {_number(value)}")
            case Gt(gt=value):
                parts.append(f"above {_number(value)}")
            case Le(le=value):
                parts.append(f"to {_number(value)}")
            case Lt(lt=value):
                parts.append(f"below {_number(value)}")
            case _:
                pass
    return " ".join(parts) or _kind(field.annotation)


def _number(value: Any) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(choice for part in get_args(annotation) for choice in _choices(part))
    return ()


def _kind(annotation: Any) -> str:
    kinds = {bool: "true or false", Path: "path", SecretStr: "secret", str: "text"}
    parts = get_args(annotation) or (annotation,)
    return next((kinds[part] for part in parts if part in kinds), "")


if __name__ == "__main__":
    Path(_FILE).write_text(env_example(), encoding="utf-8")
