import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.affiliation import affiliation
from core.evaluation.alerts import AlertCourse, alert_figures
from core.evaluation.flags import change_points_found, flag_figures, roc_auc, stretches
from core.evaluation.vus import vus_pr


def marks(text: str) -> np.ndarray:
    return np.array([each == "x" for each in text])


def a_series() -> tuple[np.ndarray, np.ndarray]:
    row = np.arange(600)
    truth = ((row >= 100) & (row < 140)) | ((row >= 400) & (row < 405))
    return truth, np.sin(row * 1.7) + np.where(truth, 0.8, 0.0)


def test_flags_are_counted_reading_by_reading() -> None:
    found = flag_figures(marks("..xxxx...."), marks(".xxx......"))
    assert (found.f1, found.precision) == (pytest.approx(4 / 7), pytest.approx(2 / 3))
    assert (found.false_alarm_rate, found.missed_alarm_rate) == (pytest.approx(1 / 6), 0.5)


def test_without_anomalies_there_is_nothing_to_miss() -> None:
    found = flag_figures(marks("...."), marks("...."))
    assert (found.f1, found.precision, found.missed_alarm_rate, found.false_alarm_rate) == (None, None, None, 0.0)


def test_equal_scores_say_nothing() -> None:
    assert roc_auc(marks("..xx"), np.zeros(4)) == 0.5
    assert roc_auc(marks("...."), np.zeros(4)) is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_the_area_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    truth, score = np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows])
    pairs = [(a > b) + 0.5 * (a == b) for a in score[truth] for b in score[~truth]]
    area = roc_auc(truth, score)
    assert area == (pytest.approx(np.mean(pairs)) if pairs else None)


def test_stretches_are_runs() -> None:
    assert stretches(marks("xx..x.x")) == [(0, 2), (4, 5), (6, 7)]


def test_a_flag_that_stood_before_a_fault_has_not_found_it() -> None:
    assert change_points_found(marks("...xxx...xx"), marks("..xxxx...xx")) == (1, 2)


def test_the_volume_is_that_of_the_authors_package() -> None:
    truth, score = a_series()
    # from RangeAUC_volume_opt of the package vus, with windows of 100 and of 20
    assert vus_pr(truth, score) == pytest.approx(0.6708556157520157, abs=1e-9)
    assert vus_pr(truth, np.round(score, 1), window=20) == pytest.approx(0.494209874433873, abs=1e-9)


def test_the_affiliation_is_that_of_the_authors_package() -> None:
    truth, score = a_series()
    # theirs is on intervals of time, ours on readings: 0.99842 of both
    assert affiliation(truth, score > 1.0) == (1.0, pytest.approx(0.9984217, abs=1e-3))
    assert affiliation(truth, np.zeros(600, dtype=bool)) == (None, 0.0)


def test_flags_anywhere_affiliate_by_half() -> None:
    truth, _ = a_series()
    random = np.random.default_rng(1)
    found = affiliation(truth, random.uniform(size=600) < 0.5)
    assert found.precision == pytest.approx(0.5, abs=0.1)


def test_alerts_are_told_apart_by_where_they_open() -> None:
    #                            fault    fault
    truth = marks("....xxxx......xxxx....")
    opened = np.array([each == "o" for each in "..o...o..............."], dtype=np.int64)
    is_open = marks("..x...xxxx............")
    course = AlertCourse(timestamps=60.0 * np.arange(22), opened=opened, open=is_open, truth=truth)
    found = alert_figures([course])
    assert (found.openings, found.false_openings) == (2, 1)
    assert (found.stretches, found.stretches_alerted, found.stretches_covered) == (2, 1, 1)
    assert (found.median_delay_readings, found.median_delay_seconds) == (2, 120.0)
    assert found.open_after == pytest.approx(2 / 10)
    assert found.openings_per_machine_week == pytest.approx(2 / (21 * 60 / (7 * 86_400)))
