"""Decoding of Kafka messages for the live view, validated against their contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from runtime.topic_reader import Record
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.feedback import Feedback
from schemas.forecasts import Forecast
from schemas.machines import MachineStatus
from schemas.models import ModelPromoted
from schemas.recommendations import Recommendation
from schemas.topics import ALERTS, ENERGY, FEEDBACK, FORECASTS, MACHINES, MODELS, READINGS, RECOMMENDATIONS, SCORES


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRecord:
    """A record of the live view. at: when it was written, epoch seconds.

    message: decoded, None for rings and deletions. identity: the key under which a newer record replaces it.
    machine_id: the machine that it belongs to, where there is one.
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
    """Decoding of the records of a topic. event: their name in event streams, or None."""

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
"""Larger messages are not kept in the rings, whose memory is bounded by machines and readings."""


def read_record(found: Record) -> ViewRecord | None:
    """Return the record for the view; None if it breaks its contract."""
    identity, machine_id, message = (found.key or b"").decode("utf-8", "replace"), None, None
    kind = KINDS.get(found.topic)
    if found.topic in RINGS:
        machine_id = identity
    elif kind is not None and kind.message is not None and found.value is not None:
        try:
            message = kind.message.model_validate_json(found.value)
        except ValidationError:
            return None
        identity, machine_id = kind.identity(message), kind.machine(message)
    return ViewRecord(
        topic=found.topic,
        partition=found.partition,
        offset=found.offset,
        at=found.written_at,
        identity=identity,
        machine_id=machine_id,
        value=found.value,
        message=message,
    )
