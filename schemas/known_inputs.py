"""KnownInput: hours of an input known in advance, such as a production plan."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field, field_validator

from schemas.bounds import InputMachineId, InputTimestamp
from schemas.history import MOST_HOURS
from schemas.message import Message, Quantity

MOST_NAME: Final = 64
MOST_VALUE: Final = 1e9
"""Of an input, to either side; in any unit."""
InputValue = Annotated[Quantity, Field(ge=-MOST_VALUE, le=MOST_VALUE, allow_inf_nan=False)]


class KnownInput(Message):
    """Consecutive hours of one input of a machine: planned production, shifts, temperature. Later messages replace."""

    machine_id: InputMachineId
    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MOST_NAME,
            pattern=r"^[\w.-]+$",
            description="Of the input: letters, digits, `_.-`.",
        ),
    ]
    start: Annotated[InputTimestamp, Field(description="Beginning of the first hour, a whole hour of UTC.")]
    values: Annotated[
        tuple[InputValue | None, ...],
        Field(
            min_length=1,
            max_length=MOST_HOURS,
            description="Of each hour, past and future, in any unit; null where there is no plan.",
        ),
    ]

    @field_validator("start")
    @classmethod
    def _is_a_whole_hour(cls, value: datetime) -> datetime:
        if value.timestamp() % 3600:
            raise ValueError("must be a whole hour of UTC")
        return value
