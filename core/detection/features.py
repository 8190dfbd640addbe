"""From readings to features: each machine's running averages against its own baseline.

One compiled pass over a batch keeps, for every machine, what its sensors were and are. It yields the feature rows
of the models, the machine's own distance from normal, and each sensor's part in it.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Bools, Features, Floats, Ints
from core.batch import ReadingBatch
from core.detection.distance import score_distances
from core.detection.seasonal import score_habits
from core.detection.surprise import score_by_surprise
from core.detection.tracking import track
from core.detection.warm_up import Learners
from core.plant import Plant
from core.row_results import RowResults
from core.state.habits import Habits, habits_layout
from core.state.tables import allocate
from core.state.tracks import SLOW_HOURS, Tracks, tracks_layout, watched_sensors
from core.state.traits import MachineTraits, traits_of

FEATURES_VERSION: Final = 2
"""Raise when the meaning of a feature changes: models trained before are then refused."""


def anomaly_feature_names(plant: Plant) -> tuple[str, ...]:
    """Return the names of the anomaly features: each sensor's surprise in [-1, 1], and the longest runs in [0, 1]."""
    watched = [plant.sensors[index].name for index in watched_sensors(plant)]
    return (*(f"{name}.surprise" for name in watched), "stillness", "silence")


def maintenance_feature_names(plant: Plant) -> tuple[str, ...]:
    """Return the names of the maintenance features: slow averages in sensors' units, running hours, machine type."""
    watched = [plant.sensors[index].name for index in watched_sensors(plant)]
    slow = tuple(f"{name}.mean_{hours:g}h" for hours in SLOW_HOURS for name in watched)
    return (*slow, "runtime", "machine_type")


def feature_fingerprint(plant: Plant) -> str:
    """16 hex digits that change when models trained on these features would misread them."""
    identity = [
        FEATURES_VERSION,
        plant.fingerprint,
        anomaly_feature_names(plant),
        maintenance_feature_names(plant),
    ]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFrame:
    """Feature rows of a history: anomaly (n, Fa), maintenance (n, Fm), running (n,) once out of warm-up.

    scored (n,): shown to models in the stream, those of warm-ups included.
    distance: the score that the machine's own distance gives, (n,), NaN where not scored.
    """

    anomaly: Features
    maintenance: Features
    running: Bools
    scored: Bools
    distance: Floats


def observe(
    batch: ReadingBatch,
    *,
    slots: Ints,
    values: Floats,
    tracks: Tracks,
    traits: MachineTraits,
    warm_ups: dict[int, Features],
    plant: Plant,
    looks: dict[int, Floats] | None = None,
    habits: Habits | None = None,
) -> RowResults:
    """Run the readings of `batch` through their machines' tracks, in place, and return what each row showed.

    slots: table row of each reading, (n,). values: physical values, NaN where missing or impossible, (n, S).
    warm_ups: readings of machines that still learn, by slot; filled, fitted and dropped here. looks: what they told so
    far, kept for the next batch; None: nothing of it is known.
    habits: of slow sensors; None leaves them out.
    """
    watched = np.array(watched_sensors(plant), dtype=np.int64)
    if not len(watched):
        tracks.fitted[slots] = True  # meters alone: there is no baseline to learn
    learners = Learners.of(slots, tracks=tracks, warm_ups=warm_ups, looks={} if looks is None else looks, plant=plant)
    results = RowResults.empty(
        slots,
        sensors=len(plant.sensors),
        watched=len(watched),
        maintenance=len(maintenance_feature_names(plant)),
    )
    learned, rows = np.zeros(len(batch), dtype=np.bool_), np.arange(len(batch))
    learners.fit_waiting()
    while len(rows):
        # machines pause at the very reading that completes their warm-up or an early look at them
        done, rows = track(
            rows,
            slots,
            batch.timestamps,
            values,
            watched,
            _or_minus_one(plant.index_of_role("power")),
            _or_minus_one(plant.index_of_role("runtime")),
            np.array(SLOW_HOURS) * 3600.0,
            plant.detection.settle_seconds,
            learners.early,
            np.array([sensor.stuck_after_readings or 0 for sensor in plant.sensors]),
            tracks,
            traits,
            plant.detection.warm_up_readings,
            learners.waiting,
            learned,
            results,
        )
        score_distances(
            done,
            values,
            watched,
            np.array([plant.detection.fast_smoothing, plant.detection.slow_smoothing]),
            np.array([sensor.minimum_deviation for sensor in plant.sensors]),
            tracks,
            results,
        )
        learnt = done[learned[done]]
        learners.learn(slots[learnt], values[learnt][:, watched])
        learners.fit_waiting()
    learners.put_away(slots)
    score_by_surprise(results, values, plant)
    if habits is not None:
        score_habits(batch, values, tracks, habits, results, plant)
    return results


def _or_minus_one(index: int | None) -> int:
    return -1 if index is None else index


def extract(batch: ReadingBatch, *, plant: Plant) -> FeatureFrame:
    """Return the feature rows of a history that begins with `batch`: machines start without a baseline."""
    tracks = allocate(Tracks, tracks_layout(plant), len(batch.machine_ids))
    traits = MachineTraits(*np.array([traits_of(plant, machine_id) for machine_id in batch.machine_ids]).T.copy())
    results = observe(
        batch,
        slots=batch.machine,
        values=physical(batch.values, plant),
        tracks=tracks,
        traits=traits,
        warm_ups={},
        plant=plant,
        habits=allocate(Habits, habits_layout(plant), len(batch.machine_ids)),
    )
    return FeatureFrame(
        anomaly=results.anomaly,
        maintenance=results.maintenance,
        running=results.scored & results.warm,
        scored=results.scored,
        distance=results.distance,
    )


def physical(values: Floats, plant: Plant) -> Floats:
    """`values`, (n, S), with NaN for what lies outside a sensor's physical range."""
    lowest = np.array([sensor.minimum for sensor in plant.sensors])
    highest = np.array([sensor.maximum for sensor in plant.sensors])
    return np.where((values < lowest) | (values > highest), np.nan, values)
