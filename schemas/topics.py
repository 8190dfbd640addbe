"""Catalogue of the topics: names, keys, messages and policies.

`nexova topics create`, the tables in the docs and the exported schemas are all made from it.
"""

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel

from schemas.alerts import Alert
from schemas.dead_letters import DeadLetter
from schemas.energy import EnergyWindow
from schemas.feedback import Feedback
from schemas.forecasts import Forecast
from schemas.history import EnergyHistory
from schemas.known_inputs import KnownInput
from schemas.machines import MachineStatus
from schemas.models import ModelPromoted
from schemas.readings import Reading
from schemas.recommendations import Recommendation
from schemas.scores import Score

READINGS: Final = "nexova.readings"
SCORES: Final = "nexova.scores"
ALERTS: Final = "nexova.alerts"
RECOMMENDATIONS: Final = "nexova.recommendations"
ENERGY: Final = "nexova.energy"
FORECASTS: Final = "nexova.forecasts"
HISTORY: Final = "nexova.history"
KNOWN_INPUTS: Final = "nexova.known-inputs"
MACHINES: Final = "nexova.machines"
DEAD_LETTERS: Final = "nexova.dead-letters"
FEEDBACK: Final = "nexova.feedback"
MODELS: Final = "nexova.models"

Cleanup = Literal["delete", "compact", "compact,delete"]
Partitions = Literal["source", "one"]
_DAY: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `partitions` is "source" where it must have as many as the readings topic."""

    name: str
    title: str
    key: str
    message: type[BaseModel]
    cleanup: Cleanup
    retention_hours: int | None
    partitions: Partitions = "source"
    max_message_bytes: int = 1_048_588
    description: str


CATALOGUE: Final[tuple[Topic, ...]] = (
    Topic(
        name=READINGS,
        title="Readings",
        key="machine_id",
        message=Reading,
        cleanup="delete",
        retention_hours=7 * _DAY,
        # larger than a valid message, so that a device's mistake can become a dead letter
        max_message_bytes=8 * 1_048_576,
        description="Sensor readings of machines; one reading or an array of them.",
    ),
    Topic(
        name=SCORES,
        title="Scores",
        key="machine_id",
        message=Score,
        cleanup="delete",
        retention_hours=_DAY,
        description="Anomaly score, flag and risk of each reading; can be disabled.",
    ),
    Topic(
        name=ALERTS,
        title="Alerts",
        key="alert_id, partitioned by machine_id",
        message=Alert,
        cleanup="compact,delete",
        retention_hours=90 * _DAY,
        description="Alerts; each message carries the complete alert.",
    ),
    Topic(
        name=RECOMMENDATIONS,
        title="Recommendations",
        key="machine_id",
        message=Recommendation,
        cleanup="compact",
        retention_hours=None,
        description="Maintenance advice, published when the band changes and at least daily.",
    ),
    Topic(
        name=ENERGY,
        title="Energy windows",
        key="machine_id@start, partitioned by machine_id",
        message=EnergyWindow,
        cleanup="compact,delete",
        retention_hours=400 * _DAY,
        description="Hourly energy of each machine, with revisions.",
    ),
    Topic(
        name=HISTORY,
        title="Energy history",
        key="machine_id",
        message=EnergyHistory,
        cleanup="delete",
        retention_hours=30 * _DAY,
        description="Past hourly energy, imported with `nexova history import`.",
    ),
    Topic(
        name=KNOWN_INPUTS,
        title="Known inputs",
        key="machine_id",
        message=KnownInput,
        cleanup="delete",
        retention_hours=400 * _DAY,
        description="Planned production, shifts and weather by the hour, imported with `nexova plan import`.",
    ),
    Topic(
        name=FORECASTS,
        title="Forecasts",
        key="series_id",
        message=Forecast,
        cleanup="compact",
        retention_hours=None,
        description="Energy forecasts for the next 24 to 72 hours.",
    ),
    Topic(
        name=MACHINES,
        title="Machine status",
        key="machine_id",
        message=MachineStatus,
        cleanup="compact",
        retention_hours=None,
        description="Condition, warm-up, last values and scores of a machine, at most every 5 s.",
    ),
    Topic(
        name=DEAD_LETTERS,
        title="Dead letters",
        key="source topic/partition",
        message=DeadLetter,
        cleanup="delete",
        retention_hours=14 * _DAY,
        description="Messages that were refused, with the reason.",
    ),
    Topic(
        name=FEEDBACK,
        title="Feedback",
        key="machine_id",
        message=Feedback,
        cleanup="delete",
        retention_hours=None,
        description="Feedback from people on alerts and machines; never deleted.",
    ),
    Topic(
        name=MODELS,
        title="Model promotions",
        key="model name",
        message=ModelPromoted,
        cleanup="compact",
        retention_hours=None,
        partitions="one",
        description="The version of each model that every worker must run.",
    ),
)
