"""What all messages share: a version, frozen values, and time with a zone."""

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA_VERSION: Final = 1

_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


def _only_rfc3339(value: object) -> object:
    """Refuse what pydantic would guess: epoch numbers, dates without a time, times without seconds."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
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


class Message(BaseModel):
    """A value that travels on a topic. Frozen; unknown fields of a newer minor version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")

    schema_version: int = SCHEMA_VERSION

    def encode(self) -> bytes:
        """The message as UTF-8 JSON."""
        return self.model_dump_json().encode()
