"""Findings of `nexova doctor`."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Result of one check: a `warning` may be intended, a failure (`failed`) keeps something from running."""

    check: str
    state: State
    detail: str
    remedy: str = ""
