"""What is flagged, and above all what is not."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.assess import Assessment, assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState
from schemas.scores import FLAG_AT
from tests.builders import START, a_batch, a_plant, a_reading, a_sensor, normal_rows, the_usual_sensors

Floats = NDArray[np.float64]


def a_plain_plant(sensors: int, *, minimum_deviation: float = 0.0, **detection: Any) -> Plant:
    """Sensors s0, s1, ... without limits or roles."""
    return a_plant(
        sensors=[a_sensor(f"s{number}", minimum_deviation=minimum_deviation) for number in range(sensors)],
        detection={"warm_up_readings": 400} | detection,
    )


def noise(readings: int, machines: int = 20, sensors: int = 3, seed: int = 1) -> Floats:
    """Readings (readings, machines, sensors) around 50 with deviation 2."""
    return np.random.default_rng(seed).normal(50, 2, (readings, machines, sensors))


def assessed(values: Floats, plant: Plant) -> Assessment:
    """`values`, (readings, machines, sensors), a minute apart."""
    readings, machines, sensors = values.shape
    batch = ReadingBatch.from_columns(
        [f"m{number}" for number in range(machines)] * readings,
        np.repeat(START + 60.0 * np.arange(readings), machines),
        values.reshape(-1, sensors),
    )
    return assess(batch, state=FleetState(plant), models=Models(), plant=plant)


def flagged(values: Floats, plant: Plant, *, after: int = 400) -> Floats:
    """Share of flagged readings of each machine after so many."""
    scores = assessed(values, plant).scores.anomaly.reshape(len(values), -1)[after:]
    shares: Floats = (scores >= FLAG_AT).mean(axis=0)
    return shares


def anomalies(values: Floats, plant: Plant) -> int:
    return sum(alert.kind == "anomaly" and alert.state == "opened" for _, alert in assessed(values, plant).alerts)


class TestFalseAlarms:
    @pytest.mark.parametrize("sensors", [1, 3, 8])
    def test_steady_noise_is_flagged_at_most_at_the_stated_rate(self, sensors: int) -> None:
        assert flagged(noise(1400, sensors=sensors), a_plain_plant(sensors)).mean() < 0.01

    def test_a_higher_stated_rate_flags_more_but_no_more_than_stated(self) -> None:
        values = noise(1400)
        rates = [flagged(values, a_plain_plant(3, false_alarm_rate=rate)).mean() for rate in (0.01, 0.1, 0.4)]
        assert rates == sorted(rates)
        assert 0.005 < rates[1] < 0.1
        assert 0.1 < rates[2] < 0.4

    def test_sensors_that_move_together_are_no_surprise(self) -> None:
        values = noise(1400) + np.random.default_rng(2).normal(0, 20, (1400, 20, 1))
        assert flagged(values, a_plain_plant(3)).mean() < 0.01

    def test_missing_values_are_no_anomaly(self) -> None:
        values = noise(1400)
        values[np.random.default_rng(2).random(values.shape) < 0.4] = np.nan
        assert flagged(values, a_plain_plant(3)).mean() < 0.01

    def test_sensors_that_take_turns_are_no_anomaly(self) -> None:
        values = noise(2400)
        values[np.arange(2400)[:, None, None] % 3 != np.arange(3) + np.zeros((20, 3))] = np.nan
        assert flagged(values, a_plain_plant(3, warm_up_readings=1200), after=1200).mean() < 0.01

    def test_a_sensor_that_speaks_up_after_the_warm_up_is_no_anomaly(self) -> None:
        values = noise(800)
        values[:500, :, 1] = np.nan
        assert flagged(values, a_plain_plant(3)).max() < 0.05

    def test_what_wandered_during_the_warm_up_may_go_on_wandering(self) -> None:
        values = noise(1400, sensors=2)
        steps = np.random.default_rng(2).normal(0, 0.4, (1400, 20))
        values[:, :, 1] += steps.cumsum(axis=0)
        steady = values.copy()
        steady[:400, :, 1] -= steps[:400].cumsum(axis=0)
        assert flagged(values, a_plain_plant(2)).mean() < flagged(steady, a_plain_plant(2)).mean() / 2

    def test_the_baseline_follows_what_wanders_and_nothing_else(self) -> None:
        values = noise(1000, sensors=2)
        values[:, :, 1] += np.random.default_rng(2).normal(0, 0.4, (1000, 20)).cumsum(axis=0)
        tracks = assessed(values, a_plain_plant(2)).state.tracks
        moved = values[-100:, :, 1].mean(axis=0) - tracks.mean[:20, 1]
        followed = tracks.shift[:20, 1] * tracks.scale[:20, 1]
        assert np.corrcoef(moved, followed)[0, 1] > 0.6
        assert np.abs(tracks.shift[:20, 0]).max() < 0.5 < np.abs(tracks.shift[:20, 1]).max()

    def test_running_hours_are_not_watched(self) -> None:
        plant = a_plant(sensors=[a_sensor("s0"), the_usual_sensors()[3]], detection={"warm_up_readings": 400})
        values = noise(900, sensors=2)
        values[:, :, 1] = np.arange(900)[:, None]
        values[500:, :, 1] = 0  # after maintenance
        assert not anomalies(values, plant)


class TestTinyDeviations:
    """The smallest deviation that may raise an alert is 3 in the sensor's unit."""

    @pytest.mark.parametrize("restless", [0.0, 1e-3, 0.1, 0.5])
    def test_less_than_the_minimum_deviation_is_no_alert_however_quiet_the_sensor(self, restless: float) -> None:
        values = 50 + (noise(500) - 50) * restless / 2
        values[400:, :, 0] += 2.5 - 2 * restless
        assert not anomalies(values, a_plain_plant(3, minimum_deviation=3.0))

    @pytest.mark.parametrize("restless", [0.0, 1e-3, 0.1, 0.5, 1.0])
    def test_much_more_is(self, restless: float) -> None:
        values = 50 + (noise(500) - 50) * restless / 2
        values[400:, :, 0] += 9.0
        assert anomalies(values, a_plain_plant(3, minimum_deviation=3.0)) == 20

    def test_a_lively_sensor_does_not_lend_weight_to_the_tiny_step_of_a_quiet_one(self) -> None:
        values = noise(500)
        values[:, :, 1:] = 50 + (values[:, :, 1:] - 50) * 3  # often off by more than 3
        values[:, :, 0] = 50
        values[400:, :, 0] = 52
        assert anomalies(values, a_plain_plant(3, minimum_deviation=3.0)) <= 1

    def test_a_constant_sensor_may_take_its_first_small_step(self) -> None:
        """Without a minimum deviation a thousandth of the value is the measure."""
        values = noise(600)
        values[:, :, 0] = 500.0
        values[400:, :, 0] = 500.2
        assert flagged(values, a_plain_plant(3)).mean() < 0.02
        values[400:, :, 0] = 505.0
        assert flagged(values, a_plain_plant(3), after=440).mean() > 0.95


