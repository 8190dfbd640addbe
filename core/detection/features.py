"""Features of readings: running averages of each machine relative to its own baseline.

One compiled pass over a batch updates the state of every machine's sensors. It yields the feature rows
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
from core.detection.units import dependents, unit_codes
from core.detection.warm_up import Learners
from core.plant import Plant
from core.row_results import RowResults
from core.state.habits import Habits, habits_layout
from core.state.tables import allocate
from core.state.tracks import Tracks, tracks_layout, watched_sensors
from core.state.traits import MachineTraits, traits_of

FEATURES_VERSION: Final = 2
"""Raise when the meaning of a feature changes: models trained before are then refused."""


def anomaly_feature_names(plant: Plant) -> tuple[str, ...]:
    """Return the names of the anomaly features: each sensor's surprise in [-1, 1], and the longest runs in [0, 1]."""
    watched = [plant.sensors[index].name for index in watched_sensors(plant)]
    return (*(f"{name}.surprise" for name in watched), "stillness", "silence")


def maintenance_feature_names(plant: Plant) -> tuple[str, ...]:
    """Return the names of the maintenance features: slow averages in sensors' units, running hours, machine type.

    Running hours are those that a sensor counts or, where none does, those seen since the machine or its last
    maintenance began.
    """
    watched = [plant.sensors[index].name for index in watched_sensors(plant)]
    slow = tuple(f"{name}.mean_{hours:g}h" for hours in plant.average_hours for name in watched)
    return (*slow, "running_hours" if plant.index_of_role("runtime") is None else "runtime", "machine_type")


def feature_fingerprint(plant: Plant) -> str:
    """Return 16 hex digits that change when models trained on these features become incompatible."""
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
    """Update the tracks of the machines with the readings of `batch`, in place, and return the results of each row.

    slots: table row of each reading, (n,). values: physical values, NaN where missing or impossible, (n, S);
    those in another unit become NaN here, so that nothing that follows uses them.
    warm_ups: readings of machines in warm-up, by slot; filled, fitted and dropped here.
    looks: early looks at those machines, by slot, for the next batch; None: none are kept.
    habits: of slow sensors; None skips them.
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
        # a machine pauses at the reading that completes its warm-up or an early look
        done, rows = track(
            rows,
            slots,
            batch.timestamps,
            values,
            watched,
            _or_minus_one(plant.index_of_role("power")),
            _or_minus_one(plant.index_of_role("runtime")),
            np.array(plant.average_hours) * 3600.0,
            plant.detection.settle_seconds,
            learners.early,
            plant.detection.new_normal_after_seconds,
            np.array([sensor.stuck_after_readings or 0 for sensor in plant.sensors]),
            np.array([sensor.interval_seconds or 0.0 for sensor in plant.sensors]),
            unit_codes(plant),
            dependents(plant),
            tracks,
            traits,
            plant.warm_up_readings,
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
            plant.interval_seconds,
            plant.detection.new_normal_after_seconds,
            tracks,
            results,
        )
        learnt = done[learned[done]]
        learners.learn(slots[learnt], values[learnt][:, watched])
        learners.fit_waiting()
    learners.release_looks(slots)
    score_by_surprise(results, values, plant)
    if habits is not None:
        score_habits(batch, values, tracks, habits, results, plant)
    return results


def _or_minus_one(index: int | None) -> int:
    return -1 if index is None else index


def extract(batch: ReadingBatch, *, plant: Plant) -> FeatureFrame:
    """Return the feature rows of a history that begins with `batch`; machines start without a baseline."""
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
    """Return `values`, (n, S), with NaN for values outside a sensor's physical range, and derived sensors computed."""
    lowest = np.array([sensor.minimum for sensor in plant.sensors])
    highest = np.array([sensor.maximum for sensor in plant.sensors])
    found = np.where((values < lowest) | (values > highest), np.nan, values)
    for index, formula in plant.derived:
        value = formula({name: found[:, plant.sensor_names.index(name)] for name in formula.names})
        found[:, index] = np.where((value < lowest[index]) | (value > highest[index]), np.nan, value)
    return found
