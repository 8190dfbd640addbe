"""Policies of a plant file: detection, energy, believed timestamps, recorded files."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from core.plant.rules import (
    Finite,
    NotNegative,
    PlantModel,
    Positive,
    TimezoneName,
    broken,
    check_region,
    ordered,
)
from schemas.bounds import EARLIEST, LATEST_AHEAD_SECONDS


class DetectionPolicy(PlantModel):
    """Policy of the per-machine baseline and of the score's sensitivity."""

    warm_up_readings: Annotated[int | None, Field(ge=20, le=100_000)] = Field(
        default=None,
        description='readings of a warm-up; none or "auto": those of a day, 168 at least, 1,440 at most',
    )
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=0.5, description="share of normal readings above 0.5")
    fast_smoothing: float = Field(default=0.2, gt=0, le=1, description="weight of the newest reading, fast average")
    slow_smoothing: float = Field(default=0.03, gt=0, le=1, description="weight of the newest reading, slow average")
    detector: Literal["auto", "distance", "surprise", "both", "seasonal"] = Field(
        default="auto",
        description="score against a machine's own baseline: distance from its level, surprise at a jump, the higher "
        "of both, or a slow sensor's daily habits; auto: the last for plants of one slow sensor, else the first",
    )
    new_normal_after_seconds: Positive = Field(
        default=172_800.0,
        description="running time at another level after which that becomes the baseline, s",
    )
    settle_seconds: NotNegative = Field(
        default=0.0, description="running time after a start in which readings are neither scored nor learned from, s"
    )

    @field_validator("warm_up_readings", mode="before")
    @classmethod
    def _is_automatic(cls, value: object) -> object:
        return None if value == "auto" else value

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        ordered(slow_smoothing=self.slow_smoothing, fast_smoothing=self.fast_smoothing)
        return self


class Period(PlantModel):
    """Hours of the plant's time at a price of their own."""

    weekdays: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(strict=False)] = Field(
        default=(0, 1, 2, 3, 4, 5, 6), description="days of the period, 0 is Monday"
    )
    from_hour: int = Field(default=0, ge=0, le=23, description="first hour of the day")
    to_hour: int = Field(default=24, ge=1, le=24, description="hour at which it ends; below from_hour: overnight")
    price: Finite = Field(description="price of one kWh")


class Tariff(PlantModel):
    """Prices of a kWh, by the hour of the plant's time zone."""

    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="three letters of ISO 4217")
    price: Finite = Field(description="price of one kWh outside all periods")
    periods: Annotated[tuple[Period, ...], Field(strict=False)] = Field(
        default=(), description="the first that fits counts"
    )


class EnergyPolicy(PlantModel):
    """Policy by which hourly energy windows close."""

    grace_seconds: NotNegative = Field(default=120.0, description="event time a window waits for late readings, s")
    close_idle_after_seconds: Positive | None = Field(
        default=None,
        description="wall-clock time after which a partition without readings closes its windows, s; none: two "
        "intervals, 300 s at least",
    )
    peak_limit: Positive | None = Field(
        default=None, description="contracted power of the whole plant, kW; forecasts above it raise an alert"
    )
    holidays: str | None = Field(
        default=None, description='country, or country and region, of the holidays: "DE" or "DE-BY"'
    )
    tariff: Tariff | None = Field(default=None, description="what energy costs")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.holidays is not None:
            check_region(self.holidays)
        return self


class MaintenancePolicy(PlantModel):
    """Averages from which a machine's wear is estimated."""

    average_hours: Annotated[tuple[Positive, ...], Field(strict=False)] | None = Field(
        default=None,
        min_length=1,
        max_length=4,
        description="spans of the slow averages, running hours, rising; none: 6 and 72, or 3, 12 and 36 intervals "
        "where readings are more than 15 minutes apart",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        spans = self.average_hours or ()
        if list(spans) != sorted(set(spans)):
            raise broken(f"average_hours {list(spans)} must rise", "write the shortest span first, each once")
        return self


class ReadingPolicy(PlantModel):
    """Bounds of accepted timestamps."""

    earliest: AwareDatetime = Field(default=EARLIEST, description="older readings are refused")
    latest_ahead_seconds: NotNegative = Field(
        default=LATEST_AHEAD_SECONDS, description="maximum time ahead of our clock, s; later readings are refused"
    )
    clock_tolerance_seconds: Positive = Field(
        default=300.0,
        description="maximum error of a device's clock without an alert, s; at least two intervals",
    )


class CsvFormat(PlantModel):
    """Form of recorded files of this plant, for replay, training and back-tests."""

    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="character between cells; none: recognised"
    )
    decimal: Literal[",", "."] | None = Field(default=None, description="decimal sign; none: recognised")
    encoding: str | None = Field(default=None, min_length=1, description="encoding of the text; none: recognised")
    timestamp_column: str = Field(default="timestamp", min_length=1, description="column of the reading's time")
    time_column: str | None = Field(
        default=None, min_length=1, description="column of the time of day, where timestamp_column has the date alone"
    )
    timezone: TimezoneName | None = Field(default=None, description="zone of times without one; none: the plant's")
    machine_id_column: str | None = Field(
        default=None,
        min_length=1,
        description="column of the machine id; none: the file's name without ending",
    )
    machine_prefix: str = Field(default="", description="prefix of a machine id that comes from a file's name")
    label_column: str | None = Field(default=None, min_length=1, description="column of the label (0 or 1)")
    columns: dict[str, str] = Field(
        default_factory=dict, description="CSV column to sensor name; empty: the names are equal"
    )
