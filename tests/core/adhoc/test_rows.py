from typing import Any

import numpy as np
import pytest

from core.adhoc.answers import FALLBACK, anomaly_answers, risk_answers
from core.adhoc.rows import LEAST_HISTORY, History, score_rows
from core.models import WHOLE_PLANT, Models, Reference
from tests.builders import a_plant

PLANT = a_plant()
# power, temperature, vibration; runtime is no matter of anomalies
WIDE = Reference(mean=np.array([40.0, 60.0, 2.5]), scale=np.array([10.0, 8.0, 1.0]), limit=11.0)
NARROW = Reference(mean=np.array([40.0, 60.0, 2.5]), scale=np.array([2.0, 1.0, 0.2]), limit=11.0)
KNOWN = {WHOLE_PLANT: WIDE, "pump": NARROW}


def a_history(*rows: list[float], machine_id: str | None = None) -> History:
    return History(values=np.array(rows, dtype=np.float64), machine_id=machine_id)


def scored(*histories: History, references: dict[str, Reference] | None = None) -> Any:
    return score_rows(histories, models=Models(), references=KNOWN if references is None else references, plant=PLANT)


def test_the_narrowest_baseline_that_is_known_is_taken() -> None:
    row = [40.0, 60.0, 2.5, 100.0]
    many = [[40.0 + n % 3, 60.0 + n % 2, 2.5 + 0.1 * (n % 4), 100.0] for n in range(LEAST_HISTORY)]
    found = scored(
        a_history(row), a_history(row, machine_id="pump-01"), a_history(*many), a_history(row, machine_id="x")
    )
    assert found.levels == ("plant", "type", "history", "plant")
    assert scored(a_history(row), references={}).levels == ("limits",)


def test_what_is_usual_for_the_plant_can_be_odd_for_a_pump() -> None:
    row = [55.0, 65.0, 2.5, 100.0]
    score = scored(a_history(row), a_history(row, machine_id="pump-01")).score
    assert score[0] < 0.5 < score[1]


def test_histories_judged_together_score_as_they_do_alone() -> None:
    random = np.random.default_rng(5)
    histories = [
        History(values=random.normal([40.0, 60.0, 2.5, 100.0], [3.0, 2.0, 0.3, 0.0], (count, 4)), machine_id=name)
        for count, name in ((1, None), (80, None), (3, "pump-01"), (70, "pump-02"), (2, None))
    ]
    together = scored(*histories)
    alone = np.concatenate([scored(one).score for one in histories])
    assert together.score == pytest.approx(alone)


def test_contributions_share_the_score_and_name_the_sensor() -> None:
    found = scored(a_history([40.0, 90.0, 2.5, 100.0], machine_id="pump-01"))
    assert found.contribution[0].sum() == pytest.approx(1.0)
    assert int(found.contribution[0].argmax()) == 1


def test_a_machine_that_stands_is_not_scored() -> None:
    found = scored(a_history([0.5, 20.0, 0.0, 100.0], machine_id="pump-01"))
    assert (found.scored[0], found.score[0]) == (False, 0.0)


def test_an_impossible_value_is_as_bad_as_a_critical_limit() -> None:
    found = scored(a_history([40.0, 60.0, 75.0, 100.0]), a_history([40.0, 125.0, 2.5, 100.0]))
    assert found.score.tolist() == [1.0, 1.0]


def test_a_sensor_that_is_missing_is_no_deviation() -> None:
    nan = float("nan")
    found = scored(a_history([40.0, nan, nan, nan], machine_id="pump-01"))
    assert found.score[0] < 0.1
    assert np.isnan(found.deviation[0, 1])


def test_without_a_model_advice_comes_from_the_limits_and_says_so() -> None:
    rows = a_history([40.0, 60.0, 2.5, 100.0], [40.0, 110.0, 2.5, 100.0], [40.0, 125.0, 2.5, 100.0])
    (answers,) = risk_answers([rows], models=Models(), references={}, plant=PLANT, forest="random_forest")
    assert [(one.risk_level, one.band, one.urgent, one.model) for one in answers] == [
        (0.0, "none", False, FALLBACK),
        (2.0, "plan", False, FALLBACK),
        (3.0, "urgent", True, FALLBACK),
    ]


def test_without_a_model_an_answer_says_so() -> None:
    ((answer,),) = anomaly_answers(
        [a_history([40.0, 60.0, 2.5, 1.0])], models=Models(), references={}, plant=PLANT, forest="isolation_forest"
    )
    assert (answer.model, answer.is_anomaly, answer.baseline) == (FALLBACK, False, "limits")
