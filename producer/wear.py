"""Wear and failures of a machine: components age, the failure of one ends a life, and maintenance begins the next.

Wear is a function of time alone: slow at first and faster in the last days, with a pace and a fluctuation that differ
between lives, so that the sensors reflect it but no formula computes it from a single reading.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from core.arrays import Floats, Ints
from producer.chance import Chance

DAY_SECONDS: Final = 86_400.0
_DRAWS: Final = 16  # numbers kept for each life
_LIVES: Final = 512  # some thirty years
_LEAST_LIFE_DAYS: Final = 11.0
_LIFE_SCALE_DAYS: Final = 34.0
_LIFE_SHAPE: Final = 1.3
_PACE_DAYS: Final = 5.0  # wear is 1/e of full wear so long before failure
_PACE_SPREAD: Final = 0.06
_CREEP: Final = 0.03  # wear by age alone
_WOBBLE: Final = 0.02
_WOBBLE_SECONDS: Final = 12 * 3600.0
_PLANNED_SHARE: Final = 0.20  # lives that planned maintenance ends early
_REPAIR_HOURS: Final = (1.5, 3.5)


@dataclass(frozen=True, kw_only=True)
class Lives:
    """A machine's lives, one after the other. Times are epoch seconds on whole minutes.

    epoch: beginning of the simulation. least_days: the first life lasts at least so long after it. stagger: position
    of the epoch in the first life, from 0, close to its end, to 1, at its beginning.
    """

    chance: Chance
    components: int
    epoch: float
    least_days: float
    stagger: float

    @cached_property
    def _draws(self) -> Floats:
        return self.chance.uniform(np.arange(_LIVES * _DRAWS)).reshape(_LIVES, _DRAWS)

    @cached_property
    def _days_by_component(self) -> Floats:
        """Days from the start of a life to the failure of each component, (lives, components)."""
        return _LEAST_LIFE_DAYS + _LIFE_SCALE_DAYS * (-np.log(self._draws[:, : self.components])) ** (1.0 / _LIFE_SHAPE)

    @cached_property
    def starts(self) -> Floats:
        """Begin of each life, (lives,); a life ends where the next begins."""
        days = self._days_by_component.min(axis=1)
        planned = self._draws[:, 8] < _PLANNED_SHARE
        lasting = np.where(planned, days * (0.55 + 0.35 * self._draws[:, 9]), days)
        least = min(self.least_days, float(lasting[0]))
        left = least + (lasting[0] - least) * self.stagger
        ends = self.epoch + (left + np.concatenate([[0.0], np.cumsum(lasting[1:])])) * DAY_SECONDS
        begins = np.concatenate([[ends[0] - lasting[0] * DAY_SECONDS], ends[:-1]])
        whole: Floats = np.round(begins / 60.0) * 60.0
        return whole

    @cached_property
    def repaired(self) -> Floats:
        """End of the repair at the beginning of each life, (lives,)."""
        shortest, longest = _REPAIR_HOURS
        hours = shortest + (longest - shortest) * self._draws[:, 10]
        done: Floats = self.starts + np.round(hours * 60.0) * 60.0
        return done

    @cached_property
    def _failures(self) -> Floats:
        """Time at which each component fails, or would fail without maintenance, (lives, components)."""
        return self.starts[:, None] + self._days_by_component * DAY_SECONDS

    def life_at(self, seconds: Floats) -> Ints:
        """Return the index of the life of each instant, (n,); instants before the first life belong to it."""
        at: Ints = np.clip(np.searchsorted(self.starts, seconds, side="right") - 1, 0, None)
        return at

    def hours_to_failure(self, seconds: Floats) -> Floats:
        """Return the hours until the first component fails if nobody intervenes, at least 0, (n,)."""
        failing = self._failures[self.life_at(seconds)].min(axis=1)
        hours: Floats = np.maximum(failing - seconds, 0.0) / 3600.0
        return hours

    def wear(self, seconds: Floats) -> Floats:
        """Return the wear of each component, (n, components), from 0 (new) to about 1 (failure)."""
        life = self.life_at(seconds)
        failures = self._failures[life]
        left_days = np.maximum(failures - seconds[:, None], 0.0) / DAY_SECONDS
        begun = self.starts[life][:, None]
        age = np.clip((seconds[:, None] - begun) / np.maximum(failures - begun, 60.0), 0.0, 1.0)
        pace = _PACE_DAYS * (1.0 + _PACE_SPREAD * (2.0 * self._draws[life, 3 : 3 + self.components] - 1.0))
        wobble = 1.0 + _WOBBLE * self.chance.child("wobble").wander(seconds, every=_WOBBLE_SECONDS)[:, None]
        wear: Floats = (_CREEP * age + (1.0 - _CREEP) * np.exp(-left_days / pace)) * wobble
        return wear
