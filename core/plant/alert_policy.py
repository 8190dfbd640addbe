"""The alert policy of a plant file: which scores become alerts."""

from typing import Self

from pydantic import Field, model_validator

from core.plant.rules import (
    NotNegative,
    PlantModel,
    Positive,
    ordered,
)


class AlertPolicy(PlantModel):
    """When people hear of it. Scores are in [0, 1]; high means anomalous."""

    readings_over: int = Field(default=4, ge=1, le=32, description="anomalous readings (n) that open an alert ...")
    of_readings: int = Field(default=6, ge=1, le=32, description="... out of so many (m)")
    resolve_below: float = Field(default=0.4, gt=0, le=0.5, description="score that counts as calm again")
    resolve_after_readings: int = Field(default=10, ge=1, description="calm readings that resolve an alert")
    critical_score: float = Field(default=0.8, ge=0.5, le=1, description="score that makes an alert critical")
    silent_after_seconds: Positive | None = Field(
        default=None, description="silence that raises an alert, s; none: three intervals, 300 s at least"
    )
    update_seconds: NotNegative = Field(default=60.0, description="least time between updates of an open alert, s")
    merge_gap_seconds: NotNegative = Field(
        default=120.0, description="an opening this soon after a resolve continues the same alert, s"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        ordered(readings_over=self.readings_over, of_readings=self.of_readings)
        return self
