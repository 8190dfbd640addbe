"""The API's request bodies; rows have the sensors of the plant file."""

from typing import Annotated, Any, Literal, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model, model_validator

from core.plant import Plant
from runtime.forecasting.answers import LONGEST_HORIZON, MOST_POINTS, ForecastModel
from schemas.message import Finite, MachineId

FeedbackVerb = Literal[
    "acknowledged", "confirmed", "false_alarm", "expected", "snoozed", "new_normal", "maintenance_done", "withdrawn"
]
_Strict = ConfigDict(strict=True, extra="forbid", frozen=True)
_EXAMPLE = {"power": 100, "temperature": 45, "vibration": 2, "runtime": 1.0, "production": 5.0}


class Row(BaseModel):
    """One reading without machine and time; a plant's subclass has its sensors, null or omitted where missing."""

    # what a device sends beside its sensors is no reason to refuse it; the answer names what was not used
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    @model_validator(mode="after")
    def _has_a_value(self) -> "Row":
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
            description="Machine of the rows; its own baseline is used if the processor has one.",
            examples=[None],
        ),
    ] = None


def rows_request(plant: Plant, *, most: int) -> type[RowsRequest]:
    """Return the request with rows of this plant's sensors."""
    fields: dict[str, Any] = {
        sensor.name: (
            Finite | None,
            Field(default=None, description=f"In {sensor.unit}.", examples=[_EXAMPLE.get(sensor.name, 1.0)]),
        )
        for sensor in plant.sensors
        if sensor.formula is None
    }
    row = create_model("ReadingRow", __base__=Row, **fields)
    example = {sensor.name: _EXAMPLE.get(sensor.name, 1.0) for sensor in plant.sensors if sensor.formula is None}
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
    """A series with equal steps, oldest first, and the horizon."""

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
    model: Annotated[ForecastModel, Field(description="Model to use; auto: the best available.")] = "auto"
    start: Annotated[
        AwareDatetime | None,
        Field(strict=False, description="Time of the first value, for what depends on the calendar."),
    ] = None

    @model_validator(mode="after")
    def _has_a_value(self) -> "ForecastRequest":
        if all(value is None for value in self.data):
            raise ValueError("data has no value, only nulls; give at least one number")
        return self


class FeedbackRequest(BaseModel):
    """Feedback on an alert."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"kind": "acknowledged", "comment": "on my way"}]},
    )

    kind: FeedbackVerb
    comment: Annotated[str | None, Field(max_length=2000)] = None
    until: Annotated[
        AwareDatetime | None, Field(description="End of a snooze, which needs it, or of an expected condition.")
    ] = None
    author: Annotated[
        str | None,
        Field(min_length=1, max_length=128, description="Author; with a token, the token's name is used instead."),
    ] = None

    @model_validator(mode="after")
    def _a_snooze_ends(self) -> "FeedbackRequest":
        if self.kind == "snoozed" and self.until is None:
            raise ValueError("a snooze needs `until`, the time at which it ends; give one")
        if self.until is not None and self.kind not in {"snoozed", "expected"}:
            raise ValueError(f"`until` means nothing for {self.kind}; leave it out")
        return self
