"""The base of all parts of a plant file, and the rules that several of them share."""

from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError


class PlantError(ValueError):
    """A plant file that cannot be used; the message names file, key, value, rule and remedy."""


def broken(rule: str, remedy: str) -> PydanticCustomError:
    """Return an error for a broken rule, in the form that `core.plant.parsing` turns into a sentence."""
    return PydanticCustomError("plant_rule", "{rule}", {"rule": rule, "remedy": remedy})


def ordered(**values: float | None) -> None:
    """Check that the values which are given do not fall from left to right."""
    given = [(name, value) for name, value in values.items() if value is not None]
    for (lower, low), (upper, high) in pairwise(given):
        if low > high:
            raise broken(f"{lower} ({low:g}) must not be above {upper} ({high:g})", "correct one of the two")


def unique(what: str, names: list[Any]) -> None:
    """Check that no name occurs twice; `what` says in the message what is named."""
    for name in names:
        if names.count(name) > 1:
            raise broken(f"{what} {name!r} is there {names.count(name)} times", "keep one of them")


def known_timezone(name: str) -> str:
    """Return `name` if it is an IANA time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:  # unknown; a folder; no legal name
        raise broken("must be an IANA time zone", 'write for example "Europe/Berlin" or "UTC"') from error
    return name


def check_region(region: str) -> None:
    """Check that the holidays of a country or region are known."""
    from holidays.utils import list_supported_countries  # noqa: PLC0415  most plants name none

    country, _, part = region.partition("-")
    known = list_supported_countries()
    if country not in known or (part and part not in known[country]):
        raise broken(f"holidays of {region!r} are not known", 'write a country as "DE", with a region as "DE-BY"')


Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Pattern = Annotated[str, StringConstraints(min_length=1)]
TimezoneName = Annotated[str, AfterValidator(known_timezone)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PlantModel(BaseModel):
    """What all parts of a plant file have in common: unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
