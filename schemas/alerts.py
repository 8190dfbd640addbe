"""Alert: something a person should look at, from opening to resolution."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.message import MachineId, Message, Part, Quantity, Share, Timestamp

AlertKind = Literal["anomaly", "limit", "silent", "sensor_fault", "forecast_breach", "fleet"]
Severity = Literal["info", "warning", "critical"]
AlertState = Literal["opened", "updated", "resolved"]
ModelLevel = Literal["machine", "type", "rule"]


class Signal(Part):
    """One sensor's part in an alert."""

    sensor: str
    actual: Annotated[Quantity | None, Field(description="In the sensor's unit; null when missing.")]
    expected: Annotated[Quantity | None, Field(description="What the baseline expects, in the sensor's unit.")]
    deviation: Annotated[Quantity | None, Field(description="Actual less expected, in standard deviations.")]
    contribution: Annotated[Share, Field(description="Share of the score, all signals together 1.")]


class AlertModel(Part):
    """Model that raised an alert."""

    name: str
    version: str
    level: ModelLevel


class Alert(Message):
    """An episode of one kind at one machine, complete at every change."""

    alert_id: Annotated[str, Field(description="From machine, kind and start: the same episode has the same id.")]
    machine_id: MachineId
    kind: AlertKind
    severity: Severity
    state: AlertState
    opened_at: Timestamp
    updated_at: Timestamp
    resolved_at: Timestamp | None = None
    peak_score: Share
    threshold: Share
    readings: Annotated[int, Field(ge=0, description="Readings over the threshold in this episode.")]
    signals: Annotated[
        tuple[Signal, ...],
        Field(description="Sorted, largest contribution first; of a device's wrong clock one, `clock`, in seconds."),
    ]
    summary: Annotated[str, Field(description="One plain sentence.")]
    model: AlertModel
    confidence: Share
    warm_up: bool = False
    members: Annotated[
        tuple[str, ...], Field(description="Of a fleet alert: the ids of the alerts that it groups.")
    ] = ()
