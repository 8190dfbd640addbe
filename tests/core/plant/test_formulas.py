"""Derived sensors: what a formula may say, and what it makes of readings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.assess import assess
from core.batch import ReadingBatch
from core.detection.features import physical
from core.models import Models
from core.plant import Plant, PlantError, parse_plant
from core.plant.formulas import compile_formula
from core.state import FleetState

HEAD = 'name = "drives"\ntimezone = "UTC"\ninterval_seconds = 60\n'


def sensor(name: str, formula: str | None = None, *, more: str = "", highest: float = 1e6) -> str:
    """One sensor of a plant file."""
    line = "" if formula is None else f'formula = "{formula}"\n'
    return f'[[sensors]]\nname = "{name}"\nunit = "1"\nminimum = -1e6\nmaximum = {highest}\n{line}{more}'


def a_plant(*parts: str) -> Plant:
    return parse_plant(HEAD + "".join(parts), source="drives.toml")


DRIVE = a_plant(
    sensor("power", "strength * speed / 1000", more="warning_high = 10\n"),
    sensor("strength", "torque * 2"),
    sensor("torque"),
    sensor("speed"),
    sensor("slip", "(1500 - speed) / torque"),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b", 5),
        ("a - b * 2", -4),
        ("(a - b) / b", -1 / 3),
        ("-a ** 2", -4),
        ("max(a, b) - min(a, b)", 1),
        ("sqrt(abs(-a * 8))", 4),
        ("log(exp(a))", 2),
        ("1e2 * a", 200),
    ],
)
def test_a_formula_is_arithmetic(text: str, value: float) -> None:
    found = compile_formula(text)({"a": np.array([2.0]), "b": np.array([3.0])})
    assert found == pytest.approx(value)


@pytest.mark.parametrize("text", ["a / b", "log(b)", "sqrt(a - 3)", "exp(a * 999)"])
def test_what_has_no_value_is_missing(text: str) -> None:
    assert np.isnan(compile_formula(text)({"a": np.array([2.0]), "b": np.array([0.0])})).all()


def test_a_missing_input_makes_a_missing_value_and_no_other() -> None:
    values = physical(np.array([[np.nan, np.nan, 3, 1000, np.nan], [np.nan, np.nan, np.nan, 1000, np.nan]]), DRIVE)
    assert values[0].tolist() == pytest.approx([6, 6, 3, 1000, 500 / 3])
    assert np.isnan(values[1]).tolist() == [True, True, True, False, True]


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)), min_size=1, max_size=20))
def test_a_batch_has_the_values_of_its_rows(rows: list[tuple[float, float]]) -> None:
    values = np.array([[np.nan, np.nan, torque, speed, np.nan] for torque, speed in rows])
    whole = physical(values, DRIVE)
    for row in range(len(rows)):
        np.testing.assert_array_equal(whole[row], physical(values[row : row + 1], DRIVE)[0])


def test_a_derived_sensor_has_limits_and_the_stream_alerts_on_them() -> None:
    values = np.full((40, 5), np.nan)
    values[:, 2:4] = [3, 1000]
    values[20:, 2] = 30
    batch = ReadingBatch.from_columns(["press"] * 40, np.arange(40) * 60.0 + 1.7e9, values)
    found = assess(batch, state=FleetState(DRIVE), models=Models(), plant=DRIVE)
    limits = [alert for _, alert in found.alerts if alert.kind == "limit"]
    assert limits
    assert limits[0].signals[0].sensor == "power"
    assert limits[0].signals[0].actual == pytest.approx(60)


def test_a_missing_input_is_a_fault_of_the_input_alone() -> None:
    values = np.full((60, 5), np.nan)
    values[:, 2] = np.random.default_rng(0).normal(3, 0.1, 60)
    values[:30, 3] = np.random.default_rng(1).normal(1000, 1, 30)
    batch = ReadingBatch.from_columns(["press"] * 60, np.arange(60) * 60.0 + 1.7e9, values)
    found = assess(batch, state=FleetState(DRIVE), models=Models(), plant=DRIVE)
    faults = [alert for _, alert in found.alerts if alert.kind == "sensor_fault"]
    assert faults
    assert {signal.sensor for alert in faults for signal in alert.signals} <= {"speed"}


def test_the_fingerprint_changes_with_the_formula() -> None:
    other = a_plant(sensor("torque"), sensor("twice", "torque * 2"))
    assert other.fingerprint != a_plant(sensor("torque"), sensor("twice", "torque * 3")).fingerprint
    assert other.measured_names == ("torque",)


@pytest.mark.parametrize(
    ("formula", "complaint"),
    [
        ("torque *", "is no formula"),
        ("torque * heat", "formula of x = 'torque * heat': 'heat' is no sensor of this plant; use some of: torque, x"),
        ("x + torque", "the formulas of x need each other's values"),
        ("__import__('os')", "is not part of a formula"),
        ("torque.real", "'torque.real' is not part of a formula"),
        ("torque if 1 else 2", "is not part of a formula"),
        ("[torque]", "is not part of a formula"),
        ("True * torque", "'True' is not part of a formula"),
        ("sqrt(torque, 2)", "sqrt takes 1 values, not 2"),
        ("1 + 2", "a formula must read a sensor"),
        ("torque + " * 50 + "1", "a formula has at most 300 characters"),
        ("1+" * 90 + "torque", "a formula has at most 100 parts"),
        ("9e999 * torque", "is not part of a formula"),
    ],
)
def test_what_is_no_formula_is_refused_with_key_value_rule_and_remedy(formula: str, complaint: str) -> None:
    with pytest.raises(PlantError) as caught:
        a_plant(sensor("torque"), sensor("x", formula))
    message = str(caught.value)
    assert message.startswith("drives.toml: ")
    assert complaint in message
    assert "; " in message
    assert "\n" not in message


def test_a_copy_with_other_sensors_has_their_names_and_formulas() -> None:
    copy = DRIVE.model_copy(update={"sensors": DRIVE.sensors[2:4]})
    fresh = a_plant(sensor("torque"), sensor("speed"))
    other = fresh.model_copy(update={"sensors": DRIVE.sensors})
    assert other.sensor_names == DRIVE.sensor_names
    assert [index for index, _ in other.derived] == [index for index, _ in DRIVE.derived]
    assert len(copy.sensors) == 2


def test_a_counter_is_measured() -> None:
    with pytest.raises(PlantError, match="a derived sensor cannot have the role runtime"):
        a_plant(sensor("torque"), sensor("x", "torque", more='role = "runtime"\n'))
