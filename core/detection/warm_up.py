"""Warm-up of machines: the readings they learn from, and the baselines fitted to them.

An early look at the first ten readings, repeated at each doubling, estimates level and noise, so that jumps are
detected before the warm-up is complete. Slow sensors are compared with their daily habits instead.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from core.arrays import Features, Floats, Ints
from core.detection.baseline import Baseline, fit_baseline, look_at
from core.detection.tracking import is_early_look
from core.plant import Plant
from core.state.tracks import Tracks, watched_sensors

EARLY: Final = 10
"""Readings of a first look."""
_NEVER: Final = 1 << 40
_LATELY: Final = 12  # readings that make the recent level of a machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Learners:
    """The machines of a batch that are in warm-up.

    slots (l,): their table rows. buffers (l, warm-up, D): their readings; buffer_of (m,): row by slot, -1 for others.
    """

    slots: list[int]
    buffers: Features
    buffer_of: Ints
    early: int
    tracks: Tracks
    plant: Plant

    @classmethod
    def of(cls, slots: Ints, *, tracks: Tracks, warm_ups: dict[int, Features], plant: Plant) -> Self:
        """Return the learners among `slots`, with their readings in `warm_ups`."""
        size, width = plant.warm_up_readings, len(watched_sensors(plant))
        learning = [slot for slot in np.unique(slots).tolist() if not tracks.fitted[slot]]
        buffer_of = np.full(len(tracks.last_offset), -1, dtype=np.int64)
        buffer_of[learning] = np.arange(len(learning))
        learners = cls(
            slots=learning,
            buffers=np.empty((len(learning), size, width), dtype=np.float32),
            buffer_of=buffer_of,
            early=_NEVER if plant.detector == "seasonal" else EARLY,
            tracks=tracks,
            plant=plant,
        )
        for slot in learning:
            known = warm_ups.get(slot)
            if known is not None:
                # a plant file that now asks for fewer readings than were kept takes the first of them
                tracks.learned[slot] = min(len(known), size)
                learners.buffers[buffer_of[slot], : min(len(known), size)] = known[:size]
                if learners.early <= tracks.learned[slot] < size:
                    learners._look(slot)
        return learners

    def fit_complete(self) -> None:
        """Fit a baseline for each machine whose warm-up is complete."""
        for slot in self.slots:
            if self.tracks.learned[slot] >= self.buffers.shape[1] and not self.tracks.fitted[slot]:
                rows = self.buffers[self.buffer_of[slot]]
                before = self._level(slot)
                self.tracks.set_baseline(slot, _baseline(rows, self.plant))
                self._place_level(slot, before, rows)

    def look_early(self, slot: int) -> None:
        """Fit a provisional baseline for the machine in `slot` if it has the readings of an early look."""
        if not self.tracks.fitted[slot] and is_early_look(self.tracks.learned[slot], self.early):
            before = self._level(slot)
            self._look(slot)
            self._place_level(slot, before, self.buffers[self.buffer_of[slot], : self.tracks.learned[slot]])

    def keep(self, warm_ups: dict[int, Features]) -> None:
        """Store the readings of machines still in warm-up in `warm_ups`, and drop those of the others."""
        for slot in self.slots:
            if self.tracks.fitted[slot]:
                warm_ups.pop(slot, None)
            else:
                warm_ups[slot] = self.buffers[self.buffer_of[slot], : self.tracks.learned[slot]].copy()
                # what an early look told follows from them, and is not kept: a restart changes nothing
                self.tracks.mean[slot], self.tracks.scale[slot], self.tracks.noise[slot] = 0.0, 1.0, 1.0

    def _look(self, slot: int) -> None:
        looks = self.early
        while 2 * looks <= self.tracks.learned[slot]:
            looks *= 2
        found = look_at(
            self.buffers[self.buffer_of[slot], :looks].astype(np.float64),
            least_scale=_least_scale(self.plant),
            by_noise=self.plant.detector != "distance",
        )
        self.tracks.mean[slot], self.tracks.scale[slot], self.tracks.noise[slot] = found.mean, found.scale, found.noise

    def _level(self, slot: int) -> Floats:
        """Return the recent level of a machine in its sensors' units, NaN where unknown, (D,)."""
        tracks = self.tracks
        if tracks.learned[slot] <= self.early:
            return np.full(tracks.mean.shape[1], np.nan)
        return np.asarray(tracks.mean[slot] + tracks.level[slot] * tracks.scale[slot])

    def _place_level(self, slot: int, before: Floats, rows: Features) -> None:
        """Set the recent level to `before`, (D,), or where that is NaN to the mean of the newest `rows`."""
        newest = rows[-_LATELY:].astype(np.float64)
        known = np.isfinite(newest)
        mean = np.where(known, newest, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        mean = np.where(np.isnan(before) & known.any(axis=0), mean, before)
        self.tracks.level[slot] = np.nan_to_num((mean - self.tracks.mean[slot]) / self.tracks.scale[slot])


def _baseline(rows: Features, plant: Plant) -> Baseline:
    policy = plant.detection
    return fit_baseline(
        rows.astype(np.float64),
        smoothing=(policy.fast_smoothing, policy.slow_smoothing),
        false_alarm_rate=policy.false_alarm_rate,
        least_scale=_least_scale(plant),
    )


def _least_scale(plant: Plant) -> Floats:
    return np.array([plant.sensors[index].minimum_deviation / 3 for index in watched_sensors(plant)])
