"""One contract for all detectors: direction, range, missing values, batches, masking, and parts that sum."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arrays import Bools, Floats
from core.assess import assess
from core.batch import ReadingBatch
from core.detection.features import observe
from core.models import Models
from core.plant import Plant
from core.row_results import RowResults
from core.state import FleetState
from schemas.scores import FLAG_AT
from tests.builders import a_plant, a_sensor
from tests.core.streams import ForestOfOne

MONDAY: Final = 1_767_571_200.0
DETECTORS: Final = ("distance", "surprise", "both", "seasonal", "forest")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A detector with a plant that it suits: readings of one machine, calm but for what a test puts in."""

    plant: Plant
    models: Models
    sensors: int
    step: float
    calm: int
    after: int

    @property
    def length(self) -> int:
        return self.calm + self.after

    def values(self) -> Floats:
        random = np.random.default_rng(7)
        values = random.normal(50.0, 2.0, (self.length, self.sensors))
        part = MONDAY + self.step * np.arange(self.length)
        if self.plant.detector == "seasonal":
            values[:, 0] += 20 * np.sin(2 * np.pi * part / 86_400)
        return values

    def scores(self, values: Floats, *, places: tuple[int, ...] = ()) -> tuple[Floats, Bools]:
        """Scores, NaN where not scored, and flags of readings that come cut at these places."""
        state = FleetState(self.plant)
        scores, flags = [], []
        edges = sorted({0, *places, len(values)})
        for begin, end in pairwise(edges):
            number = np.arange(begin, end)
            batch = ReadingBatch.from_columns(
                ["m"] * (end - begin), MONDAY + self.step * number, values[begin:end], number
            )
            found = assess(batch, state=state, models=self.models, plant=self.plant)
            state = found.state
            scores.append(found.scores.anomaly)
            flags.append(found.scores.flagged)
        return np.concatenate(scores), np.concatenate(flags)


def subject(name: str) -> Subject:
    slow = name == "seasonal"
    sensors = 1 if slow else 3
    detector = "surprise" if name == "forest" else name
    plant = a_plant(
        sensors=[a_sensor(f"s{number}") for number in range(sensors)],
        interval_seconds=300.0 if slow else 60.0,
        detection={"warm_up_readings": 300, "detector": detector},
    )
    models = Models(anomaly=ForestOfOne(), flag_by="forest") if name == "forest" else Models()
    calm = 4 * 288 if slow else 400
    return Subject(plant=plant, models=models, sensors=sensors, step=300.0 if slow else 60.0, calm=calm, after=600)


every_detector = pytest.mark.parametrize("name", DETECTORS)


@every_detector
def test_a_large_fault_scores_high_and_calm_readings_score_low(name: str) -> None:
    one = subject(name)
    values = one.values()
    values[one.calm + 50 : one.calm + 100, 0] += 200.0
    scores, flags = one.scores(values)
    fault = slice(one.calm + 50, one.calm + 100)
    calm = scores[one.calm : one.calm + 50]
    assert np.nanmax(scores[fault]) > max(FLAG_AT, np.nanmax(calm))
    assert flags[fault].any()
    assert np.nanmedian(calm) < FLAG_AT


@every_detector
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_scores_are_within_0_and_1_whatever_comes(name: str, data: st.DataObject) -> None:
    one = subject(name)
    values = one.values()[: one.calm + 30]
    wild = st.one_of(st.floats(-1000.0, 1000.0), st.just(float("nan")), st.just(1e9))
    values[-30:] = np.array(data.draw(st.lists(wild, min_size=30 * one.sensors, max_size=30 * one.sensors))).reshape(
        30, one.sensors
    )
    scores, flags = one.scores(values)
    known = scores[np.isfinite(scores)]
    assert ((known >= 0) & (known <= 1)).all()
    np.testing.assert_array_equal(flags, np.nan_to_num(scores) >= FLAG_AT)


@every_detector
def test_a_reading_that_says_nothing_has_no_score_and_the_next_one_has(name: str) -> None:
    one = subject(name)
    values = one.values()
    values[one.calm + 10 : one.calm + 13] = np.nan
    scores, _ = one.scores(values)
    assert np.isnan(scores[one.calm + 10 : one.calm + 13]).all()
    assert np.isfinite(scores[one.calm + 13])


@every_detector
@given(places=st.lists(st.integers(1, 1700), max_size=4))
@settings(max_examples=4, deadline=None)
def test_how_readings_are_cut_into_batches_changes_no_score(name: str, places: list[int]) -> None:
    one = subject(name)
    values = one.values()
    values[one.calm + 50 : one.calm + 100, 0] += 200.0
    whole, _ = one.scores(values)
    cut, _ = one.scores(values, places=tuple(place % one.length for place in places))
    np.testing.assert_array_equal(whole, cut)


@every_detector
def test_a_small_fault_some_time_after_a_large_one_is_found(name: str) -> None:
    one = subject(name)
    values = one.values()
    values[one.calm : one.calm + 30, 0] += 400.0
    later = slice(one.calm + 430, one.calm + 470)
    values[later, 0] += 60.0
    scores, flags = one.scores(values)
    assert flags[later].any(), np.nanmax(scores[later])


@every_detector
def test_the_parts_of_the_sensors_sum_to_the_whole_and_the_faulty_one_has_most(name: str) -> None:
    one = subject(name)
    values = one.values()
    values[one.calm + 50 : one.calm + 60, -1] += 300.0
    rows = _rows(one, values)
    scored = rows.scored & (rows.contribution.sum(axis=1) > 0)
    assert scored.any()
    np.testing.assert_allclose(rows.contribution[scored].sum(axis=1), 1.0, atol=1e-5)
    assert (rows.contribution[one.calm + 51 : one.calm + 60].argmax(axis=1) == one.sensors - 1).all()


def _rows(one: Subject, values: Floats) -> RowResults:
    """What the pass over these readings found."""
    state = FleetState(one.plant)
    batch = ReadingBatch.from_columns(["m"] * len(values), MONDAY + one.step * np.arange(len(values)), values)
    return observe(
        batch,
        slots=state.slots_of(["m"])[batch.machine],
        values=batch.values,
        tracks=state.tracks,
        traits=state.traits,
        warm_ups=state.warm_ups,
        plant=one.plant,
        habits=state.habits,
    )
