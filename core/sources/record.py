"""Input and output of sources: a record of a foreign topic, and the readings or single values in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from schemas.codec import Refusal
from schemas.dead_letters import DeadLetterReason


class Raw(NamedTuple):
    """A record as its sender wrote it. written_at: the broker's time of it, epoch s."""

    value: bytes | None
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]
    topic: str
    written_at: float


class MappedReading(msgspec.Struct, frozen=True, gc=False):
    """A reading: seconds since 1970, and the values in the plant's order and units, NaN where missing."""

    machine_id: str
    seconds: float
    values: list[float]


class MappedValue(msgspec.Struct, frozen=True, gc=False):
    """One value of a long source, in the plant's unit; NaN where missing. column: of the sensor."""

    machine_id: str
    seconds: float
    column: int
    value: float


@dataclass(slots=True, kw_only=True)
class Mapped:
    """Content of one record. ignored: tags that are no sensor of the source. bad: values dropped for their quality."""

    readings: list[MappedReading] = field(default_factory=list)
    values: list[MappedValue] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    bad: int = 0


class Unusable(Exception):
    """A part of a message that breaks a rule; detail: the value, the rule and the remedy in one line."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: DeadLetterReason = reason
        self.detail = detail


Documents = Callable[[Raw], Sequence[object]]
"""Function from a record to its documents, as plain objects; raises Unusable."""
