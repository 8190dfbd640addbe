"""Slow states of a simulated machine (condition, load, temperature) by the minute, one UTC day at a time.

The states are functions of event time. A day's grid begins eight hours before midnight, longer than temperature lags
behind power, so that each day can be computed alone and continues its neighbours.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from core.arrays import Bools, Codes, Floats, Ints
from producer.chance import Chance
from producer.physics import Physics
from producer.shifts import (
    DAY_MINUTES,
    GRID_MINUTES,
    IDLE,
    LEAD_MINUTES,
    MAINTENANCE,
    RUNNING,
    WEEK_MINUTES,
    WEEKS,
    local_minutes,
)
from producer.wear import DAY_SECONDS, Lives

States = Codes

_HOUR: Final = 60
_SATURDAY: Final = 5
_LOWEST_LOAD: Final = 0.42
_STOP_CHANCE: Final = 0.012  # of an unplanned stop, each running hour
_STOP_MINUTES: Final = (6.0, 20.0)
_KEPT_DAYS: Final = 3
_TRENDS: Final = (  # name, seconds between knots, standard deviation as a share of rated power
    ("minutes", 1200.0, 0.010),
    ("hours", 4 * 3600.0, 0.012),
    ("days", 3 * DAY_SECONDS, 0.008),
    ("weeks", 16 * DAY_SECONDS, 0.012),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Smooth states of D days, (D, GRID_MINUTES) each; `rows[day]` is the row of a UTC day since 1970."""

    rows: dict[int, int]
    state: States
    load: Floats  # power of the work, share of rated power
    heat: Floats  # power after the thermal lag, share of rated power


