"""EnergyWindow: energy and production of a machine in one hour."""

from typing import Annotated

from pydantic import Field

from schemas.message import Amount, MachineId, Message, Part, Quantity, Share, Timestamp


class CounterSteps(Part):
    """Steps of an energy counter's register, in the hour in which each step ends."""

    resets: Annotated[int, Field(ge=0, description="Resets to 0.")] = 0
    rollovers: Annotated[int, Field(ge=0, description="Rollovers at its modulus.")] = 0
    unknown: Annotated[int, Field(ge=0, description="Implausible steps; they count as no energy.")] = 0
    unplaced_kwh: Annotated[
        Amount,
        Field(description="Counted in a gap that ends in this hour; not in energy_kwh, as no hour is known."),
    ] = 0.0


class EnergyWindow(Message):
    """One hour of one machine. A later revision replaces an earlier one."""

    machine_id: MachineId
    start: Timestamp
    end: Timestamp
    energy_kwh: Annotated[Quantity, Field(description="Energy of the covered part; gaps are never invented.")]
    mean_power_kw: Quantity | None
    peak_power_kw: Quantity | None
    production: Annotated[Quantity | None, Field(description="Units made; null without a production sensor.")]
    readings: Annotated[int, Field(ge=0)]
    expected_readings: Annotated[int, Field(ge=0)]
    completeness: Share
    revision: Annotated[int, Field(ge=0)] = 0
    final: Annotated[bool, Field(description="No further reading can change it without a revision.")] = True
    counter: Annotated[
        CounterSteps | None, Field(description="Steps of the energy counter; null if the energy is from power.")
    ] = None

    @property
    def key(self) -> str:
        """The compaction key: machine and window start."""
        return f"{self.machine_id}@{self.start:%Y-%m-%dT%H:%M:%SZ}"
