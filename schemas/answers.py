"""Bodies of the API's answers, made of the topics' messages where possible."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from schemas.alerts import Alert, Signal
from schemas.energy import EnergyWindow
from schemas.feedback import Feedback
from schemas.forecasts import Forecast
from schemas.machines import MachineStatus
from schemas.message import Quantity, Risk, Share
from schemas.recommendations import Band, Reason, Recommendation
from schemas.scores import BaselineLevel, Score

Warnings = Annotated[list[str], Field(description="Limitations of the answer; omitted if there are none.")]


class ForecastResponse(BaseModel):
    """The next `horizon` values, with the bounds of an 80 % interval."""

    forecast: list[Quantity] = Field(examples=[[101.2, 101.9]])
    lower_bound: list[Quantity] = Field(examples=[[98.7, 99.1]])
    upper_bound: list[Quantity] = Field(examples=[[103.7, 104.7]])
    model: str = Field(description="What really answered.", examples=["seasonal_median"])
    horizon: int = Field(examples=[24])
    warnings: Warnings = []


_Baseline = Annotated[
    BaselineLevel, Field(description="Baseline that the rows were compared with; docs/api.md has the levels.")
]


class AnomalyResult(BaseModel):
    """Anomaly score of one row."""

    is_anomaly: bool = Field(description="True from a score of 0.5 on.", examples=[False])
    anomaly_score: Share = Field(description="High means anomalous.", examples=[0.25])
    model: str = Field(description="What really answered; fallback: no trained model.", examples=["isolation_forest"])
    baseline: _Baseline
    contributions: list[Signal] = Field(description="Largest first.")


class AnomalyResponse(BaseModel):
    """A result for each row, in order."""

    results: list[AnomalyResult]
    total: int = Field(examples=[1])
    warnings: Warnings = []


class Advice(BaseModel):
    """Maintenance advice after a row."""

    risk_level: Risk = Field(description="0 above 7 days to failure, 1, 2 and 3 at 7, 3 and 1 days.")
    band: Band
    urgent: bool
    recommendation: str
    reasons: list[Reason]
    model: str = Field(description="What really answered; fallback: no trained model.", examples=["random_forest"])
    baseline: _Baseline


class RecommendationsResponse(Advice):
    """The advice after the last row, and that after each row in `results`."""

    results: list[Advice]
    total: int = Field(examples=[1])
    warnings: Warnings = []


class KafkaHealth(BaseModel):
    """State of the brokers and of the live view."""

    status: Literal["up", "away"]
    view: Literal["complete", "loading"]
    detail: str | None = Field(default=None, description="Problem and remedy.")


class HealthResponse(BaseModel):
    """Health of the service; `degraded` while a fallback answers or Kafka is unavailable."""

    status: Literal["ok", "degraded"] = Field(examples=["ok"])
    version: str
    models: dict[str, str] = Field(description="Model that answers each kind of request.")
    kafka: KafkaHealth
    warnings: list[str]
    time: datetime


class ModelStatus(BaseModel):
    """One model in use, with details from its manifest."""

    name: str
    loaded: bool
    answers_with: str = Field(description="Name in answers: the kind of the model, or fallback.")
    version: str | None = None
    created_at: datetime | None = None
    trained_from: datetime | None = None
    trained_to: datetime | None = None
    rows_used: int | None = None
    metrics: dict[str, Quantity | None] = {}


class ModelsStatusResponse(BaseModel):
    """Loaded models, with their repository and time of loading."""

    repository: str
    plant: str
    features: str = Field(description="Fingerprint of the features that models must have been trained with.")
    loaded_at: datetime
    models: list[ModelStatus]
    problems: list[str]


class Page(BaseModel):
    """Common fields of all lists. position: continues this answer in the event stream (`/events?since=`)."""

    total: int = Field(description="Total number of items.", examples=[1])
    next: str | None = Field(default=None, description="Give it as `after` for the next page; null: this is the last.")
    position: str = Field(description="Give it to /events as `since`: nothing is missed in between.")
    stale: bool = Field(description="True while Kafka is unavailable: the content is the last known one.")


class MachinesPage(Page):
    """Machines in the order of their names."""

    machines: list[MachineStatus]


class AnsweredAlert(Alert):
    """An alert with its feedback, oldest first."""

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


class FeedbackResponse(BaseModel):
    """The recorded feedback and its position in the topic. in_view: whether lists contain it already."""

    feedback: Feedback
    partition: int
    offset: int
    in_view: bool


class ReadyResponse(BaseModel):
    """The live view is complete."""

    ready: Literal[True]
    items: dict[str, int] = Field(
        description="Number of items of each kind; empty for callers without a token, if tokens are set."
    )
