"""Recommendation: maintenance advice on a machine's wear, and its urgency."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.alerts import AlertModel
from schemas.message import Amount, MachineId, Message, Part, Quantity, Risk, Share, Timestamp

Band = Literal["none", "watch", "plan", "urgent"]


class Reason(Part):
    """One sensor's part in a recommendation."""

    sensor: str
    contribution: Share
    sentence: str


class HoursToFailure(Part):
    """An interval of running hours until the expected failure."""

    low: Amount
    mid: Amount
    high: Amount


class Counterfactual(Part):
    """The smallest return of one sensor towards its normal that would lower the band, by the model."""

    sensor: str
    value: Annotated[Quantity, Field(description="Slow average of the sensor at which the band is lower, in its unit.")]
    band: Annotated[Band, Field(description="Band that the machine would then have.")]
    sentence: str


class Recommendation(Message):
    """Advice for one machine, published when its band changes and at least daily."""

    machine_id: MachineId
    issued_at: Timestamp
    risk_level: Risk
    band: Band
    urgent: bool
    text: str
    hours_to_failure: HoursToFailure | None = None
    reasons: tuple[Reason, ...] = ()
    model: AlertModel
    counterfactual: Annotated[
        Counterfactual | None, Field(description="Null where no sensor alone would lower the band.")
    ] = None
