"""LightGBM and MSTL: forecasters under the contract of all, and who answers where they challenge the blend."""

from dataclasses import replace

import numpy as np
import pytest

from core.arrays import DAY, Floats
from core.forecasting.engine import Answer, Calendar, HourlySeries
from core.forecasting.engine.candidates import CandidateForecaster, CannotFitError, forecast_by
from core.forecasting.fit import FitRequest, Fitted, fit
from core.forecasting.names import CANDIDATES
from processor.forecasting.fit_wire import answer, packed, unpacked
from runtime.errors import UsageError
from runtime.forecasting.candidates import candidates_of
from runtime.forecasting.lightgbm import LightGbm
from runtime.forecasting.mstl import Mstl
from runtime.forecasting.settings import ForecastSettings
from tests.core.forecasting.contract import Ask, ForecasterContract, assert_stands
from tests.core.forecasting.courses import ODD, a_series, a_week_of

LEARNABLE = ("40 % missing", "a thousand times more", "infinities", "negative")


def asking(candidate: CandidateForecaster) -> Ask:
    def ask(series: HourlySeries, horizon: int) -> Answer:
        return forecast_by(candidate, series, horizon=horizon, calendar=Calendar(), bounds=(0.0, np.inf))

    return ask


class ChallengerContract(ForecasterContract):
    candidate: CandidateForecaster

    @pytest.fixture
    def ask(self) -> Ask:
        return asking(self.candidate)

    @pytest.mark.parametrize("name", sorted(ODD))
    def test_odd_input_gets_an_answer_that_is_never_negative(self, ask: Ask, name: str) -> None:
        """Or it says that it cannot learn, which is no failure: it is the blend that answers then."""
        try:
            found = ask(a_series(ODD[name]), 72)
        except CannotFitError:
            assert name not in LEARNABLE
        else:
            assert_stands(found, 72)

    @pytest.mark.parametrize("horizon", [1, 50])
    def test_any_horizon_will_do(self, ask: Ask, horizon: int) -> None:
        # room for a fortnight of judged origins before what was learned
        assert_stands(ask(a_series(a_week_of(70)), horizon), horizon)

    def test_a_gap_may_be_longer_than_what_it_looks_back_on(self, ask: Ask) -> None:
        values = a_week_of(190)
        values[80 * DAY : 185 * DAY] = np.nan
        try:
            found = ask(a_series(values), 72)
        except CannotFitError:
            return  # then the blend answers
        assert_stands(found, 72)

    def test_the_same_question_has_the_same_answer(self, ask: Ask) -> None:
        one, other = (ask(a_series(a_week_of(75)), 48) for _ in range(2))
        assert [*one.value, *one.lower, *one.upper] == [*other.value, *other.lower, *other.upper]

    @pytest.mark.parametrize("phase", [13])
    def test_a_series_may_begin_at_any_hour(self, ask: Ask, phase: int) -> None:
        super().test_a_series_may_begin_at_any_hour(ask, phase)


class TestLightGbm(ChallengerContract):
    candidate = LightGbm()


class TestMstl(ChallengerContract):
    candidate = Mstl()


@pytest.mark.parametrize("name", CANDIDATES)
def test_bounds_hold_most_of_what_comes(name: str) -> None:
    [candidate] = candidates_of([name], asked_by="test")
    values = a_week_of(110)
    held = []
    for end in range(100, 104):
        found = asking(candidate)(a_series(values[: end * DAY]), DAY)
        actual = values[end * DAY :][:DAY]
        held.append((found.lower <= actual) & (actual <= found.upper))
    assert 0.6 < np.mean(held) < 0.97


class Prophecy:
    """A candidate that knows what comes, or has it wrong by `off`."""

    name = "prophecy"

    def __init__(self, truth: HourlySeries, *, off: float) -> None:
        self._truth, self._off = truth, off

    def fit(self, *_: object, **__: object) -> "Prophecy":
        return self

    def predict(self, series: HourlySeries, steps: int) -> Floats:
        return self._truth.at(series.end + np.arange(steps)) + self._off


class Unable(Prophecy):
    name = "unable"

    def fit(self, *_: object, **__: object) -> "Prophecy":
        raise CannotFitError("never")


TRUTH = a_series(a_week_of(84))
REQUEST = FitRequest(
    first_hour=TRUTH.first_hour,
    values=TRUTH.values[: 80 * DAY],
    horizon=72,
    zone="UTC",
    region=None,
    bounds=(0.0, np.inf),
    memory=b"",
)


def fitted(*candidates: CandidateForecaster, request: FitRequest = REQUEST) -> Fitted:
    return fit(request, candidates=candidates)


def test_a_challenger_that_did_better_answers_and_one_that_did_worse_does_not() -> None:
    better, worse = Prophecy(TRUTH, off=0.5), Prophecy(TRUTH, off=50.0)
    found = fitted(worse, better)
    assert found.model == "prophecy"
    assert found.value == pytest.approx(TRUTH.values[80 * DAY :][:72] + 0.5)
    assert (found.lower <= found.value).all()
    assert found.wape is not None
    assert found.wape < 0.02
    alone = fitted()
    lost = fitted(worse)
    assert lost.model == alone.model == "blend"
    assert lost.value == pytest.approx(alone.value)
    assert lost.compared["prophecy"] > 0.3
    # what the blend remembers does not depend on who answered
    assert found.memory == alone.memory


def test_one_that_cannot_learn_leaves_the_blend_its_answer() -> None:
    assert fitted(Unable(TRUTH, off=0)).value == pytest.approx(fitted().value)


@pytest.mark.parametrize("name", sorted(ODD.keys() - {"nothing"}))  # no forecast is due then
def test_odd_series_have_an_answer_with_all_challengers(name: str) -> None:
    series = a_series(ODD[name])
    request = replace(REQUEST, first_hour=series.first_hour, values=series.values)
    found = fitted(*candidates_of(CANDIDATES, asked_by="test"), request=request)
    for course in (found.lower, found.value, found.upper):
        assert np.isfinite(course).all()
        assert (course >= 0).all()


def test_the_process_that_fits_takes_them_by_name() -> None:
    found = unpacked(answer(packed(replace(REQUEST, candidates=CANDIDATES))))
    assert set(found.compared) >= set(CANDIDATES)


def test_the_setting_names_them() -> None:
    assert ForecastSettings(candidates=" mstl,lightgbm, ").candidate_names == ("mstl", "lightgbm")
    assert ForecastSettings().candidate_names == ()
    with pytest.raises(ValueError, match="oracle is none; there are lightgbm, mstl"):
        ForecastSettings(candidates="oracle")


def test_all_are_there_by_their_names() -> None:
    assert tuple(one.name for one in candidates_of(CANDIDATES, asked_by="test")) == CANDIDATES


def test_one_that_is_not_installed_is_refused_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LightGbm, "module", "no_such_library")
    with pytest.raises(
        UsageError, match=r"NEXOVA_X: lightgbm needs no_such_library.*pip install 'nexova\[forecasters\]'"
    ):
        candidates_of(["lightgbm"], asked_by="NEXOVA_X")
