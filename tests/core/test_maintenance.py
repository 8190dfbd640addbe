"""From risk to advice: bands that do not flicker, said when they change and once a day.

risk    0      0.75      1.75     2.5      3
band    none   watch     plan     urgent
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.arrays import Features
from core.maintenance import BAND_STARTS, BANDS, advice_text, advise, reasons_of
from core.models import Models
from core.state.tables import allocate
from core.state.wear import WEAR_LAYOUT, Wear
from schemas.recommendations import Recommendation
from tests.builders import PUMP, START, a_batch, a_plant, normal_rows, the_usual_sensors
from tests.core.streams import RiskOfHeat, run_batches
from tests.core.timelines import drawn_rows

MINUTE = 60.0


def advised(
    risks: list[float], *, wear: Wear | None = None, every: float = MINUTE, first: float = 0.0
) -> list[tuple[int, str]]:
    """Readings at which advice was due to one machine, and the band that was advised."""
    rows, bands, _ = advise(
        slots=np.zeros(len(risks), dtype=np.int64),
        timestamps=START + first + every * np.arange(len(risks)),
        risk=np.array(risks),
        wear=allocate(Wear, WEAR_LAYOUT, 1) if wear is None else wear,
    )
    return [(row, BANDS[band]) for row, band in zip(rows.tolist(), bands.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("risk", "band"),
    [(0.0, "none"), (0.74, "none"), (0.75, "watch"), (1.74, "watch"), (1.75, "plan"), (2.5, "urgent"), (3.0, "urgent")],
)
def test_the_first_estimate_is_advised_on_at_once(risk: float, band: str) -> None:
    assert advised([risk] * 5) == [(0, band)]


def test_a_band_begins_where_its_risk_is_reached_and_ends_a_quarter_below() -> None:
    wear = allocate(Wear, WEAR_LAYOUT, 1)
    assert advised([0.0], wear=wear) == [(0, "none")]
    assert advised([0.80] * 40, wear=wear, first=60)[-1][1] == "watch"
    # a risk that wavers around the start of the band changes nothing any more
    assert advised([0.60, 0.90] * 40, wear=wear, first=3000) == []
    assert advised([0.55] * 100, wear=wear, first=9000) == []
    assert [band for _, band in advised([0.4] * 100, wear=wear, first=20_000)] == ["none"]


def test_a_jump_passes_over_the_bands_between() -> None:
    wear = allocate(Wear, WEAR_LAYOUT, 1)
    wear.risk[0], wear.band[0], wear.issued_at[0] = 0.0, 0, START
    wear.risk[0] = 2.6
    assert advised([2.6], wear=wear, first=60) == [(0, "urgent")]
    wear.risk[0] = 0.1
    assert advised([0.1], wear=wear, first=120) == [(0, "none")]


def test_one_wild_estimate_changes_no_band() -> None:
    assert advised([0.2] * 10 + [3.0] + [0.2] * 10) == [(0, "none")]


def test_a_lasting_rise_is_followed_within_some_readings() -> None:
    dues = advised([0.0] * 10 + [3.0] * 60)
    assert [band for _, band in dues] == ["none", "watch", "plan", "urgent"]
    assert dues[-1][0] < 40


def test_advice_is_repeated_daily() -> None:
    """An estimate every six hours, for two days and more."""
    assert advised([1.0] * 10, every=6 * 3600.0) == [(0, "watch"), (4, "watch"), (8, "watch")]


def test_a_change_of_band_starts_the_day_anew() -> None:
    wear = allocate(Wear, WEAR_LAYOUT, 1)
    wear.risk[0], wear.band[0], wear.issued_at[0] = 1.8, 1, START
    hours = 3600.0
    assert advised([1.8], wear=wear, first=20 * hours) == [(0, "plan")]
    assert advised([1.8], wear=wear, first=25 * hours) == []
    assert advised([1.8], wear=wear, first=44 * hours) == [(0, "plan")]


def test_what_was_not_estimated_changes_nothing() -> None:
    nan = float("nan")
    assert advised([nan, nan, 2.0, nan, nan]) == [(2, "plan")]


def test_machines_are_advised_apart() -> None:
    rows, bands, _ = advise(
        slots=np.array([0, 1, 0, 1]),
        timestamps=np.full(4, START),
        risk=np.array([0.1, 2.9, 0.1, 2.9]),
        wear=allocate(Wear, WEAR_LAYOUT, 2),
    )
    assert (rows.tolist(), bands.tolist()) == ([0, 1], [0, 3])


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200))
@settings(max_examples=60)
def test_the_band_always_fits_the_smoothed_risk(risks: list[float]) -> None:
    wear = allocate(Wear, WEAR_LAYOUT, 1)
    band = None
    for number, risk in enumerate(risks):
        for _, advice in advised([risk], wear=wear, first=number * MINUTE):
            assert advice != band  # within a day, only a change is news
            band = advice
        level, index = wear.risk[0], BANDS.index(band or "none")
        assert 0 <= level <= 3
        assert index == len(BAND_STARTS) or level < BAND_STARTS[index]
        assert index == 0 or level >= BAND_STARTS[index - 1] - 0.25


@pytest.mark.parametrize("band", BANDS)
def test_every_band_has_a_sentence_about_the_machine(band: str) -> None:
    text = advice_text(PUMP, band)  # type: ignore[arg-type]
    assert PUMP in text
    assert text.endswith(".")


class TestReasons:
    sensors = the_usual_sensors()[:3]
    mean, scale = np.array([40.0, 60.0, 2.5]), np.array([2.0, 1.0, 0.2])

    def of(self, *slow: float) -> list[tuple[str, float]]:
        reasons = reasons_of(np.array(slow), self.mean, self.scale, self.sensors)
        return [(reason.sensor, reason.contribution) for reason in reasons]

    def test_the_farthest_sensor_comes_first(self) -> None:
        assert self.of(42.0, 63.0, 2.5) == [("temperature", 0.75), ("power", 0.25)]

    def test_what_is_near_its_normal_is_no_reason(self) -> None:
        assert self.of(40.9, 60.4, 2.41) == []

    def test_what_is_not_known_is_no_reason(self) -> None:
        assert self.of(float("nan"), 62.0, float("nan")) == [("temperature", 1.0)]

    def test_the_sentence_says_where_and_how_far(self) -> None:
        [reason] = reasons_of(np.array([40.0, 60.0, 2.0]), self.mean, self.scale, self.sensors)
        assert reason.sentence == "vibration averages 2 mm/s over the last days, below its normal 2.5 mm/s"


class TestRecommendations:
    plant = a_plant(detection={"warm_up_readings": 20})

    def of(self, *drawings: str, models: Models | None = None, **values: float) -> list[Recommendation]:
        rows = [*normal_rows(20), *normal_rows(5, first=1200.0, **values)]
        rows += [row for drawing in drawings for row in drawn_rows(drawing, first=1500.0)]
        models = Models(maintenance=RiskOfHeat()) if models is None else models
        return list(run_batches([a_batch(*rows, plant=self.plant)], plant=self.plant, models=models)[0].recommendations)

    def test_none_are_given_before_the_baseline_is_learned(self) -> None:
        [first] = self.of()
        assert first.issued_at.timestamp() == START + 1200

    def test_none_are_given_without_a_model(self) -> None:
        assert not self.of(models=Models())

    def test_they_name_the_model_and_the_machine(self) -> None:
        [first] = self.of()
        assert (first.machine_id, first.band, first.urgent) == (PUMP, "none", False)
        assert (first.model.name, first.model.version, first.model.level) == ("risk", "3", "type")
        assert first.text == "pump-01 shows no wear that calls for work."

    def test_urgent_advice_says_so_and_why(self) -> None:
        class RiskOfDoom(RiskOfHeat):
            def risk(self, features: Features) -> NDArray[np.float64]:
                return np.full(len(features), 9.0)

        [first] = self.of(models=Models(maintenance=RiskOfDoom()), temperature=200.0)
        assert (first.band, first.urgent, first.risk_level) == ("urgent", True, 3.0)
        assert first.reasons[0].sensor == "temperature"
        assert "above its normal 59.8 °C" in first.reasons[0].sentence
        assert sum(reason.contribution for reason in first.reasons) <= 1 + 1e-9
