"""What is kept of each machine from reading to reading: condition, health of its sensors, slow averages."""

from typing import Any

import numpy as np
import pytest

from core.batch import ReadingBatch
from core.detection.features import observe, physical
from core.models import Models
from core.plant import Plant
from core.row_results import FAULT_IMPOSSIBLE, FAULT_MISSING, FAULT_NONE, FAULT_STUCK, RowResults
from core.state.tables import allocate
from core.state.tracks import CONDITIONS, Tracks, tracks_layout
from core.state.traits import MachineTraits, traits_of
from tests.builders import ARow, a_bare_reading, a_batch, a_plant, a_reading, a_sensor, normal_rows, the_usual_sensors
from tests.core.streams import run_batches
from tests.core.timelines import drawn_rows

PLANT = a_plant()
SIGNS = {FAULT_NONE: ".", FAULT_MISSING: "?", FAULT_STUCK: "=", FAULT_IMPOSSIBLE: "!"}


def tracked(*rows: ARow, plant: Plant = PLANT) -> tuple[RowResults, Tracks]:
    """The results and the tracks of machines that were not known before."""
    batch: ReadingBatch = a_batch(*rows, plant=plant)
    tracks = allocate(Tracks, tracks_layout(plant), len(batch.machine_ids))
    traits = MachineTraits(*np.array([traits_of(plant, machine) for machine in batch.machine_ids]).T.copy())
    results = observe(
        batch,
        slots=batch.machine,
        values=physical(batch.values, plant),
        tracks=tracks,
        traits=traits,
        warm_ups={},
        plant=plant,
    )
    return results, tracks


def faults(rows: list[ARow], sensor: str, *, plant: Plant = PLANT) -> str:
    """One character a reading: what was wrong with `sensor`."""
    results, _ = tracked(*rows, plant=plant)
    return "".join(SIGNS[code] for code in results.fault[:, plant.sensor_names.index(sensor)].tolist())


def conditions(rows: list[ARow], *, plant: Plant = PLANT) -> str:
    results, _ = tracked(*rows, plant=plant)
    return "".join(CONDITIONS[code][0] for code in results.condition.tolist())


def series(sensor: str, values: list[float | None], **others: float) -> list[ARow]:
    return [a_reading(at=60.0 * number, **({sensor: value} | others)) for number, value in enumerate(values)]


