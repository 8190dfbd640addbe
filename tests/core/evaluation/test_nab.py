import numpy as np
import pytest

from core.evaluation.nab import Series, standard_score


def score(*rows: int) -> float:
    """The score of detections at these rows of a series of 1,000 with one window, from row 500 to 600."""
    detected = np.zeros(1000, dtype=np.bool_)
    detected[list(rows)] = True
    return standard_score([Series(timestamps=np.arange(1000.0), detected=detected, windows=[(500.0, 600.0)])])


def test_no_detection_scores_0_and_the_first_row_of_the_window_100() -> None:
    assert score() == 0
    assert score(500) == pytest.approx(100)


def test_later_is_worth_less_and_a_second_detection_in_the_window_nothing() -> None:
    assert score(500) > score(550) > score(590) > score(600) > 0
    assert score(550, 560, 570) == score(550)


def test_a_false_detection_costs_less_right_after_a_window() -> None:
    assert score(500, 300) == pytest.approx(100 - 5.5)
    assert score(500, 990) == pytest.approx(100 - 5.5)
    assert score(500, 605) > score(500, 650) > score(500, 990)


def test_the_first_15_percent_do_not_count() -> None:
    assert score(500, 149) == score(500)
    assert score(500, 150) < score(500)


def test_without_windows_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="no series has a labelled window"):
        standard_score([])
