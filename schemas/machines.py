"""MachineStatus: current status of a machine."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.message import MachineId, Message, Quantity, Risk, Share, Timestamp

Condition = Literal["running", "idle", "off", "silent", "unknown"]


class MachineStatus(Message):
    """A machine's condition, last values and scores; published at most every few seconds."""

    machine_id: MachineId
    timestamp: Annotated[Timestamp, Field(description="Time of the newest reading.")]
    machine_type: str | None = None
    condition: Condition
    warm_up: Annotated[Share, Field(description="Progress of the baseline, 1 when learned.")]
    values: Annotated[dict[str, Quantity | None], Field(description="Last value of each sensor, in its unit.")]
    anomaly_score: Share | None = None
    risk: Risk | None = None
    readings: Annotated[int, Field(ge=0, description="Readings counted since the machine is known.")]
    alerts_open: Annotated[int, Field(ge=0)] = 0
