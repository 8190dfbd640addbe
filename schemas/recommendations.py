"""Recommendation: maintenance advice on a machine's wear, and its urgency."""

from typing import Literal

from schemas.alerts import AlertModel
from schemas.message import Amount, MachineId, Message, Part, Risk, Share, Timestamp

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
