"""Closing of hourly windows: by their machine's own time, or incomplete when the machine falls silent.

Each machine has its own time: another machine's clock closes none of its hours. A window is final once that time
has passed it and its grace. The hours of a machine that has fallen silent are published incomplete, and are not final.
Late readings lead to revisions, which are published at a bounded rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Floats, Ints
from core.energy.meter import CounterRules, counter_rules
from core.energy.windows import REVISION_SECONDS, Window, Windows
from core.plant import Plant
from schemas.energy import EnergyWindow

REVISED_EVERY_SECONDS: Final = 60.0
"""Minimum time by our clock between two revisions of a window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Rules by which windows close. interval_seconds: see `Window.summary`. counter_rules: of an energy counter."""

    grace_seconds: float
    interval_seconds: float
    counter_rules: CounterRules | None = None

    def by_own_time(
        self, windows: Windows, machine_ids: Sequence[str], slots: Ints, last_seen: Floats
    ) -> list[EnergyWindow]:
        """Return the windows closed by the readings of these machines, and drop those past revision.

        slots: table rows of the machines. last_seen: by table row, a machine's own time, epoch s. A window closes once,
        when its machine's time has passed it and its grace; later changes are published by `by_the_clock`.
        """
        closed = []
        own_time = last_seen[slots]
        for place in np.flatnonzero(windows.due[slots] <= own_time).tolist():
            machine_id, newest = machine_ids[place], float(own_time[place])
            for window in list(windows.of(machine_id).values()):
                drop = window.end + self.grace_seconds + REVISION_SECONDS < newest
                if (not window.final and self._is_over(window, newest)) or (drop and window.changed):
                    closed.append(self._publish(window, final=True))
                if drop:
                    windows.drop(machine_id, window.hour)
            self._plan(windows, machine_id, int(slots[place]))
        return closed

    def by_the_clock(self, windows: Windows, estimates: Mapping[str, float], *, now: float) -> list[EnergyWindow]:
        """Return the windows that close without a further reading, and the revisions that are due.

        estimates: estimated time of each machine that has been silent for long, epoch s. Its hours are
        published incomplete and not final: it may have buffered readings. now: seconds of any clock; a window is
        revised once in `REVISED_EVERY_SECONDS` at most.
        """
        published = [
            self._publish(window, final=False, now=now)
            for machine_id, estimate in estimates.items()
            for window in windows.of(machine_id).values()
            if window.published < 0 and self._is_over(window, estimate)
        ]
        for key in sorted(windows.late):
            window = windows.get(key)
            if window is not None and window.changed and 0 <= now - window.published_at < REVISED_EVERY_SECONDS:
                continue
            windows.late.discard(key)
            if window is not None and window.changed:
                published.append(self._publish(window, final=window.final, now=now))
        return published

    def _is_over(self, window: Window, now: float) -> bool:
        if window.end + self.grace_seconds > now:
            return False
        # an hour by a counter is over when no timely reading can change it, including those of the next hour
        rules = self.counter_rules
        if rules is None or window.counter is None or window.published >= 0:
            return True
        return window.counter.settled_at(rules) <= now - self.grace_seconds

    def _publish(self, window: Window, *, final: bool, now: float = float("-inf")) -> EnergyWindow:
        window.change(changed=False)
        window.disown()
        window.published += 1
        window.final, window.published_at = window.final or final, now
        summary = window.summary(
            window.published,
            interval_seconds=self.interval_seconds,
            counter_rules=self.counter_rules,
            final=window.final,
        )
        if window.final:
            window.close()
        return summary

    def _plan(self, windows: Windows, machine_id: str, slot: int) -> None:
        """Schedule the next check of a machine's windows."""
        own = windows.of(machine_id).values()
        windows.due[slot] = np.inf
        if own:
            drops = min(window.end for window in own) + self.grace_seconds + REVISION_SECONDS
            closes = min((window.end + self.grace_seconds for window in own if not window.final), default=np.inf)
            windows.due[slot] = min(closes, drops)


def closing_of(plant: Plant) -> Closing:
    """Return the closing rules of a plant."""
    return Closing(
        grace_seconds=plant.energy.grace_seconds,
        interval_seconds=plant.interval_seconds,
        counter_rules=counter_rules(plant),
    )
