"""Sensors and machine types of a plant file."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from core.plant.formulas import compile_formula
from core.plant.rules import (
    Finite,
    Identifier,
    NotNegative,
    Pattern,
    PlantModel,
    Positive,
    broken,
    ordered,
)

Role = Literal["power", "runtime", "production", "energy_counter"]

TRUTH_COLUMNS = ("anomaly", "anomaly_kind", "hours_to_failure", "condition")
"""Columns of labelled data beside the sensors."""
RESERVED_NAMES = frozenset({"machine_id", "timestamp", *TRUTH_COLUMNS})
"""Names that a sensor cannot have, because a reading or its labels use them."""


class EnergyCounter(PlantModel):
    """Behaviour of the register of an energy counter."""

    modulus: Positive | None = Field(default=None, description="kWh at which it starts again from 0; none: never")
    resolution: Positive = Field(
        default=1.0, description="step of the register, kWh; a change of one step is always accepted"
    )
    maximum_power: Positive | None = Field(
        default=None,
        description="highest possible power of the machine, kW; none: the maximum of the sensor of role power",
    )
    longest_gap_seconds: Positive | None = Field(
        default=None,
        description="time between two readings over which energy is divided between hours, s; none: twice the interval",
    )


class Sensor(PlantModel):
    """One signal of every machine. Limits are in the sensor's own unit; without a value there is no limit."""

    name: Identifier = Field(description="key of the value in a reading")
    unit: str = Field(min_length=1, description="unit of the value")
    minimum: Finite = Field(description="lowest physically possible value")
    maximum: Finite = Field(description="highest physically possible value")
    role: Role | None = Field(default=None, description="what Nexova computes from this sensor")
    minimum_deviation: NotNegative = Field(
        default=0.0, description="minimum deviation from the expected value for an anomaly"
    )
    warning_low: Finite | None = Field(
        default=None, description="lower limit; a limit alert of severity warning below it"
    )
    warning_high: Finite | None = Field(
        default=None, description="upper limit; a limit alert of severity warning above it"
    )
    critical_low: Finite | None = Field(
        default=None, description="lower limit; a limit alert of severity critical below it"
    )
    critical_high: Finite | None = Field(
        default=None, description="upper limit; a limit alert of severity critical above it"
    )
    stuck_after_readings: int | None = Field(
        default=None,
        ge=2,
        description="number of usual times between two changes without a change after which it is stuck: identical "
        "readings in a row, if each reading usually differs; none: never stuck",
    )
    interval_seconds: Positive | None = Field(
        default=None,
        description="time between two new values of a sensor that is slower than its machine's readings, s; "
        "none: learned",
    )
    formula: str | None = Field(
        default=None, description="formula of a derived sensor from other sensors, such as torque * speed"
    )
    counter: EnergyCounter = Field(default=EnergyCounter(), description="of a sensor with role energy_counter")

    @field_validator("formula")
    @classmethod
    def _is_formula(cls, text: str | None) -> str | None:
        if text is not None:
            compile_formula(text)
        return text

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise broken(f"the name {self.name!r} is reserved", "name the sensor differently")
        if not self.minimum < self.maximum:
            raise broken(
                f"minimum ({self.minimum:g}) must be below maximum ({self.maximum:g})",
                "correct one of the two",
            )
        ordered(
            critical_low=self.critical_low,
            warning_low=self.warning_low,
            warning_high=self.warning_high,
            critical_high=self.critical_high,
        )
        self._limits_can_be_broken()
        self._counts_energy()
        if self.formula is not None and self.role in {"runtime", "energy_counter"}:
            raise broken(f"a derived sensor cannot have the role {self.role}", "give it to a sensor that is measured")
        return self

    def _limits_can_be_broken(self) -> None:
        for key in ("critical_low", "warning_low", "warning_high", "critical_high"):
            limit = getattr(self, key)
            if limit is not None and not self.minimum <= limit <= self.maximum:
                raise broken(
                    f"{key} ({limit:g}) must lie between minimum ({self.minimum:g}) and maximum ({self.maximum:g}): "
                    "values beyond these are impossible, and raise a sensor fault instead",
                    "correct the limit, or widen the range",
                )

    def _counts_energy(self) -> None:
        if self.role != "energy_counter":
            if self.counter != EnergyCounter():
                raise broken(
                    "counter is for a sensor with role energy_counter", "give it that role, or remove its counter"
                )
            return
        if self.unit != "kWh":
            raise broken(f"an energy counter counts kWh, not {self.unit}", "convert it where readings are sent")
        if self.minimum < 0:
            raise broken(f"an energy counter is never negative, minimum is {self.minimum:g}", "write minimum = 0")
        ordered(maximum=self.maximum, modulus=self.counter.modulus)
        ordered(resolution=self.counter.resolution, modulus=self.counter.modulus)


class MachineType(PlantModel):
    """Machines of one kind, found by glob patterns of their ids. Powers are in kW."""

    name: Identifier = Field(description="name of the type")
    machines: Annotated[tuple[Pattern, ...], Field(strict=False)] = Field(
        min_length=1, description="glob patterns of machine ids"
    )
    rated_power: Positive | None = Field(default=None, description="power at full load, kW")
    off_below: NotNegative | None = Field(default=None, description="below this power the machine is off, kW")
    idle_below: NotNegative | None = Field(default=None, description="below this power the machine is idle, kW")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        ordered(off_below=self.off_below, idle_below=self.idle_below, rated_power=self.rated_power)
        return self