@dataclass(frozen=True, kw_only=True)
class MachineDays:
    """One machine's days. `epoch` and `running_from` (no stop from then on) are epoch seconds."""

    physics: Physics
    lives: Lives
    chance: Chance
    timezone: str
    epoch: float
    running_from: float | None
    _kept: dict[int, Grid] = field(default_factory=dict, init=False, repr=False)
    _minutes_run: list[int] = field(default_factory=lambda: [0], init=False, repr=False)
    _minutes_at: dict[float, int] = field(default_factory=dict, init=False, repr=False)

    def states(self, days: Ints) -> States:
        """Return the state in each minute of the grids of UTC `days`, (D, GRID_MINUTES)."""
        crew_delay = int(16 * self.chance.child("crew").uniform(np.zeros(1, np.int64))[0]) - 8
        planned = WEEKS[self.physics.week][(self._local(days) - crew_delay) % WEEK_MINUTES]
        minutes = _grid_minutes(days)
        stopped = self._stopped(minutes - int(self.epoch // 60)) & (planned == RUNNING)
        state = np.where(stopped, np.int8(IDLE), planned)
        seconds = np.asarray(minutes * 60.0, dtype=np.float64)
        in_repair = seconds < self.lives.repaired[self.lives.life_at(seconds)]
        state = np.where(in_repair, np.int8(MAINTENANCE), state)
        if self.running_from is not None:
            state = np.where(seconds >= self.running_from, np.int8(RUNNING), state)
        result: States = state
        return result

    def grid(self, days: Ints) -> Grid:
        """Return the grids of UTC `days`, distinct and rising. The latest single days are cached."""
        if len(days) == 1 and int(days[0]) in self._kept:
            return self._kept[int(days[0])]
        state = self.states(days)
        seconds = np.asarray(_grid_minutes(days) * 60.0, dtype=np.float64)
        load = self._load(seconds, self._local(days))
        drawn = np.where(state == RUNNING, self.running_share(load), 0.0)
        drawn = np.where(state == IDLE, self.physics.idle_power / self.physics.rated_power, drawn)
        grid = Grid(
            rows={int(day): row for row, day in enumerate(days)},
            state=state,
            load=load,
            heat=_lagged(drawn, self.physics.thermal_seconds),
        )
        if len(days) == 1:
            while len(self._kept) >= _KEPT_DAYS:
                del self._kept[next(iter(self._kept))]
            self._kept[int(days[0])] = grid
        return grid

    def running_share(self, load: Floats) -> Floats:
        """Return the power of a running machine as a share of rated power: idle power plus work."""
        idle = self.physics.idle_power / self.physics.rated_power
        return idle + (1.0 - idle) * load

    def minutes_before(self, day: Ints) -> Ints:
        """Return minutes run from the day of the epoch to the beginning of each UTC day, none before the epoch's."""
        origin = int(self.epoch // DAY_SECONDS)
        known = len(self._minutes_run)
        missing = int(day.max()) - origin + 1 - known
        if missing > 0:
            begin = origin + known - 1
            run = (of_day(self.states(np.arange(begin, begin + missing))) == RUNNING).sum(axis=1)
            for minutes in run.tolist():
                self._minutes_run.append(self._minutes_run[-1] + minutes)
        counted: Ints = np.asarray(self._minutes_run, dtype=np.int64)[day - origin]
        return counted

    def minutes_at(self, seconds: float) -> int:
        """Return minutes run from the day of the epoch to an instant on a whole minute; cached."""
        if seconds not in self._minutes_at:
            day, minute = divmod(int(seconds // 60), DAY_MINUTES)
            state = of_day(self.states(np.array([day])))[0, :minute]
            run = int(self.minutes_before(np.array([day]))[0]) + int((state == RUNNING).sum())
            self._minutes_at[seconds] = run
        return self._minutes_at[seconds]

    def _local(self, days: Ints) -> Ints:
        return np.stack([local_minutes(int(day), self.timezone) for day in days])

    def _stopped(self, minute: Ints) -> Bools:
        """Return the minutes of unplanned stops, in the shape of `minute`; some hours have one short stop."""
        hour = minute // _HOUR
        first, last = int(hour.min()), int(hour.max())
        draws = self.chance.child("stops").uniform(np.arange(first * 3, (last + 1) * 3)).reshape(-1, 3)
        happens, begin, length = draws[hour - first].transpose(2, 0, 1)
        shortest, longest = _STOP_MINUTES
        length = shortest + (longest - shortest) * length
        begin = (_HOUR - length) * begin
        into = minute % _HOUR
        stopped: Bools = (happens < _STOP_CHANCE) & (into >= begin) & (into < begin + length)
        return stopped

    def _load(self, seconds: Floats, local: Ints) -> Floats:
        """Return the load, a share of rated power: its course by hour, day and week, with slow trends."""
        own = self.physics
        minute = local % DAY_MINUTES
        load = own.base_load + own.daily_swing * np.cos(2 * np.pi * (minute - 14 * _HOUR) / DAY_MINUTES)
        load += 0.3 * own.daily_swing * np.cos(4 * np.pi * (minute - 10 * _HOUR) / DAY_MINUTES)
        load += 0.01 * np.sin(2 * np.pi * minute / _HOUR)
        load -= own.weekend_drop * (local % WEEK_MINUTES // DAY_MINUTES >= _SATURDAY)
        for name, every, size in _TRENDS:
            trend = self.chance.child("trend", name).wander(seconds.ravel() - self.epoch, every=every)
            load += size * trend.reshape(load.shape)
        clipped: Floats = np.clip(load, _LOWEST_LOAD, 1.0)
        return clipped


def of_day(grid: Codes) -> Codes:
    """Return the 1440 minutes of each day, without lead and end, (D, 1440)."""
    return grid[:, LEAD_MINUTES : LEAD_MINUTES + DAY_MINUTES]


def _grid_minutes(days: Ints) -> Ints:
    """Return minutes since 1970 of the grids of UTC `days`, (D, GRID_MINUTES)."""
    minutes: Ints = days[:, None] * DAY_MINUTES + (np.arange(GRID_MINUTES) - LEAD_MINUTES)
    return minutes


def _lagged(drawn: Floats, time_constant: float) -> Floats:
    """Return `drawn` after a first-order lag of `time_constant` seconds, in steps of a minute, as a weighted sum."""
    decay = np.exp(-60.0 / time_constant)
    growth = decay ** -np.arange(drawn.shape[1], dtype=np.float64)
    lagged: Floats = np.cumsum(drawn * growth, axis=1) / growth * (1.0 - decay)
    return lagged
