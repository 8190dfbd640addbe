"""Faults put into held-out readings: where they are labelled, and nowhere else."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from core.plant import Plant
from trainer.cleaning import resting
from trainer.datasets import Datasets
from trainer.injected import LONGEST_HOURS, SHARE, with_injected_faults


@pytest.fixture(scope="module")
def data(table: pd.DataFrame, plant: Plant) -> Datasets:
    return Datasets.of_frame(table.drop(columns=["anomaly", "hours_to_failure"]), plant=plant)


def values_of(data: Datasets) -> NDArray[np.float64]:
    batch = data.batch
    return batch.values


def test_only_labelled_test_readings_of_running_machines_are_changed(data: Datasets, plant: Plant) -> None:
    evaluated = with_injected_faults(data, plant=plant, seed=1)
    assert evaluated.anomaly is not None
    before, after = values_of(data), values_of(evaluated)
    changed = ~((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=1)
    assert not (changed & ~evaluated.anomaly).any()
    assert changed.sum() > 0.9 * evaluated.anomaly.sum(), "a missing value stays missing"
    off, idle = resting(data.batch, plant)
    running = (data.split == 2) & ~off & ~idle
    assert not (evaluated.anomaly & ~running).any()
    assert evaluated.anomaly.sum() == pytest.approx(SHARE * running.sum(), rel=0.4)


def test_a_fault_moves_what_it_changes_by_more_than_the_plant_file_calls_no_anomaly(
    data: Datasets, plant: Plant
) -> None:
    before, after = values_of(data), values_of(with_injected_faults(data, plant=plant, seed=1))
    least = np.array([sensor.minimum_deviation for sensor in plant.sensors])
    moved = np.abs(after - before)
    # one that would leave what is possible stops there
    ends = np.array([[sensor.minimum, sensor.maximum] for sensor in plant.sensors]).T
    free = (moved > 0) & (after != ends[0]) & (after != ends[1])
    assert free.sum() > 50
    assert (moved >= least - 1e-9)[free].all()


def test_a_fault_lies_within_one_settled_run_of_a_machine_and_ends_in_hours(data: Datasets, plant: Plant) -> None:
    """Readings are half an hour apart, so that twenty of them would last ten hours, over night for most."""
    evaluated = with_injected_faults(data, plant=plant, seed=1)
    assert evaluated.anomaly is not None
    batch = data.batch
    off, idle = resting(batch, plant)
    rows = np.flatnonzero(evaluated.anomaly)
    begins = np.append(True, np.diff(rows) > 1)
    longest = LONGEST_HOURS * 3600 + 1
    for episode in np.split(rows, np.flatnonzero(begins)[1:]):
        assert np.ptp(batch.timestamps[episode]) < longest
        before = batch.timestamps[episode[0]] - plant.detection.settle_seconds
        earlier = (batch.machine == batch.machine[episode[0]]) & (batch.timestamps >= before)
        earlier &= np.arange(len(batch)) <= episode[0]
        assert not (off | idle)[earlier].any()


def test_the_same_seed_puts_in_the_same_faults(data: Datasets, plant: Plant) -> None:
    first, again, other = (with_injected_faults(data, plant=plant, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(values_of(first), values_of(again))
    assert (first.anomaly != other.anomaly).any()


def test_values_stay_possible(data: Datasets, plant: Plant) -> None:
    after = values_of(with_injected_faults(data, plant=plant, seed=1))
    lowest = np.array([sensor.minimum for sensor in plant.sensors])
    highest = np.array([sensor.maximum for sensor in plant.sensors])
    known = ~np.isnan(values_of(data))
    within = (after >= lowest) & (after <= highest)
    assert within[known & (values_of(data) >= lowest) & (values_of(data) <= highest)].all()
