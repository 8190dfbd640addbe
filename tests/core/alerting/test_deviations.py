"""Direction and minimum deviations of the alert policy: which anomalies become alerts."""

from typing import Any

import numpy as np
import pytest

from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from schemas.alerts import Alert
from tests.builders import START, a_plant, a_sensor
from tests.core.streams import run_batches
from tests.core.timelines import QUICK

LEVEL = 50.0


def a_policy(**alerts: Any) -> Plant:
    return a_plant(
        sensors=[a_sensor("s0", minimum=-1000.0, maximum=1000.0), a_sensor("s1", minimum=-1000.0, maximum=1000.0)],
        detection={"warm_up_readings": 100, "detector": "distance"},
        alerts=QUICK | alerts,
    )


def alerts_after(step: float, plant: Plant, *, machine_id: str = "pump-01") -> list[Alert]:
    """Return the anomalies of a machine whose first sensor leaves its level by `step` after 200 calm readings."""
    values = np.random.default_rng(1).normal(LEVEL, 1.0, (240, 2))
    values[200:220, 0] += step
    stamps = START + 60.0 * np.arange(len(values))
    batch = ReadingBatch.from_columns([machine_id] * len(values), stamps, values, np.arange(len(values)))
    outputs, _ = run_batches([batch], plant=plant, models=Models())
    return [alert for alert in outputs.alerts if alert.kind == "anomaly"]


def test_without_demands_both_sides_open_alerts() -> None:
    assert alerts_after(+20, a_policy())
    assert alerts_after(-20, a_policy())


@pytest.mark.parametrize(("direction", "opens", "silent"), [("high", +20, -20), ("low", -20, +20)])
def test_only_the_side_of_the_policy_opens_alerts(direction: str, opens: float, silent: float) -> None:
    plant = a_policy(direction=direction)
    assert [alert.state for alert in alerts_after(opens, plant)][-1] == "resolved"
    assert not alerts_after(silent, plant)


@pytest.mark.parametrize(
    "demand",
    [{"minimum_deviation": 30.0}, {"minimum_relative_deviation": 0.6}],
    ids=["absolute", "relative"],
)
def test_a_deviation_below_the_minimum_opens_no_alert(demand: dict[str, float]) -> None:
    assert not alerts_after(+20, a_policy(**demand))
    assert alerts_after(+45, a_policy(**demand))


def test_both_minimums_must_be_met() -> None:
    assert not alerts_after(+20, a_policy(minimum_deviation=10.0, minimum_relative_deviation=0.6))
    assert not alerts_after(+20, a_policy(minimum_deviation=30.0, minimum_relative_deviation=0.2))
    assert alerts_after(+20, a_policy(minimum_deviation=10.0, minimum_relative_deviation=0.2))


def test_an_override_is_for_its_machines_and_kinds_only() -> None:
    high = {"machines": ("pump-*",), "kinds": ("anomaly",), "direction": "high"}
    plant = a_policy(overrides=(high,))
    assert not alerts_after(-20, plant)
    assert alerts_after(-20, plant, machine_id="mixer-01")
