"""From Kafka's messages to what the live view keeps: checked against their contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.feedback import Feedback
from schemas.forecasts import Forecast
from schemas.machines import MachineStatus
from schemas.models import ModelPromoted
from schemas.recommendations import Recommendation
from schemas.topics import ALERTS, ENERGY, FEEDBACK, FORECASTS, MACHINES, MODELS, READINGS, RECOMMENDATIONS, SCORES


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One Kafka record. at: when it was written, epoch seconds. message: its contract, None for rings and deletions.

    identity: the key under which a newer record replaces it. machine_id: whose it is, where it has one.
    """

    topic: str
    partition: int
    offset: int
    at: float
    identity: str
    machine_id: str | None
    value: bytes | None
    message: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How the records of a topic are read. event: its name in event streams, None where it has none."""

    message: type[BaseModel] | None
    identity: Callable[[Any], str]
    machine: Callable[[Any], str | None]
    event: str | None


def _machine(message: Any) -> str | None:
    return str(message.machine_id)


KINDS: Final[dict[str, Kind]] = {
    ALERTS: Kind(message=Alert, identity=lambda m: str(m.alert_id), machine=_machine, event="alert"),
    RECOMMENDATIONS: Kind(
        message=Recommendation, identity=lambda m: str(m.machine_id), machine=_machine, event="recommendation"
    ),
    FEEDBACK: Kind(message=Feedback, identity=lambda m: str(m.machine_id), machine=_machine, event="feedback"),
    FORECASTS: Kind(message=Forecast, identity=lambda m: str(m.series_id), machine=lambda _: None, event="forecast"),
    ENERGY: Kind(message=EnergyWindow, identity=lambda m: str(m.key), machine=_machine, event="energy"),
    MACHINES: Kind(message=MachineStatus, identity=lambda m: str(m.machine_id), machine=_machine, event="machine"),
    MODELS: Kind(message=ModelPromoted, identity=lambda m: str(m.name), machine=lambda _: None, event=None),
}
RINGS: Final = (READINGS, SCORES)
MOST_RING_BYTES: Final = 65_536
"""A larger message is left out of the rings: so many machines times so many readings must stay in memory."""


def read_record(
    topic: str, *, partition: int, offset: int, at: float, key: bytes | None, value: bytes | None
) -> Record | None:
    """The record as the view takes it; None where it breaks its contract."""
    name = (key or b"").decode("utf-8", "replace")
    kind = KINDS.get(topic)
    if kind is None or kind.message is None or value is None:
        machine_id = name if topic in RINGS else None
        return Record(
            topic=topic,
            partition=partition,
            offset=offset,
            at=at,
            identity=name,
            machine_id=machine_id,
            value=value,
        )
    try:
        message = kind.message.model_validate_json(value)
    except ValidationError:
        return None
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        at=at,
        identity=kind.identity(message),
        machine_id=kind.machine(message),
        value=value,
        message=message,
    )
