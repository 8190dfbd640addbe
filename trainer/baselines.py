"""Baselines of machine types, part of a model version, for machines without a baseline of their own."""

from typing import Final

import numpy as np
from scipy.special import chdtri

from core.adhoc.rows import row_features
from core.arrays import Bools
from core.detection.features import physical
from core.models import WHOLE_PLANT, AnomalyModel, Reference
from core.plant import Plant
from core.state.tracks import watched_sensors
from core.state.traits import traits_of
from runtime.models.inference import TypeBaseline
from trainer.datasets import Datasets

_LEAST_ROWS: Final = 500
_MOST_ASKED: Final = 5_000


def type_baselines(data: Datasets, normal: Bools, *, plant: Plant, model: AnomalyModel) -> dict[str, TypeBaseline]:
    """Return the baseline of each machine type with enough `normal` readings of running machines, and the plant's.

    Mean and spread are those of the readings as they are, differences between machines included: such a baseline
    is wider than a machine's own. Its limit is counted, because readings of many machines and loads follow no
    textbook; where that gives less than the textbook, a few known machines do not speak for those unknown.
    """
    rate = plant.detection.false_alarm_rate
    watched = list(watched_sensors(plant))
    values = physical(data.batch.values, plant)[:, watched]
    names = tuple(plant.sensor_names[index] for index in watched)
    least = np.array([plant.sensors[index].minimum_deviation / 3 for index in watched])
    kinds = [plant.type_of(machine_id) for machine_id in data.batch.machine_ids]
    of_type = {
        kind.name: np.array([own is not None and own.name == kind.name for own in kinds])[data.batch.machine]
        for kind in plant.machine_types
    }
    # what counts is that a machine runs; its own warm-up is no concern of its type
    normal = normal & _running(data, plant)
    members = {WHOLE_PLANT: np.ones(len(values), dtype=np.bool_)} | of_type
    found = {}
    for name, chosen in members.items():
        rows = values[normal & chosen]
        rows = rows[~np.isnan(rows).all(axis=1)]
        if len(rows) < _LEAST_ROWS:
            continue
        spoken = ~np.isnan(rows).all(axis=0)
        mean, scale = np.full(len(watched), np.nan), np.ones(len(watched))
        mean[spoken], scale[spoken] = np.nanmean(rows[:, spoken], axis=0), np.nanstd(rows[:, spoken], axis=0)
        scale = np.maximum(scale, np.maximum(least, np.nan_to_num(1e-3 * np.abs(mean))))
        scale = np.where(scale > 0, scale, 1.0)
        distance = np.nansum(((rows - mean) / scale) ** 2, axis=1)
        reference = Reference(mean=mean, scale=scale, limit=1.0)
        sample = data.batch.values[normal & chosen]
        sample = sample[:: max(1, len(sample) // _MOST_ASKED)]
        scores = model.score(row_features(sample, reference, plant))
        found[name] = TypeBaseline(
            feature_names=names,
            mean=tuple(None if np.isnan(value) else float(value) for value in mean),
            scale=tuple(scale.tolist()),
            forest_limit=float(np.clip(np.quantile(scores, 1 - rate), 0.5, 1.0)),
            limit=max(float(np.quantile(distance, 1 - rate)), float(chdtri(len(watched), rate))),
        )
    return found


def _running(data: Datasets, plant: Plant) -> Bools:
    """Return readings with more power than an idle machine of their type draws, (n,); all where no power is known."""
    power = plant.index_of_role("power")
    if power is None:
        return np.ones(len(data.batch), dtype=np.bool_)
    idle = np.array([traits_of(plant, machine_id)[1] for machine_id in data.batch.machine_ids])
    above: Bools = data.batch.values[:, power] >= idle[data.batch.machine]
    return above
