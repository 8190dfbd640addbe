"""The score writer against the contract that it follows."""

import math
from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.row_results import LEVELS
from core.state.tracks import CONDITIONS
from processor.score_writer import ScoreWriter
from schemas.rounding import DECIMALS
from schemas.scores import Score

WRITER = ScoreWriter({"condition": CONDITIONS, "level": LEVELS})
UNKNOWN = float("nan")

rows = st.tuples(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)),  # noqa: DTZ001  the zone comes below
    st.one_of(st.just(UNKNOWN), st.floats(0, 1)),
    st.booleans(),
    st.one_of(st.just(UNKNOWN), st.floats(0, 3)),
    st.integers(0, len(CONDITIONS) - 1),
    st.booleans(),
    st.floats(0, 1),
    st.integers(0, len(LEVELS) - 1),
)

Row = tuple[str, datetime, float, bool, float, int, bool, float, int]


def written(*drawn: Row) -> list[dict[str, bytes]]:
    machine_ids, moments, scores, flags, risks, conditions, warm_ups, shares, levels = zip(*drawn, strict=True)
    distinct = tuple(dict.fromkeys(machine_ids))
    return WRITER.write(
        distinct,
        {
            "machine_id": np.array([distinct.index(machine_id) for machine_id in machine_ids]),
            "timestamp": np.array([moment.replace(tzinfo=UTC).timestamp() for moment in moments]),
            "anomaly_score": np.array(scores),
            "is_anomaly": np.array(flags),
            "risk": np.array(risks),
            "condition": np.array(conditions),
            "warm_up": np.array(warm_ups),
            "warm_up_progress": np.array(shares),
            "level": np.array(levels),
            "confidence": np.array(shares),
        },
    )


@given(st.lists(rows, min_size=1, max_size=20))
def test_every_line_is_a_score_with_the_values_that_were_given(drawn: list[Row]) -> None:
    for row, line in zip(drawn, written(*drawn), strict=True):
        machine_id, moment, score, flag, risk, condition, warm_up, share, level = row
        read = Score.model_validate_json(line["value"])
        assert line["key"].decode() == read.machine_id == machine_id
        assert abs((read.timestamp - moment.replace(tzinfo=UTC)).total_seconds()) <= 2e-6  # a float of epoch seconds
        assert (read.is_anomaly, read.condition, read.warm_up) == (flag, CONDITIONS[condition], warm_up)
        assert read.level == LEVELS[level]
        numbers = (
            (score, read.anomaly_score),
            (risk, read.risk),
            (share, read.warm_up_progress),
            (share, read.confidence),
        )
        for given_number, number in numbers:
            if math.isnan(given_number):
                assert number is None
            else:
                assert number is not None
                assert -1e-12 <= given_number - number < 10**-DECIMALS + 1e-12


def test_no_score_climbs_over_the_threshold_on_its_way() -> None:
    moment = datetime(2026, 3, 1, 12)  # noqa: DTZ001
    just_below = 0.5 - 1e-9
    below, at = written(*[("press-01", moment, score, False, UNKNOWN, 0, False, 1.0, 4) for score in (just_below, 0.5)])
    assert b'"anomaly_score":0.4999,' in below["value"]
    assert b'"anomaly_score":0.5,' in at["value"]


def test_a_line_reads_like_this() -> None:
    (line,) = written(("press-01", datetime(2026, 2, 28, 23, 59, 59, 250_000), 0.25, True, UNKNOWN, 0, True, 0.5, 3))  # noqa: DTZ001
    assert line["key"] == b"press-01"
    assert line["value"] == (
        b'{"schema_version":1,"machine_id":"press-01","timestamp":"2026-02-28T23:59:59.250000Z",'
        b'"anomaly_score":0.25,"is_anomaly":true,"risk":null,"condition":"' + CONDITIONS[0].encode() + b'",'
        b'"warm_up":true,"warm_up_progress":0.5,"level":"history","confidence":0.5}'
    )


def test_no_rows_are_no_lines() -> None:
    assert WRITER.write((), {name: np.empty(0) for name in WRITER.columns}) == []