class TestMissing:
    def test_a_sensor_that_stops_reporting_is_missing_after_four_readings(self) -> None:
        assert faults(drawn_rows("....???????."), "temperature") == ".......????."

    def test_only_that_sensor_is(self) -> None:
        assert faults(drawn_rows("....???????."), "vibration") == "............"

    def test_a_sensor_that_never_reported_is_not_missed(self) -> None:
        assert faults(drawn_rows(20 * "?"), "temperature") == 20 * "."

    def test_a_sensor_that_often_skips_is_missed_later(self) -> None:
        """It speaks with every fourth reading: a gap of three is usual, one of sixteen is not."""
        rows = drawn_rows(20 * ".???" + 20 * "?")
        assert faults(rows, "temperature") == 80 * "." + 12 * "." + 8 * "?"

    def test_sensors_that_take_turns_in_messages_of_their_own_are_all_there(self) -> None:
        plant = a_plant(sensors=[a_sensor(name) for name in "abcdefghijkl"])
        rows = [
            a_bare_reading(at=number, **{"abcdefghijkl"[number % 12]: 1.0 + 0.01 * number}) for number in range(240)
        ]
        results, _ = tracked(*rows, plant=plant)
        assert not results.fault.any()

    def test_one_that_leaves_the_round_is_missed(self) -> None:
        plant = a_plant(sensors=[a_sensor(name) for name in "abc"])
        rows = [
            a_bare_reading(at=number, **{"abc"[number % 3]: 1.0 + 0.01 * number})
            for number in range(120)
            if number < 60 or number % 3
        ]
        assert "?" in faults(rows, "a", plant=plant)
        assert "?" not in faults(rows, "b", plant=plant)

    def test_a_standing_machine_may_say_less(self) -> None:
        rows = [a_reading(at=60.0 * number, power=0.0, temperature=None, vibration=None) for number in range(4, 24)]
        assert faults([*drawn_rows("...."), *rows], "temperature") == 24 * "."

    def test_but_not_what_it_draws(self) -> None:
        rows = [a_reading(at=60.0 * number, power=None) for number in range(4, 10)]
        assert faults([*drawn_rows("oooo"), *rows], "power") == 4 * "." + "...???"

    def test_a_sensor_far_slower_than_its_neighbours_is_there(self) -> None:
        """Once an hour among readings of each minute, and missed after four hours without a value."""
        rows = drawn_rows(5 * ("." + 59 * "?") + "." + 300 * "?")
        found = faults(rows, "temperature")
        assert found[:300] == 300 * "."
        assert found[300:].index("?") == 240

    def test_neighbours_that_become_faster_make_no_sensor_late(self) -> None:
        """One value a minute; the others come each minute, then each second."""
        slow = drawn_rows(20 * ".")
        fast = drawn_rows(20 * ("." + 59 * "?"), first=1200.0, every=1.0)
        assert "?" not in faults([*slow, *fast], "temperature")

    def test_values_in_bursts_are_usual_after_a_few(self) -> None:
        rows = drawn_rows(15 * (10 * "." + 50 * "?"), every=1.0)
        assert "?" not in faults(rows, "temperature")[360:]

    def test_a_machine_that_was_away_has_no_sensor_that_is_late(self) -> None:
        assert "?" not in faults([*drawn_rows(10 * "."), *drawn_rows("??....", first=86_400.0)], "temperature")

    def test_a_stated_rhythm_needs_no_learning(self) -> None:
        sensors = [a_sensor("temperature", interval_seconds=1200.0), a_sensor("vibration")]
        rows = drawn_rows("..?." + 90 * "?")
        plant = a_plant(sensors=[*the_usual_sensors()[:1], *sensors])
        assert faults(rows, "temperature", plant=plant).index("?") == 3 + 80


