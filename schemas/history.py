"""EnergyHistory: what a machine consumed before we watched it."""

from typing import Annotated, Final

from pydantic import Field, field_validator

from schemas.message import MachineId, Message, Quantity, Timestamp

MOST_HOURS: Final = 8_760


class EnergyHistory(Message):
    """Consecutive hours of one machine, from elsewhere. They fill hours that were not measured, and replace none."""

    machine_id: MachineId
    start: Annotated[Timestamp, Field(description="Beginning of the first hour, a whole hour of UTC.")]
    energy_kwh: Annotated[
        tuple[Annotated[Quantity, Field(allow_inf_nan=False)] | None, ...],
        Field(min_length=1, max_length=MOST_HOURS, description="Energy of each hour; null where it is not known."),
    ]

    @field_validator("start")
    @classmethod
    def _is_a_whole_hour(cls, value: Timestamp) -> Timestamp:
        if value.timestamp() % 3600:
            raise ValueError("must be a whole hour of UTC")
        return value
