"""Score: the models' scores of one reading."""

from typing import Annotated, Final, Literal

from pydantic import Field

from schemas.machines import Condition
from schemas.message import MachineId, Message, Risk, Share, Timestamp

FLAG_AT: Final = 0.5
"""Anomaly score from which a reading is flagged."""


BaselineLevel = Literal["machine", "history", "type", "plant", "limits"]
"""Level of a baseline: the machine's own, its short history, machines of its type, all machines of the plant, or limits
alone."""


class Score(Message):
    """Scores of one reading; null where the machine was not scored (off, idle, without any baseline)."""

    machine_id: MachineId
    timestamp: Timestamp
    anomaly_score: Annotated[Share | None, Field(description="In [0, 1]; high means anomalous.")] = None
    is_anomaly: Annotated[bool, Field(description="True from a score of 0.5 on.")] = False
    risk: Annotated[Risk | None, Field(description="0 above 7 days to failure, 1, 2 and 3 at 7, 3 and 1 days.")] = None
    condition: Condition = "running"
    warm_up: Annotated[bool, Field(description="True while the machine's baseline is still being learned.")] = False
    warm_up_progress: Annotated[
        Share | None, Field(description="Share of the warm-up that is over, 1 when learned.")
    ] = None
    level: Annotated[BaselineLevel, Field(description="Level of the baseline that the reading is compared with.")] = (
        "machine"
    )
    confidence: Annotated[
        Share | None, Field(description="Confidence in the baseline, in [0, 1]; 1 for a learned one of the machine.")
    ] = None
