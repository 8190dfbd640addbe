"""What all messages share: a version, frozen values, and time with a zone."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA_VERSION: Final = 1

_Zoned: Final = Annotated[datetime, msgspec.Meta(tz=True)]


def _only_rfc3339(value: object) -> object:
    """Reads text as the fast decoder does, so that both agree on what a timestamp is.

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
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of a message. Frozen; unknown fields of a newer minor version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Message(Part):
    """A value that travels on a topic of its own."""

    schema_version: int = SCHEMA_VERSION

    def encode(self) -> bytes:
        """The message as UTF-8 JSON."""
        return self.model_dump_json().encode()
