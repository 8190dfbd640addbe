"""The bodies of the stateless endpoints; rows have the sensors of the plant file."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model, model_validator

from core.adhoc.rows import BaselineLevel
from core.plant import Plant
from runtime.forecasting.answers import LONGEST_HORIZON, MOST_POINTS, ForecastModel
from schemas.message import Finite, MachineId
from schemas.recommendations import Band

_Strict = ConfigDict(strict=True, extra="forbid", frozen=True)
_EXAMPLE = {"power": 100, "temperature": 45, "vibration": 2, "runtime": 1.0, "production": 5.0}
Warnings = Annotated[list[str], Field(description="What limits the answer; left out when there is nothing to say.")]


class Row(BaseModel):
    """One reading without machine and time; the subclass of a plant has its sensors, null or left out where missing."""

    # what a device sends beside its sensors is no reason to refuse it; the answer names what was not used
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    @model_validator(mode="after")
    def _says_something(self) -> "Row":
        if all(getattr(self, name) is None for name in type(self).model_fields):
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"the row has no value of any sensor; give at least one of {known}")
        return self


class RowsRequest(BaseModel):
    """Rows of one machine in order of time; the subclass of a plant has `data`."""

    model_config = _Strict

    machine_id: Annotated[
        MachineId | None,
        Field(
            description="Whose rows these are: its own baseline is used where the processor knows it.",
            examples=[None],
        ),
    ] = None


def rows_request(plant: Plant, *, most: int) -> type[RowsRequest]:
    """The request with rows of this plant's sensors."""
    fields: dict[str, Any] = {
        sensor.name: (
            Finite | None,
            Field(default=None, description=f"In {sensor.unit}.", examples=[_EXAMPLE.get(sensor.name, 1.0)]),
        )
        for sensor in plant.sensors
    }
    row = create_model("ReadingRow", __base__=Row, **fields)
    example = {sensor.name: _EXAMPLE.get(sensor.name, 1.0) for sensor in plant.sensors}
    data = Annotated[
        list[row],
        Field(min_length=1, max_length=most, description="Oldest first.", examples=[[example]]),
    ]
    return cast(
        "type[RowsRequest]",
        create_model("RowsRequest", __base__=RowsRequest, __doc__=RowsRequest.__doc__, data=(data, ...)),
    )


# far beyond any amount of energy, and far from where sums of squares overflow
Amount = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]


class ForecastRequest(BaseModel):
    """A series with equal steps, oldest first, and how far to look ahead."""

    model_config = _Strict | {
        "json_schema_extra": {"examples": [{"data": [100, 102, 98, 101], "horizon": 24, "frequency": "h"}]}
    }

    data: Annotated[
        list[Amount | None],
        Field(min_length=1, max_length=MOST_POINTS, description="Values, null where one is missing."),
    ]
    horizon: Annotated[int, Field(ge=1, le=LONGEST_HORIZON, description="Steps ahead.")] = 24
    frequency: Annotated[
        str, Field(min_length=1, max_length=40, description="The step as a pandas frequency: h, 15min, D, W, MS …")
    ] = "h"
    model: Annotated[ForecastModel, Field(description="Which model is to answer; auto: the best that can.")] = "auto"
    start: Annotated[
        AwareDatetime | None,
        Field(strict=False, description="Time of the first value, for what depends on the calendar."),
    ] = None

    @model_validator(mode="after")
    def _has_a_value(self) -> "ForecastRequest":
        if all(value is None for value in self.data):
            raise ValueError("data has no value, only nulls; give at least one number")
        return self


class ForecastResponse(BaseModel):
    """The next `horizon` values; 80 % of what comes is expected between the bounds."""

    forecast: list[float] = Field(examples=[[101.2, 101.9]])
    lower_bound: list[float] = Field(examples=[[98.7, 99.1]])
    upper_bound: list[float] = Field(examples=[[103.7, 104.7]])
    model: str = Field(description="What really answered.", examples=["seasonal_median"])
    horizon: int = Field(examples=[24])
    warnings: Warnings = []


class Contribution(BaseModel):
    """One sensor's part in a score."""

    sensor: str = Field(examples=["vibration"])
    actual: float | None = Field(description="In the sensor's unit.")
    expected: float | None = Field(description="What the baseline expects, in the sensor's unit.")
    deviation: float | None = Field(description="Actual less expected, in standard deviations.")
    contribution: float = Field(ge=0, le=1, description="Share of the score; parts below 0.01 are left out.")


_Baseline = Annotated[BaselineLevel, Field(description="What the rows were held against; docs/api.md has the levels.")]


class AnomalyResult(BaseModel):
    """How unusual one row is."""

    is_anomaly: bool = Field(description="True from a score of 0.5 on.", examples=[False])
    anomaly_score: float = Field(ge=0, le=1, description="High means anomalous.", examples=[0.25])
    model: str = Field(description="What really answered; fallback: no trained model.", examples=["isolation_forest"])
    baseline: _Baseline
    contributions: list[Contribution] = Field(description="Largest first.")


class AnomalyResponse(BaseModel):
    """A result for each row, in order."""

    results: list[AnomalyResult]
    total: int = Field(examples=[1])
    warnings: Warnings = []


class AdviceReason(BaseModel):
    """Why the advice is what it is."""

    sensor: str
    contribution: float = Field(ge=0, le=1)
    sentence: str


class Advice(BaseModel):
    """Maintenance advice after a row."""

    risk_level: float = Field(ge=0, le=3, description="0 above 7 days to failure, 1, 2 and 3 at 7, 3 and 1 days.")
    band: Band
    urgent: bool
    recommendation: str
    reasons: list[AdviceReason]
    model: str = Field(description="What really answered; fallback: no trained model.", examples=["random_forest"])
    baseline: _Baseline


class RecommendationsResponse(Advice):
    """The advice after the last row, and that after each row in `results`."""

    results: list[Advice]
    total: int = Field(examples=[1])
    warnings: Warnings = []


class KafkaHealth(BaseModel):
    """Whether the brokers answer, and how far the live view is."""

    status: Literal["up", "away"]
    view: Literal["complete", "loading"]
    detail: str | None = Field(default=None, description="What is wrong and what to do.")


class HealthResponse(BaseModel):
    """How the service is; `degraded` where a fallback answers or Kafka is away, and the rest works."""

    status: Literal["ok", "degraded"] = Field(examples=["ok"])
    version: str
    models: dict[str, str] = Field(description="What answers for each kind of question.")
    kafka: KafkaHealth
    warnings: list[str]
    time: datetime


class ModelStatus(BaseModel):
    """One model that answers, with what its manifest says."""

    name: str
    loaded: bool
    answers_with: str = Field(description="Name in answers: the kind of the model, or fallback.")
    version: str | None = None
    created_at: datetime | None = None
    trained_from: datetime | None = None
    trained_to: datetime | None = None
    rows_used: int | None = None
    metrics: dict[str, float | None] = {}


class ModelsStatusResponse(BaseModel):
    """What is loaded, from where, since when."""

    repository: str
    plant: str
    features: str = Field(description="Fingerprint of the features that models must have been trained with.")
    loaded_at: datetime
    models: list[ModelStatus]
    problems: list[str]
