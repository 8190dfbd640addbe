"""Clocks of a process, created in its composition root and passed down."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Both clocks. wall: epoch s, may jump. monotonic: s since an arbitrary start, never decreasing."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]


SYSTEM_CLOCK: Final = Clock(wall=time.time, monotonic=time.monotonic)
