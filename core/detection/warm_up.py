"""Warm-up of machines: the readings they learn from, and the baselines fitted to them.

An early look at the first ten readings, repeated at each doubling, estimates level and noise, so that jumps are
detected before the warm-up is complete. Slow sensors are compared with their daily habits instead.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from core.arrays import Bools, Features, Floats, Ints
from core.detection.baseline import Baseline, first_look, fit_baseline
from core.plant import Plant
from core.state.tracks import Tracks, watched_sensors

EARLY: Final = 10
"""Readings of a first look."""
_NEVER: Final = 1 << 40
_LATELY: Final = 12  # readings that make the recent level of a machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Learners:
    """The machines of a batch that are in warm-up.

    warm_ups: readings so far by table row, (k, D) each; filled and dropped here. looks: what early looks at them told,
    (3, D) each: mean, scale and noise; in the table during a batch only, as they follow from the readings and are not
    saved. waiting (m,): table rows of machines that are to be fitted before their next reading.
    """

    warm_ups: dict[int, Features]
    looks: dict[int, Floats]
    waiting: Bools
    early: int
    tracks: Tracks
    plant: Plant

    @classmethod
    def of(
        cls, slots: Ints, *, tracks: Tracks, warm_ups: dict[int, Features], looks: dict[int, Floats], plant: Plant
    ) -> Self:
        """Return the learners among `slots`, with what `warm_ups` and `looks` have of them."""
        size = plant.warm_up_readings
        learners = cls(
            warm_ups=warm_ups,
            looks=looks,
            waiting=np.zeros(len(tracks.last_offset), dtype=np.bool_),
            early=_NEVER if plant.detector == "seasonal" else EARLY,
            tracks=tracks,
            plant=plant,
        )
        for slot in np.unique(slots[~tracks.fitted[slots]]).tolist():
            known = warm_ups.get(slot)
            if known is None:
                continue
            if len(known) >= size:
                # a plant file that now asks for fewer readings than were kept takes the first of them
                known = warm_ups[slot] = known[:size]
                learners.waiting[slot] = True
            tracks.learned[slot] = len(known)
            if learners.early <= len(known) < size:
                look = looks.get(slot)
                if look is None:
                    learners._look(slot)
                else:
                    tracks.mean[slot], tracks.scale[slot], tracks.noise[slot] = look
        return learners

    def learn(self, slots: Ints, rows: Floats) -> None:
        """Add readings, (n, D), to those that the machines in `slots`, (n,), learn from."""
        if not len(slots):
            return
        order = np.argsort(slots, kind="stable")
        kept = rows[order].astype(np.float32)
        found, starts = np.unique(slots[order], return_index=True)
        ends = [*starts[1:].tolist(), len(order)]
        for slot, start, end in zip(found.tolist(), starts.tolist(), ends, strict=True):
            known = self.warm_ups.get(slot)
            new = kept[start:end]
            self.warm_ups[slot] = new.copy() if known is None else np.concatenate([known, new])

    def fit_waiting(self) -> None:
        """Give each machine that waits a baseline, or, where it has not read enough for that, one for the meantime."""
        for slot in np.flatnonzero(self.waiting).tolist():
            rows, before = self.warm_ups[slot], self._level(slot)
            if len(rows) < self.plant.warm_up_readings:
                self._look(slot)
            else:
                self.tracks.set_baseline(slot, _baseline(rows, self.plant))
                del self.warm_ups[slot]
                self.looks.pop(slot, None)
            self._place_level(slot, before, rows)
        self.waiting[:] = False

    def release_looks(self, slots: Ints) -> None:
        """Reset the unsaved baselines of learning machines in `slots`, so that a restart changes nothing."""
        learning = np.unique(slots[~self.tracks.fitted[slots]])
        self.tracks.mean[learning], self.tracks.scale[learning], self.tracks.noise[learning] = 0.0, 1.0, 1.0

    def _look(self, slot: int) -> None:
        looks = self.early
        while 2 * looks <= self.tracks.learned[slot]:
            looks *= 2
        found = first_look(
            self.warm_ups[slot][:looks].astype(np.float64),
            least_scale=_least_scale(self.plant),
            by_noise=self.plant.detector != "distance",
        )
        look = self.looks[slot] = np.stack([found.mean, found.scale, found.noise])
        self.tracks.mean[slot], self.tracks.scale[slot], self.tracks.noise[slot] = look

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
