"""What an alert says: which machine, which signal, why, since when."""

import re
from datetime import UTC, datetime

import pytest

from core.alerting.messages import alert_id
from core.models import Models
from tests.builders import PUMP, START, a_batch, a_plant, a_reading, a_sensor, normal_rows, the_usual_sensors
from tests.core.streams import MODELS, ForestOfOne, run_batches
from tests.core.timelines import QUICK, alerts_of, drawn_alerts, drawn_rows


def at(reading: int) -> datetime:
    return datetime.fromtimestamp(START + 60 * reading, UTC)


def test_a_limit_alert_needs_no_warm_up() -> None:
    [opened] = alerts_of(".hh")
    assert opened.warm_up
    assert (opened.machine_id, opened.kind, opened.severity, opened.state) == (PUMP, "limit", "warning", "opened")
    assert (opened.model.name, opened.model.level) == ("plant", "rule")
    assert (opened.opened_at, opened.updated_at, opened.resolved_at) == (at(2), at(2), None)
    assert opened.readings == 2
    assert opened.summary == "pump-01: temperature is 110 °C, above its warning limit of 105 °C."
    [signal] = opened.signals
    assert (signal.sensor, signal.actual, signal.expected, signal.contribution) == ("temperature", 110, 105, 1)


def test_a_critical_limit_is_said_at_once_with_its_own_figures() -> None:
    opened, updated = alerts_of(".hhH")
    assert (opened.severity, updated.severity) == ("warning", "critical")
    assert updated.alert_id == opened.alert_id
    assert updated.opened_at == opened.opened_at
    assert updated.summary == "pump-01: temperature is 130 °C, above its critical limit of 120 °C."
    assert (opened.peak_score, updated.peak_score) == (0.6, 1.0)


def test_low_limits_are_said_to_be_below() -> None:
    plant = a_plant(sensors=[a_sensor("pressure", unit="bar", warning_low=2.0, critical_low=1.0)], alerts=QUICK)
    rows = [a_reading(at=60.0 * number, pressure=value) for number, value in enumerate((3.0, 1.5, 0.5))]
    outputs, _ = run_batches([a_batch(*rows, plant=plant)], plant=plant)
    assert outputs.alerts[-1].summary == "pump-01: pressure is 0.5 bar, below its critical limit of 1 bar."


def test_a_value_on_its_limit_breaks_nothing() -> None:
    plant = a_plant(alerts=QUICK)
    rows = [a_reading(at=60.0 * number, temperature=105.0) for number in range(5)]
    assert not run_batches([a_batch(*rows, plant=plant)], plant=plant)[0].alerts


def test_all_broken_limits_are_named_the_gravest_first() -> None:
    plant = a_plant(
        sensors=[s.model_copy(update={"warning_high": 10.0}) for s in the_usual_sensors()[:3]], alerts=QUICK
    )
    rows = [a_reading(at=60.0 * number, temperature=130.0, vibration=12.0, power=5.0) for number in range(2)]
    [opened] = run_batches([a_batch(*rows, plant=plant)], plant=plant)[0].alerts
    assert [(signal.sensor, signal.contribution) for signal in opened.signals] == [
        ("temperature", 0.5),
        ("vibration", 0.5),
    ]
    assert opened.summary == (
        "pump-01: temperature is 130 °C, above its critical limit of 120 °C; "
        "and vibration is 12 mm/s, above its warning limit of 10 mm/s."
    )


def test_another_broken_limit_is_named_with_the_next_update() -> None:
    plant = a_plant(
        sensors=[s.model_copy(update={"warning_high": 10.0}) for s in the_usual_sensors()[1:3]], alerts=QUICK
    )
    rows = [a_reading(at=60.0 * number, vibration=12.0 if number > 3 else 2.5) for number in range(7)]
    opened, updated = run_batches([a_batch(*rows, plant=plant)], plant=plant)[0].alerts
    assert [signal.sensor for signal in opened.signals] == ["temperature"]
    assert [signal.sensor for signal in updated.signals] == ["temperature", "vibration"]


def test_an_alert_resolves_with_its_whole_story() -> None:
    opened, resolved = alerts_of(".hhh...")
    assert resolved.state == "resolved"
    assert resolved.alert_id == opened.alert_id
    assert resolved.opened_at == opened.opened_at
    assert resolved.updated_at == resolved.resolved_at == at(6)
    assert resolved.readings == 3
    assert resolved.signals == opened.signals


def test_starting_again_within_the_merge_gap_goes_on_under_the_same_id() -> None:
    alerts = alerts_of(".hh...hhhhhhh...")
    assert drawn_alerts(alerts, "limit", length=16) == "..O..R.U....U..R"
    assert {alert.alert_id for alert in alerts} == {alerts[0].alert_id}
    assert [alert.readings for alert in alerts] == [2, 2, 4, 9, 9]
    assert [alert.resolved_at is None for alert in alerts] == [True, False, True, True, False]
    assert {alert.opened_at for alert in alerts} == {at(2)}


def test_starting_again_later_is_another_alert() -> None:
    alerts = alerts_of(".hh.......hh")
    assert drawn_alerts(alerts, "limit", length=12) == "..O..R.....O"
    assert alerts[-1].alert_id != alerts[0].alert_id
    assert alerts[-1].readings == 2


