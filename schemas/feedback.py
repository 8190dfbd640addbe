"""Feedback: what people know better than the models."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.message import MachineId, Message, Timestamp

FeedbackKind = Literal[
    "acknowledged",
    "confirmed",
    "false_alarm",
    "expected",
    "snoozed",
    "new_normal",
    "maintenance_done",
    "failure",
    "withdrawn",
]


class Feedback(Message):
    """One statement of a person about a machine or an alert."""

    machine_id: MachineId
    kind: FeedbackKind
    at: Annotated[Timestamp, Field(description="When it happened or was said.")]
    alert_id: str | None = None
    until: Annotated[Timestamp | None, Field(description="End of a snooze or an expected condition.")] = None
    author: str | None = None
    comment: Annotated[str | None, Field(max_length=2000)] = None
