"""Score: what the models made of one reading."""

from typing import Annotated, Final

from pydantic import Field

from schemas.machines import Condition
from schemas.message import MachineId, Message, Risk, Share, Timestamp

FLAG_AT: Final = 0.5
"""Anomaly score from which a reading is flagged."""


class Score(Message):
    """Scores of one reading; null where the machine was not scored (off, idle, warming up, no model)."""

    machine_id: MachineId
    timestamp: Timestamp
    anomaly_score: Annotated[Share | None, Field(description="In [0, 1]; high means anomalous.")] = None
    is_anomaly: Annotated[bool, Field(description="True from a score of 0.5 on.")] = False
    risk: Annotated[Risk | None, Field(description="0 above 7 days to failure, 1, 2 and 3 at 7, 3 and 1 days.")] = None
    condition: Condition = "running"
    warm_up: Annotated[bool, Field(description="True while the machine's baseline is still being learned.")] = False
