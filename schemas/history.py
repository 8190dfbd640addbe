"""EnergyHistory: past hourly energy of a machine from another system."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field, field_validator

from schemas.bounds import InputMachineId, InputTimestamp, Kwh
from schemas.message import Message

MOST_HOURS: Final = 8_760


class EnergyHistory(Message):
    """Consecutive hours of one machine from another system. They fill hours that were not measured."""

    machine_id: InputMachineId
    start: Annotated[InputTimestamp, Field(description="Beginning of the first hour, a whole hour of UTC.")]
    energy_kwh: Annotated[
        tuple[Kwh | None, ...],
        Field(min_length=1, max_length=MOST_HOURS, description="Energy of each hour; null where it is not known."),
    ]

    @field_validator("start")
    @classmethod
    def _is_a_whole_hour(cls, value: datetime) -> datetime:
        if value.timestamp() % 3600:
            raise ValueError("must be a whole hour of UTC")
        return value
