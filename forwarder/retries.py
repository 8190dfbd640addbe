"""Waiting times between attempts; pure."""

from dataclasses import dataclass
from typing import Final

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0


@dataclass(slots=True)
class Backoff:
    """Waits that double from the first to the longest; `reset` after a success.

    longest: in seconds; a receiver that names a wait of its own is given that, up to the longest.
    """

    first: float = FIRST_SECONDS
    longest: float = LONGEST_SECONDS
    tries: int = 0

    def next(self, asked_seconds: float | None = None) -> float:
        """Return the seconds to wait before the next attempt."""
        wait = min(self.longest, self.first * 2.0**self.tries)
        self.tries = min(self.tries + 1, 30)
        return wait if asked_seconds is None else min(self.longest, max(wait, asked_seconds))

    def reset(self) -> None:
        """Start again with the first wait."""
        self.tries = 0
