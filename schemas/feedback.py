"""Feedback: people's statements on alerts and machines."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.bounds import InputMachineId, InputTimestamp
from schemas.message import Message

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
    """One person's feedback on a machine or an alert."""

    machine_id: InputMachineId
    kind: FeedbackKind
    at: Annotated[InputTimestamp, Field(description="Time of the event or of the feedback.")]
    alert_id: Annotated[str | None, Field(max_length=200)] = None
    until: Annotated[InputTimestamp | None, Field(description="End of a snooze or an expected condition.")] = None
    author: Annotated[str | None, Field(max_length=200)] = None
    comment: Annotated[str | None, Field(max_length=2000)] = None
