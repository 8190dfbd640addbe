"""Plants, readings and batches with defaults, so that a test names only what it is about.

Times are seconds after `START`, the beginning of an hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.batch import ReadingBatch
from core.plant import AlertPolicy, DetectionPolicy, EnergyPolicy, MachineType, Plant, Sensor
from schemas.energy import EnergyWindow

START: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""
PUMP: Final = "pump-01"

NORMAL: Final = {"power": 40.0, "temperature": 60.0, "vibration": 2.5, "runtime": 100.0}
"""What a running machine of `a_plant()` usually says."""


def a_sensor(name: str = "temperature", **changes: Any) -> Sensor:
    return Sensor(**{"name": name, "unit": "°C", "minimum": -1000.0, "maximum": 1000.0, **changes})


def the_usual_sensors() -> tuple[Sensor, ...]:
    return (
        a_sensor("power", unit="kW", minimum=-500.0, maximum=500.0, role="power", minimum_deviation=2.0),
        a_sensor("temperature", minimum_deviation=2.0, warning_high=105.0, critical_high=120.0, stuck_after_readings=8),
        a_sensor("vibration", unit="mm/s", minimum=0.0, maximum=60.0, minimum_deviation=0.4, stuck_after_readings=8),
        a_sensor("runtime", unit="h", minimum=0.0, maximum=100_000.0, role="runtime"),
    )


def a_plant(
    *,
    sensors: Sequence[Sensor] | None = None,
    types: Sequence[MachineType] | None = None,
    detection: dict[str, Any] | None = None,
    alerts: dict[str, Any] | None = None,
    energy: dict[str, Any] | None = None,
    **changes: Any,
) -> Plant:
    """A plant whose pumps are off below 2 kW and idle below 8 kW, and learned after 40 readings.

    detection, alerts, energy: what differs from the plant file's defaults.
    """
    sensors = the_usual_sensors() if sensors is None else sensors
    if types is None:
        draws_power = any(sensor.role == "power" for sensor in sensors)
        limits = {"off_below": 2.0, "idle_below": 8.0} if draws_power else {}
        types = [MachineType(name="pump", machines=("pump-*",), **limits)]
    return Plant(
        **{
            "name": "test",
            "timezone": "Europe/Berlin",
            "interval_seconds": 60.0,
            "sensors": tuple(sensors),
            "machine_types": tuple(types),
            "detection": DetectionPolicy(**{"warm_up_readings": 40, **(detection or {})}),
            "alerts": AlertPolicy(**(alerts or {})),
            "energy": EnergyPolicy(**(energy or {})),
            **changes,
        }
    )


@dataclass(frozen=True, kw_only=True)
class ARow:
    """One reading before it becomes part of a batch; sensors that `values` does not name are missing."""

    machine_id: str = PUMP
    at: float = 0.0
    offset: int | None = None
    values: dict[str, float | None] = field(default_factory=dict)


def a_reading(machine_id: str = PUMP, *, at: float = 0.0, offset: int | None = None, **values: float | None) -> ARow:
    """A reading with the usual values of a running machine, and `values` instead of some; None: missing."""
    return ARow(machine_id=machine_id, at=at, offset=offset, values=NORMAL | values)


def a_bare_reading(machine_id: str = PUMP, *, at: float = 0.0, **values: float | None) -> ARow:
    """A reading with `values` and nothing else."""
    return ARow(machine_id=machine_id, at=at, values=values)


def a_batch(*rows: ARow, plant: Plant, first_offset: int = 0) -> ReadingBatch:
    """A batch of these rows; those without an offset are numbered on from `first_offset`."""
    values = [[_number(row.values.get(name)) for name in plant.sensor_names] for row in rows]
    offsets = [first_offset + position if row.offset is None else row.offset for position, row in enumerate(rows)]
    return ReadingBatch.from_columns(
        [row.machine_id for row in rows],
        np.array([START + row.at for row in rows], dtype=np.float64),
        np.array(values, dtype=np.float64).reshape(len(rows), len(plant.sensors)),
        np.array(offsets, dtype=np.int64),
    )


def normal_rows(
    count: int,
    *,
    machine_id: str = PUMP,
    first: float = 0.0,
    every: float = 60.0,
    seed: int = 1,
    **values: float | None,
) -> list[ARow]:
    """Readings with a little noise, one `every` seconds from `first` on; `values` replace what they name."""
    random = np.random.default_rng(seed)
    noise: NDArray[np.float64] = random.normal(0.0, [2.0, 1.0, 0.2], (count, 3))
    return [
        a_reading(
            machine_id,
            at=first + every * number,
            **{
                "power": NORMAL["power"] + power,
                "temperature": NORMAL["temperature"] + temperature,
                "vibration": NORMAL["vibration"] + vibration,
                "runtime": NORMAL["runtime"] + every * number / 3600.0,
                **values,
            },
        )
        for number, (power, temperature, vibration) in enumerate(noise.tolist())
    ]


def a_window(start: datetime = datetime(2026, 1, 1, tzinfo=UTC), **changes: object) -> EnergyWindow:
    """A complete hour of 10 kWh."""
    fields: dict[str, object] = {
        "machine_id": PUMP,
        "start": start,
        "end": start + timedelta(hours=1),
        "energy_kwh": 10.0,
        "mean_power_kw": 10.0,
        "peak_power_kw": 12.0,
        "production": 5.0,
        "readings": 60,
        "expected_readings": 60,
        "completeness": 1.0,
    }
    return EnergyWindow.model_validate(fields | changes)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
