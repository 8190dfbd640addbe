"""What a check of `nexova doctor` found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found: `warning` may be meant so, `failed` keeps something from running."""

    check: str
    state: State
    detail: str
    remedy: str = ""