class TestStuck:
    """Temperature is stuck after 8 identical readings, once it is known to change with each."""

    def test_identical_readings_are_stuck(self) -> None:
        assert faults(series("temperature", [58.0, 59.0, *([60.0] * 9), 61.0]), "temperature") == ".........==."

    def test_what_is_stuck_comes_free_with_the_first_other_value(self) -> None:
        values: list[float | None] = [58.0, 59.0, *([60.0] * 9), 60.1, *([60.0] * 7)]
        assert faults(series("temperature", values), "temperature") == ".........==" + 8 * "."

    def test_one_that_never_changed_may_be_slow_and_is_stuck_after_ten_times_as_long(self) -> None:
        found = faults(series("temperature", [60.0] * 80), "temperature")
        assert found.index("=") == 66

    def test_a_slow_sensor_whose_value_is_repeated_with_each_reading_is_not_stuck(self) -> None:
        """A gateway repeats the value of every quarter of an hour with each minute."""
        values: list[float | None] = [60.0 + number // 15 % 5 for number in range(7, 300)]
        assert faults(series("temperature", values), "temperature") == 293 * "."

    def test_and_is_stuck_when_it_misses_its_own_rhythm(self) -> None:
        values: list[float | None] = [60.0 + number // 15 % 5 for number in range(150)] + [70.0] * 150
        found = faults(series("temperature", values), "temperature")
        assert found[:150] == 150 * "."
        assert 90 <= found[150:].index("=") <= 120

    def test_a_stated_rhythm_holds_from_the_first_value(self) -> None:
        slow = a_sensor("temperature", stuck_after_readings=8, interval_seconds=120.0)
        plant = a_plant(sensors=[*the_usual_sensors()[:1], slow])
        found = faults(series("temperature", [60.0] * 30), "temperature", plant=plant)
        assert found.index("=") == 14

    def test_zero_is_never_stuck(self) -> None:
        assert faults(series("temperature", [0.0] * 20), "temperature") == 20 * "."

    def test_a_sensor_without_that_rule_is_never_stuck(self) -> None:
        assert faults(series("power", [40.0] * 20), "power") == 20 * "."

    def test_missing_values_in_between_do_not_free_it(self) -> None:
        values: list[float | None] = [58.0, 59.0, 60.0, None, 60.0, None, *([60.0] * 6)]
        assert faults(series("temperature", values), "temperature")[-1] == "="

    @pytest.mark.parametrize("power", [0.0, 5.0])
    def test_a_standing_machine_stays_as_it_is(self, power: float) -> None:
        assert faults(series("temperature", [20.0] * 30, power=power), "temperature") == 30 * "."


class TestImpossible:
    def test_an_impossible_value_is_a_fault_and_no_value(self) -> None:
        rows = drawn_rows("...!.")
        results, tracks = tracked(*rows)
        assert results.fault.tolist() == [[0, 0, 0, 0]] * 5  # judged by `assess`, which knows the raw values
        assert tracks.last_values[0, 1] == rows[-1].values["temperature"]

    @pytest.mark.parametrize(("value", "possible"), [(-1000.0, True), (1000.0, True), (-1000.1, False), (1e9, False)])
    def test_the_range_includes_its_ends(self, value: float, possible: bool) -> None:  # noqa: FBT001
        values = a_batch(a_reading(temperature=value), plant=PLANT).values
        assert np.isnan(physical(values, PLANT)[0, 1]) != possible

    def test_an_impossible_value_is_never_scored_and_breaks_no_limit(self) -> None:
        rows = [*normal_rows(45), *drawn_rows(6 * "!", first=2700.0)]
        outputs, _ = run_batches([a_batch(*rows, plant=PLANT)], plant=PLANT, models=Models())
        assert {alert.kind for alert in outputs.alerts} == {"sensor_fault"}
        assert not any(score.flagged for score in outputs.scores)


class TestCondition:
    """Pumps are off below 2 kW and idle below 8 kW."""

    def test_it_follows_the_power(self) -> None:
        powers: list[float | None] = [40.0, 8.0, 7.9, 2.0, 1.9, 0.0, -3.0, 40.0]
        assert conditions(series("power", powers)) == "rriiooor"

    def test_without_a_word_on_power_it_stays(self) -> None:
        powers: list[float | None] = [40.0, None, 0.0, None, None, 5.0, None]
        assert conditions(series("power", powers)) == "rrooo" + "ii"

    def test_a_machine_that_never_told_its_power_is_taken_for_running(self) -> None:
        assert conditions(series("power", [None] * 3)) == "rrr"

    def test_a_power_sensor_that_died_does_not_hide_the_machine(self) -> None:
        """Off, and then no word for as long as makes a fault: better a score too many than a fault unseen."""
        assert conditions(series("power", [0.0, 0.0, 0.0, *([None] * 6), 0.0])) == "ooo" + "ooo" + "rrr" + "o"

    def test_a_machine_of_no_known_type_is_always_running(self) -> None:
        assert conditions([a_reading("mixer-01", power=0.0)] * 3) == "rrr"


class TestLearning:
    def warm(self, rows: list[ARow], **detection: Any) -> str:
        plant = a_plant(detection={"warm_up_readings": 20} | detection)
        results, _ = tracked(*rows, plant=plant)
        letters = {(True, True): "S", (False, True): "s", (True, False): "w", (False, False): "."}
        pairs = zip(results.warm.tolist(), results.scored.tolist(), strict=True)
        return "".join(letters[pair] for pair in pairs)

    def test_scores_begin_after_ten_readings_by_history_and_after_the_warm_up_by_baseline(self) -> None:
        assert self.warm(normal_rows(25)) == 10 * "." + 10 * "s" + 5 * "S"

    def test_a_standing_machine_is_neither_learned_nor_scored(self) -> None:
        rows = [*normal_rows(10), *drawn_rows("oooii"), *normal_rows(12), *drawn_rows("oi")]
        assert self.warm(rows) == 10 * "." + 5 * "." + 10 * "s" + "SS" + "ww"

    def test_a_start_must_settle_before_it_counts(self) -> None:
        """Settles within 180 s, a reading a minute; a machine that runs with its first reading has settled."""
        rows = [
            *normal_rows(24),
            *drawn_rows("oo", first=24 * 60.0),
            *normal_rows(6, first=26 * 60.0),
        ]
        assert self.warm(rows, settle_seconds=180.0) == 10 * "." + 10 * "s" + "SSSS" + "ww" + "wwwSSS"

    def test_a_clock_that_was_set_back_does_not_keep_a_machine_unsettled(self) -> None:
        """The machine starts by a clock that is an hour ahead, and is scored once the clock is right."""
        rows = [*drawn_rows("o", first=3540.0), a_reading(at=3600.0), *normal_rows(25, first=120.0)]
        assert self.warm(rows) == "." + 10 * "." + 10 * "s" + 6 * "S"

    def test_a_reading_without_any_value_is_not_scored(self) -> None:
        assert self.warm([*normal_rows(22), *drawn_rows("b", first=2000.0)]) == 10 * "." + 10 * "s" + "SS" + "w"


class TestSlowAverages:
    def slow(self, rows: list[ARow]) -> tuple[np.ndarray[Any, Any], float]:
        """Averages over 6 and 72 running hours of the temperature, and the running hours."""
        _, tracks = tracked(*rows)
        return tracks.slow[0, :, 1], float(tracks.slow_hours[0])

    def test_a_young_average_is_about_the_mean(self) -> None:
        temperatures = [60.0 + number for number in range(21)]
        rows = [a_reading(at=60.0 * number, temperature=value) for number, value in enumerate(temperatures)]
        averages, hours = self.slow(rows)
        assert averages == pytest.approx(np.mean(temperatures), abs=1.5)
        assert hours == pytest.approx(20 / 60)

    def test_an_old_average_forgets_over_its_hours(self) -> None:
        rows = [a_reading(at=600.0 * number, temperature=60.0) for number in range(6 * 200)]
        rows += [a_reading(at=600.0 * number, temperature=70.0) for number in range(6 * 200, 6 * 206)]
        averages, _ = self.slow(rows)
        assert averages[0] == pytest.approx(70 - 10 * np.exp(-1), abs=0.2)
        assert averages[1] == pytest.approx(70 - 10 * np.exp(-6 / 72), abs=0.2)

    def test_standing_time_does_not_count(self) -> None:
        running = [a_reading(at=60.0 * number, temperature=80.0) for number in range(120)]
        standing = [a_reading(at=60.0 * number, temperature=20.0, power=0.0) for number in range(120, 900)]
        averages, hours = self.slow([*running, *standing])
        assert averages == pytest.approx(80)
        assert hours == pytest.approx(119 / 60)
        again = [a_reading(at=60.0 * number, temperature=80.0) for number in range(900, 903)]
        averages, hours = self.slow([*running, *standing, *again])
        assert averages == pytest.approx(80)
        assert hours == pytest.approx(122 / 60)

    def test_a_long_absence_counts_as_an_hour_at_most(self) -> None:
        _, hours = self.slow([a_reading(at=0), a_reading(at=1e6)])
        assert hours == 1

    def test_readings_out_of_order_take_no_time(self) -> None:
        _, hours = self.slow([a_reading(at=600), a_reading(at=0), a_reading(at=1200)])
        assert hours == pytest.approx(600 / 3600)


class TestBookkeeping:
    def test_the_time_of_a_machine_never_runs_backwards(self) -> None:
        results, tracks = tracked(*(a_reading(at=at) for at in (60.0, 180.0, 120.0, 240.0)))
        assert (results.newest - results.newest[0]).tolist() == [0, 120, 120, 180]
        assert tracks.last_seen[0] == results.newest[-1]

    def test_the_usual_interval_is_learned(self) -> None:
        _, tracks = tracked(*(a_reading(at=10.0 * number) for number in range(200)))
        assert tracks.interval[0] == pytest.approx(10, abs=0.1)

    def test_the_features_of_maintenance_end_with_running_hours_and_type(self) -> None:
        sensors = the_usual_sensors()
        kinds = [
            a_plant().machine_types[0].model_copy(update={"name": name, "machines": (glob,)})
            for name, glob in (("pump", "pump-*"), ("press", "press-*"))
        ]
        plant = a_plant(sensors=sensors, types=kinds)
        results, _ = tracked(a_reading("press-01", runtime=7.0), a_reading("mixer", runtime=None), plant=plant)
        assert results.maintenance[:, -2:].tolist() == [[7, 1], [0, -1]]
        assert results.risky.tolist() == [True, True]
