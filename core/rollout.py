"""Whether a version that took over may stay: its calls against those of the version before, on the same readings."""

from dataclasses import dataclass

from core.detection.scoring import Calls


@dataclass(frozen=True, slots=True, kw_only=True)
class RateBounds:
    """How far the alert rate, raised / judged readings, may be from `usual`, that of the version before.

    At most `factor` times as much and `margin` more; at least usual / `factor` less `margin`. The margin is a share
    of all readings: of very few alerts, three times as many are still few.
    """

    factor: float
    margin: float

    def around(self, usual: float) -> tuple[float, float]:
        """Lowest and highest rate that stay within, in [0, 1]."""
        return max(0.0, usual / self.factor - self.margin), min(1.0, usual * self.factor + self.margin)


@dataclass(slots=True, kw_only=True)
class Probation:
    """The readings that a version and its predecessor both judged since the last look that found enough of them.

    least: readings that a look needs. judged, raised, raised_before: of the present look; raised by the version
    itself and by the one before.
    """

    name: str
    version: str
    former: str
    bounds: RateBounds
    least: int
    judged: int = 0
    raised: int = 0
    raised_before: int = 0

    def take(self, calls: tuple[Calls, ...]) -> None:
        """Counts a batch, if both versions judged it."""
        own = {call.version: call for call in calls if call.name == self.name}
        if self.version in own and self.former in own:
            self.judged += own[self.version].judged
            self.raised += own[self.version].raised
            self.raised_before += own[self.former].raised

    def complaint(self) -> str | None:
        """Why the version must go, or None; with enough readings within bounds, the next look begins."""
        if self.judged < self.least:
            return None
        rate, usual = self.raised / self.judged, self.raised_before / self.judged
        lowest, highest = self.bounds.around(usual)
        if lowest <= rate <= highest:
            self.judged = self.raised = self.raised_before = 0
            return None
        return (
            f"alert rate {rate:.1%} is outside {lowest:.1%} to {highest:.1%}, as {self.former} raises {usual:.1%} "
            f"on the same {self.judged:,} readings"
        )
