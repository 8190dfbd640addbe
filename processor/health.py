"""Health checks: a lack of progress fails a check and, after a limit, ends the process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from runtime.errors import FailureError

CHECKS: Final = ("broker", "agent", "checkpoints", "recovery", "event_loop", "dead_letters")
_LOOP_LAG_LIMIT: Final = 5.0
_MOMENT_SECONDS: Final = 3.0
_DEAD_LETTER_WINDOW: Final = 60.0


class StalledError(FailureError):
    """The worker has made no progress for longer than allowed."""


@dataclass(slots=True)
class Health:
    """Health checks on the worker's figures. clock: monotonic, s.

    A failed check names the lack of progress, its duration, and the remedy. stall_seconds: time without progress after
    which a check fails; exit_after_seconds: after which the process ends.
    """

    stall_seconds: float
    exit_after_seconds: float
    clock: Callable[[], float]
    dead_letters_per_second: float | None = None
    lag_records: int = 0
    loop_lag_seconds: float = 0.0
    recovering: bool = True
    _since: dict[str, float] = field(default_factory=dict)
    _progress: tuple[int, float] = (0, 0.0)
    _checkpointed_at: float = 0.0
    _answered_at: float = 0.0
    _settled_at: float = 0.0
    _restore_steps: int = 0
    _pending: Sequence[int] = ()
    _reported: set[str] = field(default_factory=set)
    _letters: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        now = self.clock()
        self._progress = (0, now)
        self._checkpointed_at = now
        self._answered_at = now
        self._settled_at = now

    def observe(
        self,
        *,
        records_done: int,
        lag: Mapping[int, int],
        recovering: bool,
        loop_lag_seconds: float,
        checkpointed_at: float,
        dead_letters: int,
        answered_at: float,
        pending: Sequence[int] = (),
        restore_steps: int = 0,
    ) -> None:
        """Record the worker's figures: totals, lag by partition, last checkpoint, and last answer of the broker.

        pending: assigned partitions without a known lag, because their state is not restored or nothing was fetched.
        """
        now = self.clock()
        self.lag_records = sum(lag.values())
        if records_done != self._progress[0] or not self.lag_records or recovering:
            self._progress = (records_done, now)
        # assignments that follow each other, none of which leads to readings, are one recovery
        if not (recovering or pending) or restore_steps != self._restore_steps:
            self._settled_at = now
        self._restore_steps = restore_steps
        self._pending = pending
        self.recovering = recovering
        self.loop_lag_seconds = loop_lag_seconds
        self._answered_at = answered_at
        self._checkpointed_at = now if recovering else max(self._checkpointed_at, checkpointed_at)
        self._letters.append((now, dead_letters))
        self._letters = [(at, total) for at, total in self._letters if now - at <= _DEAD_LETTER_WINDOW]

    def failures(self) -> dict[str, str]:
        """Return the failing checks, each with its message."""
        now = self.clock()
        failed = {}
        unanswered = now - self._answered_at
        if unanswered > self.stall_seconds:
            failed["broker"] = f"no broker answered for {unanswered:.0f} s; check the broker and the network"
        idle = now - self._progress[1]
        if idle > self.stall_seconds:
            failed["agent"] = f"{self.lag_records} records wait, and none was processed for {idle:.0f} s; restart"
        unsaved = now - self._checkpointed_at
        if unsaved > self.stall_seconds:
            failed["checkpoints"] = f"no checkpoint succeeded for {unsaved:.0f} s; check the broker"
        waiting = now - self._settled_at
        if waiting > self.stall_seconds:
            which = f"partitions {', '.join(map(str, self._pending))}" if self._pending else "partitions"
            failed["recovery"] = f"{which} are not ready after {waiting:.0f} s; check the broker and the changelog"
        if self.loop_lag_seconds > _LOOP_LAG_LIMIT:
            failed["event_loop"] = f"the event loop was blocked for {self.loop_lag_seconds:.1f} s; lower the batch size"
        rate = self._dead_letter_rate()
        if self.dead_letters_per_second is not None and rate > self.dead_letters_per_second:
            failed["dead_letters"] = f"{rate:.1f} dead letters a second; find the sender in nexova.dead-letters"
        for check in list(self._since):
            if check not in failed:
                del self._since[check]
        for check in failed:
            self._since.setdefault(check, now)
        return failed

    def news(self) -> dict[str, str | None]:
        """Return the checks that fail since the last call, with their messages, and with None those that pass again.

        A check that fails for a moment is no news.
        """
        failed, now = self.failures(), self.clock()
        failed = {check: text for check, text in failed.items() if now - self._since[check] >= _MOMENT_SECONDS}
        news: dict[str, str | None] = {check: None for check in CHECKS if check in self._reported - failed.keys()}
        news |= {check: message for check, message in failed.items() if check not in self._reported}
        self._reported = set(failed)
        return news

    def fatal(self) -> str | None:
        """Return the reason to end the process now, or None."""
        failed = self.failures()
        grace = self.exit_after_seconds - self.stall_seconds
        for check, since in self._since.items():
            if self.clock() - since >= grace:
                return failed[check]
        return None

    def _dead_letter_rate(self) -> float:
        if len(self._letters) < 2:  # noqa: PLR2004  a rate needs two points
            return 0.0
        (first, before), (last, after) = self._letters[0], self._letters[-1]
        # divided by the whole window, so that a burst right after the start is no high rate
        return (after - before) / _DEAD_LETTER_WINDOW if last > first else 0.0
