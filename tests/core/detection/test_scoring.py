"""Versions shadowed the one that runs: they judge the same readings, and nobody hears of it but by their calls."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from core.arrays import Features
from core.assess import assess
from core.batch import ReadingBatch
from core.maintenance import ADVISE_AT
from core.models import Models
from core.rollout import AlertCounts
from core.state.fleet import FleetState
from tests.builders import a_batch, a_plant, normal_rows
from tests.core.streams import MODELS, PLANT, remembered, row_scores, run_batches, streams


class Alarmed:
    """A challenger that finds everything rare."""

    name = "forest"
    version = "8"

    def score(self, features: Features) -> NDArray[np.float64]:
        return np.ones(len(features))


class Worried:
    """A challenger that finds every machine worn."""

    name = "risk"
    version = "4"

    def risk(self, features: Features) -> NDArray[np.float64]:
        return np.full(len(features), 3.0)


TRIED = replace(MODELS, shadows=(Models(anomaly=Alarmed()), Models(maintenance=Worried())))


@given(streams())
@settings(max_examples=30)
def test_what_is_only_tried_changes_nothing_that_is_said_or_remembered(stream: ReadingBatch) -> None:
    alone, state = run_batches([stream])
    shadowed, other = run_batches([stream], models=TRIED)
    assert shadowed == alone
    assert remembered(other) == remembered(state)


@given(streams())
@settings(max_examples=30)
def test_every_version_judges_the_same_readings_and_its_calls_are_what_it_would_raise(stream: ReadingBatch) -> None:
    assessment = assess(stream, state=FleetState(PLANT), models=TRIED, plant=PLANT)
    rows = row_scores(assessment.scores)
    scored = sum(row.anomaly is not None for row in rows)
    advised = [row.risk for row in rows if row.risk is not None and row.warm]
    assert assessment.alert_counts == (
        AlertCounts(name="forest", version="7", scored=scored, alerting=sum(row.flagged for row in rows)),
        AlertCounts(name="risk", version="3", scored=len(advised), alerting=sum(risk >= ADVISE_AT for risk in advised)),
        AlertCounts(name="forest", version="8", scored=scored, alerting=scored),
        AlertCounts(name="risk", version="4", scored=len(advised), alerting=len(advised)),
    )


def test_a_challenger_raises_what_it_would_raise_in_the_champions_place() -> None:
    plant = a_plant(detection={"warm_up_readings": 50})
    batch = a_batch(*normal_rows(60), *normal_rows(6, first=3600.0, vibration=7.5), plant=plant)
    for flag_by, raised in (("both", 56), ("forest", 56), ("distance", 0)):
        tried = Models(anomaly=Alarmed(), flag_by=flag_by)  # type: ignore[arg-type]
        shadowed = assess(batch, state=FleetState(plant), models=Models(shadows=(tried,)), plant=plant)
        itself = assess(batch, state=FleetState(plant), models=tried, plant=plant)
        (counts,) = shadowed.alert_counts
        assert counts.alerting == int(itself.scores.flagged.sum())
        assert counts.alerting == pytest.approx(raised, abs=6), flag_by
