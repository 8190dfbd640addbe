"""DeadLetter: a message that could not be used, kept with its reason."""

import base64
from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import Base64Bytes, Field

from schemas.message import Message, Part, Timestamp

DeadLetterReason = Literal[
    "null_value",
    "empty_value",
    "too_large",
    "not_json",
    "not_a_reading",
    "not_a_history",
    "not_a_feedback",
    "not_an_input",
    "not_explained",
    "too_many_machines",
    "machine_id_missing",
    "machine_id_invalid",
    "timestamp_missing",
    "timestamp_invalid",
    "timestamp_out_of_range",
    "sensor_wrong_type",
    "sensor_not_finite",
    "no_known_sensor",
    "not_assessed",
    "refused_by_receiver",
]
PAYLOAD_LIMIT: Final = 64 * 1024


class Source(Part):
    """Position at which a record was read."""

    topic: str
    partition: int
    offset: int


class DeadLetter(Message):
    """A refused message, with the details needed to find and correct its sender."""

    source: Source
    reason: DeadLetterReason
    detail: Annotated[str, Field(description="The value, the rule and the remedy, in one sentence.")]
    payload: Annotated[Base64Bytes, Field(description="The refused bytes in base64, cut at 64 KiB.")]
    payload_bytes: Annotated[int, Field(ge=0, description="True size of the payload.")]
    failed_at: Timestamp

    @classmethod
    def of(
        cls,
        source: Source,
        *,
        reason: DeadLetterReason,
        detail: str,
        payload: bytes | None,
        failed_at: datetime,
    ) -> Self:
        """Return a dead letter for `payload`, cut to the limit."""
        raw = payload or b""
        return cls(
            source=source,
            reason=reason,
            detail=detail,
            payload=base64.b64encode(raw[:PAYLOAD_LIMIT]),
            payload_bytes=len(raw),
            failed_at=failed_at,
        )

    @property
    def key(self) -> str:
        """The record key: source topic and partition."""
        return f"{self.source.topic}/{self.source.partition}"
