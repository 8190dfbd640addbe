"""Parsing of plant files into a `Plant`, or into one line that names every broken rule."""

import tomllib
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.plant.plant import Plant
from core.plant.rules import PlantError


def parse_plant(text: str, *, source: str) -> Plant:
    """Return the plant described by the TOML `text`; source: its name in error messages.

    Raises:
        PlantError: the text is no TOML or breaks a rule; one line names every broken rule.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlantError(f"{source}: is not valid TOML: {error}; correct that place") from error
    try:
        return Plant.model_validate(document)
    except ValidationError as error:
        problems = [_sentence(detail) for detail in error.errors(include_url=False)]
        raise PlantError(f"{source}: {' | '.join(problems)}") from error


_REMEDIES: Mapping[str, str] = {
    "extra_forbidden": "remove the key or correct its spelling",
    "missing": "add the key",
}


def _sentence(detail: ErrorDetails) -> str:
    """Return one broken rule as `key = value: rule; remedy`."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    context = detail.get("ctx", {})
    rule = str(context.get("rule", detail["msg"][:1].lower() + detail["msg"][1:]))
    remedy = str(context.get("remedy", _REMEDIES.get(detail["type"], "correct the value")))
    value = detail["input"]
    # the content of a table is too long to show
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        shown = f" ({value['name']})"
    else:
        shown = "" if isinstance(value, dict | list | BaseModel) else f" = {value!r}"
    return f"{key or 'plant'}{shown}: {rule}; {remedy}"
