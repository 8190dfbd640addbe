"""EnergyWindow: what a machine consumed and produced in one hour."""

from typing import Annotated

from pydantic import Field

from schemas.message import MachineId, Message, Share, Timestamp


class EnergyWindow(Message):
    """One hour of one machine. A later revision replaces an earlier one."""

    machine_id: MachineId
    start: Timestamp
    end: Timestamp
    energy_kwh: Annotated[float, Field(description="Time-weighted over the covered part; gaps are never invented.")]
    mean_power_kw: float | None
    peak_power_kw: float | None
    production: Annotated[float | None, Field(description="Units made; null without a production sensor.")]
    readings: Annotated[int, Field(ge=0)]
    expected_readings: Annotated[int, Field(ge=0)]
    completeness: Share
    revision: Annotated[int, Field(ge=0)] = 0
    final: Annotated[bool, Field(description="No further reading can change it without a revision.")] = True

    @property
    def key(self) -> str:
        """The compaction key: machine and window start."""
        return f"{self.machine_id}@{self.start:%Y-%m-%dT%H:%M:%SZ}"
