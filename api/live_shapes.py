"""The bodies of the live endpoints: the messages of the topics, in lists with pages."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.feedback import Feedback
from schemas.forecasts import Forecast
from schemas.machines import MachineStatus
from schemas.recommendations import Recommendation
from schemas.scores import Score

FeedbackVerb = Literal["acknowledged", "confirmed", "false_alarm", "expected", "snoozed"]


class Page(BaseModel):
    """What all lists have. position: where the event stream goes on from this answer (`/events?since=`)."""

    total: int = Field(description="How many there are in all.", examples=[1])
    next: str | None = Field(default=None, description="Give it as `after` for the next page; null: this is the last.")
    position: str = Field(description="Give it to /events as `since`: nothing is missed in between.")
    stale: bool = Field(description="True while Kafka is away: this is how things were when it went.")


class MachinesPage(Page):
    """Machines in the order of their names."""

    machines: list[MachineStatus]


class AnsweredAlert(Alert):
    """An alert, and what people said about it, oldest first."""

    feedback: tuple[Feedback, ...] = ()


class AlertsPage(Page):
    """Alerts, newest opening first."""

    alerts: list[AnsweredAlert]


class RecommendationsPage(Page):
    """Advice, highest risk first."""

    recommendations: list[Recommendation]


class ForecastsPage(Page):
    """The series that have a forecast."""

    series: list[str]


class ReadingsPage(BaseModel):
    """The newest readings of a machine, oldest first; flat objects with the plant's sensors."""

    machine_id: str
    readings: list[dict[str, Any]]


class ScoresPage(BaseModel):
    """The newest scores of a machine, oldest first."""

    machine_id: str
    scores: list[Score]


class EnergyPage(BaseModel):
    """The newest energy windows of a machine, oldest first."""

    machine_id: str
    windows: list[EnergyWindow]


class MachineDetail(MachineStatus):
    """A machine with its open alerts and its advice."""

    alerts: list[AnsweredAlert]
    recommendation: Recommendation | None


class ForecastDetail(Forecast):
    """The newest forecast of a series."""


class FeedbackRequest(BaseModel):
    """What somebody says about an alert."""

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
        Field(min_length=1, max_length=128, description="Who says it; with a token, the token's name counts instead."),
    ] = None

    @model_validator(mode="after")
    def _a_snooze_ends(self) -> "FeedbackRequest":
        if self.kind == "snoozed" and self.until is None:
            raise ValueError("a snooze needs `until`, the time at which it ends; give one")
        if self.until is not None and self.kind not in {"snoozed", "expected"}:
            raise ValueError(f"`until` means nothing for {self.kind}; leave it out")
        return self


class FeedbackResponse(BaseModel):
    """The statement as it was recorded, and where. in_view: whether lists show it already."""

    feedback: Feedback
    partition: int
    offset: int
    in_view: bool


class ReadyResponse(BaseModel):
    """The live view is complete."""

    ready: Literal[True]
    items: dict[str, int] = Field(description="How many of each kind; empty for strangers where tokens are set.")
