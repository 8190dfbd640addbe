"""Base of all messages: a version, frozen values, times with a zone, and numbers of a stated precision."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import to_json

from schemas.rounding import cut_score, round_quantity

SCHEMA_VERSION: Final = 1

_Zoned: Final = Annotated[datetime, msgspec.Meta(tz=True)]


def _only_rfc3339(value: object) -> object:
    """Accept the timestamps of the fast decoder only, so that both agree.

    What pydantic would guess is refused: epoch numbers, dates without a time, times without seconds.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return msgspec.convert(value, _Zoned)
        except msgspec.ValidationError:
            pass
    raise ValueError("expected an RFC 3339 timestamp with seconds and zone")


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_only_rfc3339),
    # what is not strict here is made strict by the validator above, which JSON strings must pass too
    Field(strict=False, description="Instant in RFC 3339 with zone; a naive one is refused."),
]
MachineId = Annotated[str, Field(min_length=1, max_length=128, description="Name of the machine.")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
_InUnit = Annotated[float, Field(ge=0, le=1)]
_InRisk = Annotated[float, Field(ge=0, le=3)]
_NotNegative = Annotated[float, Field(ge=0)]

# each states its bounds twice: the second time for the JSON Schema of what is sent
Share = Annotated[_InUnit, PlainSerializer(cut_score, return_type=_InUnit, when_used="json")]
"""Score, share or probability in [0, 1]."""
Risk = Annotated[_InRisk, PlainSerializer(cut_score, return_type=_InRisk, when_used="json")]
"""Level of wear: 0 above 7 days to failure, 1, 2 and 3 at 7, 3 and 1 days."""
Quantity = Annotated[float, PlainSerializer(round_quantity, return_type=float, when_used="json")]
"""Number in the unit of a sensor, of energy, or without one."""
Amount = Annotated[_NotNegative, PlainSerializer(round_quantity, return_type=_NotNegative, when_used="json")]
"""Quantity that is never negative."""


class Part(BaseModel):
    """A part of a message. Frozen; unknown fields of a newer minor version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Message(Part):
    """A value of a topic of its own."""

    schema_version: int = SCHEMA_VERSION

    def encode(self) -> bytes:
        """Return the message as UTF-8 JSON, as it is sent: numbers have the digits of `schemas.rounding`."""
        return self.model_dump_json().encode()

    def encode_exact(self) -> bytes:
        """Return the message as UTF-8 JSON with all digits, for saved state."""
        return to_json(self.model_dump(), inf_nan_mode="null")
