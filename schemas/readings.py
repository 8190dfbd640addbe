"""Reading: the sensor values of a machine at one instant."""

from collections.abc import Sequence
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, create_model

from schemas.message import Finite, MachineId, Timestamp


class Reading(BaseModel):
    """One reading, flat: the sensors' names are keys beside these two (see `reading_model`)."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    machine_id: MachineId
    timestamp: Timestamp


def reading_model(sensors: Sequence[str]) -> type[Reading]:
    """Return the reading contract of a plant: `sensors` become optional finite numbers, missing and null alike."""
    fields = {name: (Finite | None, Field(default=None)) for name in sensors}
    # pydantic types the field definitions one by one; a mapping made at run time is beyond its overloads
    return cast("type[Reading]", create_model("Reading", __base__=Reading, **fields))  # type: ignore[call-overload]
