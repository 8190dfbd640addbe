"""Machines that move in the middle of a day: exact windows, and one forecast a machine and hour, on both brokers."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cli.history import messages_of
from core.arrays import WEEK
from core.forecasting.engine import HourlySeries
from core.forecasting.series_state import SeriesTable
from runtime.kafka import create_topics
from runtime.plants import load_plant, shipped_plants
from runtime.send import send_all
from runtime.topic_reader import BEGINNING, TopicReader
from schemas.alerts import Alert
from schemas.energy import EnergyWindow
from schemas.forecasts import Forecast
from schemas.topics import ALERTS, ENERGY, FORECASTS, HISTORY
from tests.brokers import Broker
from tests.e2e.suites import OnApacheKafka, OnTansu
from tests.e2e.workers import Workers, eventually, publish, read_all, wait_committed, workers

pytestmark = pytest.mark.long

MACHINES = tuple(f"pump-{number:02d}" for number in range(12))
PLANT = "plant:default"
PEAK_LIMIT = 300.0
NAMES = load_plant(None).sensor_names
FIRST = int(datetime(2026, 3, 2, 6, tzinfo=UTC).timestamp()) // 3600
IMPORTED_HOURS = 3 * WEEK
QUICK = {
    "NEXOVA_FORECASTS__SPREAD_SECONDS": "0",
    "NEXOVA_FORECASTS__NICENESS": "0",
    "NEXOVA_PROCESSOR__CHECKPOINT_SECONDS": "0.3",
}


def power_of(machine: int, hour: int) -> float:
    return 20.0 + machine + 5 * (hour % 24)


def messages(first: int, last: int) -> Iterator[tuple[str, bytes]]:
    """A reading a minute of all machines in the hours from `first` to before `last`, counted from FIRST."""
    for minute in range(first * 60, last * 60):
        at = datetime.fromtimestamp(FIRST * 3600 + minute * 60, UTC).isoformat()
        for machine, machine_id in enumerate(MACHINES):
            values = dict.fromkeys(NAMES, 1.0) | {"power": power_of(machine, FIRST + minute // 60)}
            yield machine_id, json.dumps({"machine_id": machine_id, "timestamp": at} | values).encode()


def imported(machine: int) -> HourlySeries:
    first = FIRST - IMPORTED_HOURS
    return HourlySeries(
        first_hour=first, values=np.array([power_of(machine, first + hour) for hour in range(IMPORTED_HOURS)])
    )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the topics hold at the end. forecasts: all messages of each machine and hour, as bytes."""

    windows: dict[str, EnergyWindow]
    forecasts: dict[tuple[str, datetime], set[bytes]]
    series: SeriesTable
    breaches: list[bytes]


class Issued:
    """Follows the forecasts as they are published; `contents` holds all messages of each series and hour."""

    def __init__(self, broker: Broker) -> None:
        self.contents: dict[tuple[str, datetime], set[bytes]] = {}
        self._reader = TopicReader(broker.kafka, {FORECASTS: BEGINNING})

    def look(self) -> "Issued":
        for record in self._reader.read():
            assert record.value is not None
            forecast = Forecast.model_validate_json(record.value)
            self.contents.setdefault((forecast.series_id, forecast.issued_at), set()).add(record.value)
        return self

    def close(self) -> None:
        self._reader.close()


def origin(hour: int) -> datetime:
    """When forecasts are issued that know all hours before `hour`, counted from FIRST."""
    return datetime.fromtimestamp((FIRST + hour) * 3600, UTC)


def wait_forecasts(group: Workers, issued: Issued, hour: int, *, least: int = len(MACHINES)) -> None:
    """Waits until so many machines have their forecast of that hour."""
    eventually(
        lambda: sum(when == origin(hour) and one != PLANT for one, when in issued.look().contents) >= least,
        seconds=120,
        what=lambda: f"forecasts of {origin(hour)}, of {sorted(issued.contents)}\n{group.logs()}",
    )