class TestDetection:
    @pytest.mark.parametrize("sensor", [0, 1, 2])
    @pytest.mark.parametrize("step", [-6.0, 6.0])
    def test_a_lasting_step_of_three_deviations_is_flagged_and_stays_so(self, sensor: int, step: float) -> None:
        values = noise(600)
        values[400:, :, sensor] += step
        assert flagged(values, a_plain_plant(3), after=425).min() > 0.9

    def test_the_sensor_that_left_carries_the_score(self) -> None:
        values = noise(500)
        values[400:, :, 1] += 10
        alerts = [alert for _, alert in assessed(values, a_plain_plant(3)).alerts if alert.state == "opened"]
        assert len(alerts) == 20
        assert all(alert.signals[0].sensor == "s1" for alert in alerts)
        assert all(alert.signals[0].contribution > 0.8 for alert in alerts)

    def test_values_that_contradict_each_other_are_flagged(self) -> None:
        common = np.random.default_rng(2).normal(50, 10, (500, 20, 1))
        values = common + (noise(500, sensors=2) - 50) / 4
        values[400:, :, 1] = 100 - values[400:, :, 1]  # each within its usual range, but not together
        assert flagged(values, a_plain_plant(2), after=410).mean() > 0.5

    def test_scores_lie_between_zero_and_one_and_grow_with_the_deviation(self) -> None:
        means = []
        for step in (0, 2, 4, 8, 900):
            values = noise(460)
            values[400:, :, 0] += step
            scores = assessed(values, a_plain_plant(3)).scores.anomaly
            known = scores[np.isfinite(scores)]
            assert known.min() >= 0
            assert known.max() <= 1
            means.append(known[-20 * 20 :].mean())
        assert means == sorted(means)

    def test_a_repaired_machine_is_not_flagged_for_its_past(self) -> None:
        """Vibrates, stands for two hours, and runs as it used to."""
        plant = a_plant(detection={"warm_up_readings": 400})
        rows = [*normal_rows(400), *normal_rows(60, first=24_000.0, vibration=6.0)]
        rows += [a_reading(at=27_600.0 + 60 * number, power=0.0) for number in range(120)]
        rows += normal_rows(60, first=34_800.0, seed=2)
        state = FleetState(plant)
        scores = assess(a_batch(*rows, plant=plant), state=state, models=Models(), plant=plant).scores
        assert scores.flagged[410:460].all()
        assert not scores.flagged[460:].any()

    def test_one_wild_value_is_not_remembered_for_long(self) -> None:
        values = noise(460)
        values[400, :, 0] = 900.0
        assert flagged(values, a_plain_plant(3), after=430).max() == 0


class TestEpisodes:
    def test_a_small_fault_two_hundred_readings_after_a_large_one_is_found(self) -> None:
        values = noise(900)
        values[400:500, :, 0] += 60
        values[700:800, :, 1] += 8
        scores = assessed(values, a_plain_plant(3)).scores.anomaly.reshape(900, -1)
        assert (scores[410:500] >= FLAG_AT).mean() > 0.99
        assert (scores[600:700] >= FLAG_AT).mean() < 0.05
        assert (scores[710:800] >= FLAG_AT).mean() > 0.9

    def test_a_machine_that_comes_back_near_to_where_it_was_is_calm_again(self) -> None:
        values = noise(900)
        values[400:500, :, 0] += 60
        values[500:, :, 0] += 5  # repaired, but not as before
        scores = assessed(values, a_plain_plant(3)).scores.anomaly.reshape(900, -1)
        assert (scores[650:] >= FLAG_AT).mean() < 0.05

    def test_unrest_around_the_same_level_is_found(self) -> None:
        values = noise(700)
        values[500:] = 50 + 5 * (values[500:] - 50)
        scores = assessed(values, a_plain_plant(3)).scores.anomaly.reshape(700, -1)
        assert (scores[560:] >= FLAG_AT).mean() > 0.9

    def test_a_single_wild_value_counts_no_more_than_five_deviations(self) -> None:
        values, wilder = noise(460), noise(460)
        values[420, :, 0] += 20
        wilder[420, :, 0] += 20_000
        plain, wild = (
            assessed(each, a_plain_plant(3)).scores.anomaly.reshape(460, -1)[440:] for each in (values, wilder)
        )
        assert np.abs(plain - wild).max() < 0.1