def test_the_id_is_a_function_of_machine_kind_and_start() -> None:
    [opened] = alerts_of(".hh")
    assert opened.alert_id == alert_id(PUMP, "limit", at(2))
    assert len({alert_id(machine, kind, start) for machine in "ab" for kind in "cd" for start in (at(0), at(1))}) == 8


def test_an_anomaly_names_the_sensor_that_left_its_course() -> None:
    plant = a_plant(alerts=QUICK)
    rows = [*normal_rows(60), *normal_rows(6, first=3600.0, vibration=7.5)]
    outputs, _ = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=Models())
    opened = outputs.alerts[0]
    assert (opened.kind, opened.state, opened.warm_up) == ("anomaly", "opened", False)
    assert (opened.model.name, opened.model.level) == ("distance", "machine")
    first = opened.signals[0]
    assert (first.sensor, first.actual) == ("vibration", 7.5)
    assert first.expected == pytest.approx(2.5, abs=0.2)
    assert first.deviation == pytest.approx((7.5 - 2.5) / 0.2, rel=0.3)
    assert first.contribution > 0.5
    assert re.fullmatch(
        r"pump-01: vibration is 7\.5 mm/s, above the expected 2\.\d+ mm/s by \d+\.\d standard deviations\.",
        opened.summary,
    )
    assert "runtime" not in {signal.sensor for signal in opened.signals}


def test_values_that_are_unusual_only_together_are_named_together() -> None:
    plant = a_plant(alerts=QUICK)
    together = [row.values["power"] for row in normal_rows(200)]
    rows = [
        a_reading(at=60.0 * number, power=power, temperature=20 + power, vibration=2.5 + 0.2 * (-1) ** number)
        for number, power in enumerate(together)
        if power is not None
    ]
    apart = [
        a_reading(at=60.0 * number, power=44.0, temperature=56.5, vibration=2.5 + 0.2 * (-1) ** number)
        for number in range(200, 212)
    ]
    plant = a_plant(alerts=QUICK, detection={"warm_up_readings": 200})
    outputs, _ = run_batches([a_batch(*rows, *apart, plant=plant)], plant=plant, models=Models())
    opened = outputs.alerts[0]
    assert opened.summary in {
        "pump-01: power and temperature together have left their usual course.",
        "pump-01: temperature and power together have left their usual course.",
    }


def test_the_model_that_flagged_is_named() -> None:
    plant = a_plant(alerts=QUICK)
    batch = a_batch(*normal_rows(60), *normal_rows(6, first=3600.0, vibration=7.5), plant=plant)
    for flag_by, name, version in (("both", "forest", "7"), ("forest", "forest", "7"), ("distance", "distance", "1")):
        outputs, _ = run_batches([batch], plant=plant, models=Models(anomaly=ForestOfOne(), flag_by=flag_by))
        assert (outputs.alerts[0].model.name, outputs.alerts[0].model.version) == (name, version)


def test_the_figures_are_those_of_the_worst_moment() -> None:
    plant = a_plant(alerts=QUICK | {"update_seconds": 0.0})
    rows = normal_rows(60)
    for number, vibration in enumerate((5.0, 5.5, 9.0, 5.5, 5.5)):
        rows += normal_rows(1, first=60.0 * (60 + number), vibration=vibration)
    models = Models(anomaly=ForestOfOne(), flag_by="forest")
    outputs, _ = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=models)
    assert [alert.signals[0].actual for alert in outputs.alerts] == [5.5, 9.0, 9.0, 9.0]
    assert [alert.readings for alert in outputs.alerts] == [2, 3, 4, 5]


def test_a_machine_that_is_off_calms_its_alerts() -> None:
    plant = a_plant(alerts=QUICK)
    rows = [*normal_rows(60), *normal_rows(6, first=3600.0, vibration=7.5), *drawn_rows("oooo", first=4000.0)]
    outputs, _ = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=Models())
    assert [alert.state for alert in outputs.alerts][-1] == "resolved"
    assert outputs.alerts[-1].resolved_at == datetime.fromtimestamp(START + 4000 + 120, UTC)


def test_a_machine_that_says_nothing_is_not_calm() -> None:
    plant = a_plant(alerts=QUICK)
    rows = [*normal_rows(60), *normal_rows(6, first=3600.0, vibration=7.5), *drawn_rows("bbbbbbbb", first=4000.0)]
    outputs, _ = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=Models())
    assert [alert.state for alert in outputs.alerts if alert.kind == "anomaly"][-1] != "resolved"


def test_readings_out_of_order_never_turn_an_alert_back_in_time() -> None:
    plant = a_plant(alerts=QUICK)
    late = [a_reading(at=60.0 * number) for number in range(3)]
    rows = [*drawn_rows("hhh", first=6000.0), *late]
    outputs, _ = run_batches([a_batch(*rows, plant=plant)], plant=plant, models=Models())
    opened, resolved = outputs.alerts
    assert resolved.state == "resolved"
    assert resolved.updated_at >= opened.updated_at


def test_models_score_only_what_runs_and_is_known() -> None:
    rows = [*normal_rows(50), *drawn_rows("ooiib", first=3000.0)]
    outputs, _ = run_batches([a_batch(*rows, plant=a_plant())], plant=a_plant(), models=MODELS)
    assert [score.anomaly is None for score in outputs.scores] == [True] * 10 + [False] * 40 + [True] * 5