def survive(broker: Broker, folder: Path) -> Found:
    """Two workers through half a day; one of them is killed while it forecasts, and another one comes."""
    create_topics(broker.kafka)
    history = [message for machine, one in enumerate(MACHINES) for message in messages_of(one, imported(machine))]
    issued = Issued(broker)
    plant_file = folder / "plant.toml"
    text = shipped_plants()["default"].read_text(encoding="utf-8")
    plant_file.write_text(text.replace("[energy]", f"[energy]\npeak_limit = {PEAK_LIMIT}"), encoding="utf-8")
    with workers(broker, folder, NEXOVA_PLANT_FILE=str(plant_file), **QUICK) as group:
        first = group.start()
        group.start()
        send_all(broker.kafka, HISTORY, ((one.machine_id, one) for one in history))
        publish(broker, messages(0, 3))
        wait_forecasts(group, issued, 2)
        # the next hour closes: its forecasts are under way when the worker dies
        publish(broker, messages(3, 4))
        wait_forecasts(group, issued, 3, least=1)
        first.kill()
        send_all(broker.kafka, HISTORY, ((one.machine_id, one) for one in history))  # an import that is sent again
        end = publish(broker, messages(4, 6))
        group.start()
        wait_forecasts(group, issued, 5)
        eventually(
            lambda: (PLANT, origin(5)) in issued.look().contents,
            seconds=60,
            what=lambda: f"the plant's forecast of {origin(5)}, of {sorted(issued.contents)}\n{group.logs()}",
        )
        wait_committed(broker, end, seconds=60)
    issued.look().close()
    table = SeriesTable(13 * WEEK)
    newest = dict(read_all(broker, f"{broker.kafka.group}-series-changelog"))
    table.restore([record for key, record in newest.items() if record and key != b"end"], at=0.0)
    windows: dict[str, EnergyWindow] = {}
    for _, value in read_all(broker, ENERGY):
        assert value is not None
        window = EnergyWindow.model_validate_json(value)
        if window.key not in windows or window.revision >= windows[window.key].revision:
            windows[window.key] = window
    breaches = [value for _, value in read_all(broker, ALERTS) if value and b"forecast_breach" in value]
    return Found(windows=windows, forecasts=issued.contents, series=table, breaches=breaches)


class MachinesThatMove:
    """The story that every broker's suite inherits."""

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Found:
        """What was left after all that."""
        return survive(broker, tmp_path_factory.mktemp("workers"))

    def test_windows_are_exact(self, found: Found) -> None:
        closed = [window for window in found.windows.values() if window.start < origin(5)]
        assert len(closed) == 5 * len(MACHINES)
        for window in closed:
            hour = int(window.start.timestamp()) // 3600
            assert window.energy_kwh == pytest.approx(power_of(MACHINES.index(window.machine_id), hour), rel=1e-9)
            assert (window.readings, window.completeness) == (60, 1)

    def test_each_machine_and_hour_has_one_forecast(self, found: Found) -> None:
        assert {machine_id for machine_id, _ in found.forecasts} >= set(MACHINES)
        assert {len(contents) for contents in found.forecasts.values()} == {1}

    def test_forecasts_come_from_all_that_is_known(self, found: Found) -> None:
        for machine, machine_id in enumerate(MACHINES):
            [text] = found.forecasts[machine_id, origin(5)]
            forecast = Forecast.model_validate_json(text)
            assert len(forecast.points) == 72
            assert forecast.trained_to == origin(5)
            assert forecast.trained_from == origin(-IMPORTED_HOURS)
            for point in forecast.points:
                actual = power_of(machine, int(point.timestamp.timestamp()) // 3600)
                assert point.value == pytest.approx(actual, rel=0.1)
                assert point.lower <= point.value <= point.upper

    def test_the_plant_is_the_sum_of_its_machines(self, found: Found) -> None:
        [text] = found.forecasts[PLANT, origin(5)]
        plant = Forecast.model_validate_json(text)
        texts = [found.forecasts[machine_id, origin(5)] for machine_id in MACHINES]
        members = [Forecast.model_validate_json(next(iter(one))) for one in texts]
        assert (plant.members, plant.model, len(plant.points)) == (len(MACHINES), "sum", 72)
        for step, point in enumerate(plant.points):
            assert point.value == pytest.approx(sum(member.points[step].value for member in members), abs=1e-3)
            assert point.upper <= sum(member.points[step].upper for member in members) + 1e-3
        hours = range(FIRST, FIRST + 5)
        history = found.series.states[PLANT].history
        totals = [sum(power_of(machine, hour) for machine in range(len(MACHINES))) for hour in hours]
        assert [history.at(hour) for hour in hours] == totals

    def test_a_peak_above_the_limit_is_one_alert_whoever_says_so(self, found: Found) -> None:
        alerts = [Alert.model_validate_json(value) for value in found.breaches]
        assert len({alert.alert_id for alert in alerts}) == 1
        assert alerts[0].state == "opened"
        # the very first sum may be of the machines that were heard of by then
        assert alerts[-1].severity == "critical"
        assert alerts[-1].confidence > 0.5

    def test_the_state_holds_each_hour_once_and_keeps_account(self, found: Found) -> None:
        for machine, machine_id in enumerate(MACHINES):
            state = found.series.states[machine_id]
            history = state.history
            hours: Iterable[int] = range(FIRST - IMPORTED_HOURS, FIRST + 5)
            assert (history.first_hour, history.end) == (FIRST - IMPORTED_HOURS, FIRST + 5)
            assert history.values.tolist() == [power_of(machine, hour) for hour in hours]
            assert state.accuracy.scores(days=7)[0].points > 0


class TestOnTansu(OnTansu, MachinesThatMove):
    pass


class TestOnApacheKafka(OnApacheKafka, MachinesThatMove):
    pass
