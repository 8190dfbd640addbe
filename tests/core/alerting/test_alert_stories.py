"""Alerts on sensors, and what holds for every alert whatever the readings."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings

from core.advance import advance_time
from core.batch import ReadingBatch
from core.models import Models
from schemas.alerts import Alert
from tests.builders import a_batch, a_plant, a_reading
from tests.core.streams import PLANT, PublishedOutputs, run_batches, streams
from tests.core.timelines import QUICK, alerts_of, drawn_rows


@pytest.mark.parametrize(
    ("drawing", "summary"),
    [
        (".........??????", "the temperature sensor has stopped reporting"),
        ("...!!!", "the temperature sensor reports 5000 °C, outside the possible -1000 to 1000 °C"),
        ("...HHHHHHHHHH", "the temperature sensor is stuck at 130 °C"),
    ],
)
def test_a_sensor_fault_says_what_is_wrong_with_which_sensor(drawing: str, summary: str) -> None:
    opened, *_ = [alert for alert in alerts_of(drawing) if alert.kind == "sensor_fault"]
    assert opened.severity == "info"
    assert opened.summary == f"pump-01: {summary}; check the sensor and its line."
    assert [signal.sensor for signal in opened.signals] == ["temperature"]


def test_sensors_that_fail_together_are_named_together() -> None:
    rows = [*drawn_rows(8 * "."), *drawn_rows(8 * "b", first=480.0)]
    plant = a_plant(alerts=QUICK)
    outputs, _ = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=Models())
    [opened] = outputs.alerts
    assert [signal.sensor for signal in opened.signals] == ["power", "temperature", "vibration", "runtime"]
    assert opened.summary == (
        "pump-01: the power sensor has stopped reporting; the temperature sensor has stopped reporting; "
        "the vibration sensor has stopped reporting; and 1 more; check the sensors and their lines."
    )


def test_a_sensor_that_fails_after_another_is_named_with_the_next_update() -> None:
    rows = [
        a_reading(
            at=60.0 * number,
            power=40 + 0.01 * number,
            temperature=None if number > 8 else 60 + 0.01 * number,
            vibration=None if number > 17 else 2.5 + 0.01 * number,
        )
        for number in range(24)
    ]
    plant = a_plant(alerts=QUICK)
    outputs, _ = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=Models())
    assert [[signal.sensor for signal in alert.signals] for alert in outputs.alerts] == [
        ["temperature"],
        ["temperature"],
        ["temperature", "vibration"],
    ]


def story(outputs: PublishedOutputs) -> dict[str, list[Alert]]:
    episodes: dict[str, list[Alert]] = {}
    for alert in outputs.alerts:
        episodes.setdefault(alert.alert_id, []).append(alert)
    return episodes


@given(streams(least_segments=2))
@settings(max_examples=40)
def test_every_alert_is_complete_and_every_episode_is_a_story(stream: ReadingBatch) -> None:
    outputs, state = run_batches([stream])
    outputs.alerts += advance_time(state, plant=PLANT, now=state.watermark, idle_seconds=1e4).alerts
    for alert in outputs.alerts:
        assert alert.summary.startswith(f"{alert.machine_id}")
        assert alert.summary.endswith(".")
        assert not re.search(r"[.!?]\s+[A-Z]|nan|inf|None|\n", alert.summary)
        assert alert.kind == "silent" or alert.signals[0].sensor in alert.summary
        shares = [signal.contribution for signal in alert.signals]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1 + 1e-6
        assert all(0 <= share <= 1 for share in shares)
        assert Alert.model_validate_json(alert.encode()).encode() == alert.encode()
    for episode in story(outputs).values():
        assert [alert.state for alert in episode].index("opened") == 0
        for before, after in pairwise(episode):
            assert after.state != "opened"
            assert (before.state, after.state) != ("resolved", "resolved")
            assert after.readings >= before.readings
            assert after.updated_at >= before.updated_at
            assert after.peak_score >= before.peak_score
            assert after.opened_at == before.opened_at
            assert (after.resolved_at is None) == (after.state != "resolved")
    # of a machine and kind, at most one alert is open at any time
    open_now: set[tuple[str, str]] = set()
    for alert in outputs.alerts:
        key = (alert.machine_id, alert.kind)
        assert alert.state != "opened" or key not in open_now
        open_now = open_now - {key} if alert.state == "resolved" else open_now | {key}
