"""Rate limit with a burst of up to ten seconds' worth."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_BURST_SECONDS: Final = 10.0


@dataclass(slots=True, kw_only=True)
class Allowance:
    """A token bucket. rate: a second; clock: s."""

    rate: float
    clock: Callable[[], float]
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._at = self.rate * _BURST_SECONDS, self.clock()

    def take(self) -> bool:
        """Take one token; return whether one was left."""
        now = self.clock()
        passed, self._at = max(0.0, now - self._at), now
        self._left = min(self.rate * _BURST_SECONDS, self._left + self.rate * passed)
        if self._left < 1:
            return False
        self._left -= 1
        return True
