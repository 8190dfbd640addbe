"""A plant whose machines report meter readings, from JSON records to energy windows and what the metrics say."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from core.arrays import WEEK
from core.models import Models
from core.plant import parse_plant
from core.state.records import Record
from processor.forecasting.scheduler import Forecasts
from processor.outputs import Outputs
from processor.partitions import Partition, PartitionTable
from processor.pipeline import Pipeline
from processor.publisher import Publisher
from processor.versions.running import RunningModels
from processor.writers import Writers
from runtime.forecasting.settings import ForecastSettings
from runtime.metrics import ProcessorMetrics
from runtime.processor_settings import ProcessorSettings
from schemas.energy import CounterSteps, EnergyWindow
from schemas.topics import ENERGY
from tests.builders import START
from tests.processor.owners import Source

PLANT = parse_plant(
    """
name = "metered"
timezone = "Europe/Berlin"
interval_seconds = 300

[[sensors]]
name = "meter"
unit = "kWh"
role = "energy_counter"
minimum = 0
maximum = 99999.9
counter = { modulus = 100000, resolution = 0.1, maximum_power = 90 }
""",
    source="metered.toml",
)
POWER = 60.0


class NoInputs:
    """No plan of any machine."""

    caught_up = True

    def of(self, machine_id: str, first_hour: int, end: int) -> None:
        """Know nothing of any hour."""


class Kept:
    """Outputs that are kept instead of sent."""

    def __init__(self) -> None:
        self.windows: dict[str, EnergyWindow] = {}

    def send(
        self, partition: int, topic: str, *, key: str, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        assert (partition, headers) == (0, ())
        if topic == ENERGY:
            self.windows[key] = EnergyWindow.model_validate_json(value)

    send_with_state = send

    def send_all(self, topic: str, messages: Iterable[tuple[bytes, bytes]], *, partition: int) -> None: ...

    def count(self, topic: str, messages: int = 1) -> None: ...

    def poll(self) -> None: ...


def records(first: int, last: int) -> list[Source]:
    """A reading of the meter every 5 minutes at a steady 60 kW; it rolls over, and is replaced later."""
    found = []
    for number in range(first, last):
        register = (99_975.0 + POWER * number / 12) % 100_000
        if number >= 30:
            register = POWER * (number - 29) / 12  # a new one, put in just after the reading of number 29
        at = datetime.fromtimestamp(START + 300 * number, UTC).isoformat()
        message = {"machine_id": "pump-01", "timestamp": at, "meter": register}
        found.append(Source(offset=number, value=json.dumps(message).encode()))
    return found


def now() -> float:
    return START + 1e6


class Worker:
    def __init__(self) -> None:
        self.kept = Kept()
        self.metrics = ProcessorMetrics(CollectorRegistry())
        self.partitions = PartitionTable(PLANT, history_hours=13 * WEEK)
        self.pipeline = Pipeline(
            plant=PLANT,
            running=RunningModels(Models(), plant=PLANT, metrics=self.metrics),
            partitions=self.partitions,
            publisher=Publisher(
                cast("Outputs", self.kept), cast("Writers", self.kept), self.metrics, publish_scores=True, clock=now
            ),
            settings=ProcessorSettings(),
            metrics=self.metrics,
            clock=now,
            on_alert_counts=lambda _: None,
            open_breaches=lambda: 0,
        )

    def adopt(self, saved: list[Record], *, at: int) -> Partition:
        state, series = self.partitions.new_state(), self.partitions.new_series()
        state.restore(saved)
        return self.partitions.adopt(0, state=state, next_offset=at, series=series, next_import=0, at=now())

    def read(self, held: Partition, read: list[Source]) -> None:
        prepared = self.pipeline.prepare(read)
        assert not prepared.decoded.refused
        self.pipeline.publish(held, prepared, self.pipeline.assess(held, prepared))

    def steps(self, kind: str) -> float | None:
        return self.metrics.registry.get_sample_value("nexova_meter_steps_total", {"kind": kind})


def test_a_machine_with_a_meter_has_its_hours_from_it_over_a_rollover_a_new_meter_and_a_crash() -> None:
    first, second = Worker(), Worker()
    held = first.adopt([], at=0)
    first.read(held, records(0, 20))
    saved = held.state.records_of(sorted(held.state.dirty))
    first.read(held, records(20, 22))  # and dies
    held = second.adopt(saved, at=20)
    second.read(held, records(20, 50))
    second.partitions[0].heard_at = 0.0
    second.pipeline.tick()
    hours = list((first.kept.windows | second.kept.windows).values())
    assert [window.energy_kwh for window in hours[:4]] == pytest.approx([POWER] * 4)
    assert [window.completeness for window in hours[:4]] == pytest.approx([1] * 4)
    assert [window.counter for window in hours[:3]] == [
        CounterSteps(rollovers=1),
        CounterSteps(),
        CounterSteps(resets=1),
    ]
    assert (second.steps("reset"), second.steps("unknown")) == (1, 0)
    # what a forecaster reads of the hours that this worker closed
    assert held.series.states["pump-01"].history.values[:3].tolist() == pytest.approx([POWER] * 3)


def test_its_forecasts_end_at_the_highest_power_that_is_possible() -> None:
    forecasts = Forecasts(
        plant=PLANT,
        settings=ForecastSettings(),
        partitions=PartitionTable(PLANT, history_hours=13 * WEEK),
        metrics=ProcessorMetrics(CollectorRegistry()),
        clock=now,
        inputs=NoInputs(),
    )
    assert forecasts.bounds == (0.0, 90.0)
