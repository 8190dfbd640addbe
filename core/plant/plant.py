"""A whole plant file as one value. A `Plant` is immutable and hashable: it can be a key."""

import hashlib
import json
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from core.plant.alert_policy import AlertPolicy
from core.plant.formulas import Formula, compile_formula
from core.plant.policies import CsvFormat, DetectionPolicy, EnergyPolicy, MaintenancePolicy, ReadingPolicy
from core.plant.rules import (
    Identifier,
    PlantModel,
    Positive,
    TimezoneName,
    broken,
    unique,
)
from core.plant.sensors import MachineType, Role, Sensor
from core.plant.sources import Source

Detector = Literal["distance", "surprise", "both", "seasonal"]

_SLOW_SECONDS: Final = 120.0  # between two readings: more frequent sensors are not compared with their days
_MOST_SLOW: Final = 4  # slow sensors; each has shapes of 8 kB in the machine's record
_DAY_SECONDS: Final = 86_400.0
_LEAST_WARM_UP, _MOST_WARM_UP = 168, 1440
_SILENT_INTERVALS: Final = 3.0
_IDLE_INTERVALS: Final = 2.0  # as for the division of energy between hours
_LEAST_SECONDS: Final = 300.0
_SLOW_HOURS: Final = (6.0, 72.0)
_SPARSE_SECONDS: Final = 900.0  # between two readings: an average of 6 hours would have too few of them
_SPARSE_INTERVALS: Final = (3.0, 12.0, 36.0)


class Plant(PlantModel):
    """A whole plant file. The order of `sensors` is the order of columns everywhere."""

    name: Identifier = Field(description="name of the plant")
    timezone: TimezoneName = Field(description="IANA zone of shifts and days")
    interval_seconds: Positive = Field(description="expected time between two readings of a machine, s")
    sensors: Annotated[tuple[Sensor, ...], Field(strict=False)] = Field(min_length=1, max_length=64)
    machine_types: Annotated[tuple[MachineType, ...], Field(strict=False)] = ()
    detection: DetectionPolicy = DetectionPolicy()
    alerts: AlertPolicy = AlertPolicy()
    energy: EnergyPolicy = EnergyPolicy()
    maintenance: MaintenancePolicy = MaintenancePolicy()
    readings: ReadingPolicy = ReadingPolicy()
    csv: CsvFormat = CsvFormat()
    source: Annotated[tuple[Source, ...], Field(strict=False)] = ()

    @field_validator("source", mode="before")
    @classmethod
    def _one_source(cls, value: Any) -> Any:
        """Take a single `[source]` as the only one of `[[source]]`."""
        return [value] if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.detector == "seasonal" and len(self._measuring) > _MOST_SLOW:
            raise broken(
                f"detector seasonal is for at most {_MOST_SLOW} sensors, there are {len(self._measuring)}",
                'write detector = "distance" or "surprise" in [detection]',
            )
        unique("sensor", [sensor.name for sensor in self.sensors])
        unique("sensor role", [sensor.role for sensor in self.sensors if sensor.role])
        self._derives()
        unique("machine type", [kind.name for kind in self.machine_types])
        counter = self.index_of_role("energy_counter")
        if self.index_of_role("power") is None:
            if counter is not None and self.sensors[counter].counter.maximum_power is None:
                raise broken(
                    f"energy counter {self.sensors[counter].name!r} has no maximum_power, and no sensor has the role "
                    "power: it is unknown which steps are possible",
                    "write counter = { maximum_power = 400 }, in kW",
                )
            for kind in self.machine_types:
                if kind.off_below is not None or kind.idle_below is not None:
                    raise broken(
                        f"type {kind.name!r} has off_below or idle_below, but no sensor has the role power",
                        'give the sensor of power in kW role = "power", or remove the limits',
                    )
        for column, sensor in self.csv.columns.items():
            if sensor not in self.sensor_names:
                raise broken(
                    f"csv.columns maps {column!r} to {sensor!r}, which is no sensor of this plant",
                    f"use one of: {', '.join(self.sensor_names)}",
                )
        unique("sensor in csv.columns", list(self.csv.columns.values()))
        unique("source", [one.name for one in self.source])
        for one in self.source:
            one.fits({sensor.name: sensor.unit for sensor in self.sensors})
        self._fits_its_interval()
        self._fits_its_types()
        return self

    def _derives(self) -> None:
        """Check that formulas read sensors of this plant, and that none depends on itself."""
        # cached properties are not used here: a copy with other sensors would keep them
        known = [sensor.name for sensor in self.sensors]
        for sensor in self.sensors:
            unknown = sorted(compile_formula(sensor.formula).names.difference(known)) if sensor.formula else []
            if unknown:
                raise broken(
                    f"formula of {sensor.name} = {sensor.formula!r}: {unknown[0]!r} is no sensor of this plant",
                    f"use some of: {', '.join(known)}",
                )
        derivable = _derivable(self.sensors)
        circular = [one.name for one in self.sensors if one.formula and one.name not in derivable]
        if circular:
            raise broken(
                f"the formulas of {', '.join(circular)} need each other's values", "derive one from measured sensors"
            )

    @cached_property
    def derived(self) -> tuple[tuple[int, Formula], ...]:
        """Column and formula of the derived sensors, each after those that it reads."""
        return tuple(_derivable(self.sensors).values())

    @cached_property
    def measured_names(self) -> tuple[str, ...]:
        """The names of the sensors that readings have values of, in column order."""
        return tuple(sensor.name for sensor in self.sensors if sensor.formula is None)

    def _fits_its_interval(self) -> None:
        """Check the times that must exceed the interval of the readings."""
        counter = self.index_of_role("energy_counter")
        for key, seconds in (
            ("alerts.silent_after_seconds", self.alerts.silent_after_seconds),
            *(("alerts.overrides.silent_after_seconds", one.silent_after_seconds) for one in self.alerts.overrides),
            ("energy.close_idle_after_seconds", self.energy.close_idle_after_seconds),
            (
                "counter.longest_gap_seconds",
                None if counter is None else self.sensors[counter].counter.longest_gap_seconds,
            ),
        ):
            if seconds is not None and seconds <= self.interval_seconds:
                raise broken(
                    f"{key} ({seconds:g}) must be above interval_seconds ({self.interval_seconds:g}), or every pause "
                    "between two readings counts",
                    f"write {_SILENT_INTERVALS * self.interval_seconds:g}, or remove it: the default follows",
                )

        for sensor in self.sensors:
            if sensor.interval_seconds is not None and sensor.interval_seconds < self.interval_seconds:
                raise broken(
                    f"interval_seconds of sensor {sensor.name!r} ({sensor.interval_seconds:g}) must not be below that "
                    f"of the plant ({self.interval_seconds:g}), in which its machines send readings",
                    "remove it, or correct the plant's",
                )
        idle, grace = self.energy.close_idle_after_seconds, self.energy.grace_seconds
        if idle is not None and idle < grace:
            raise broken(
                f"energy.close_idle_after_seconds ({idle:g}) must not be below energy.grace_seconds ({grace:g}), or "
                "hours close before late readings are waited for",
                f"write {grace:g} or more, or a shorter grace_seconds",
            )

    def _fits_its_types(self) -> None:
        """Check that overrides of the alert policy are for machine types that there are."""
        known = [kind.name for kind in self.machine_types]
        for place, override in enumerate(self.alerts.overrides):
            unknown = [name for name in override.types if name not in known]
            if unknown:
                raise broken(
                    f"alerts.overrides[{place}].types has {unknown[0]!r}, which is no machine type of this plant",
                    f"use some of: {', '.join(known)}" if known else "add it to machine_types",
                )

    @property
    def warm_up_readings(self) -> int:
        """Readings of a warm-up: as stated, or those of a day, but at least 168 and at most 1,440.

        At one an hour that is a week, at one a second 24 minutes: fewer are too few for a baseline, and more would take
        too much memory in the state of every learning machine.
        """
        stated = self.detection.warm_up_readings
        return stated or int(min(max(_DAY_SECONDS / self.interval_seconds, _LEAST_WARM_UP), _MOST_WARM_UP))

    @cached_property
    def silent_after_seconds(self) -> float:
        """Silence of a machine that raises an alert, s: as stated, or three intervals."""
        return self.alerts.silent_after_seconds or self._intervals(_SILENT_INTERVALS)

    @cached_property
    def close_idle_after_seconds(self) -> float:
        """Wall-clock time after which a partition without readings closes its windows, s; default: two intervals."""
        return self.energy.close_idle_after_seconds or self._intervals(_IDLE_INTERVALS)

    @cached_property
    def average_hours(self) -> tuple[float, ...]:
        """Spans of the slow averages, running hours, rising: as stated, or by the interval of the readings."""
        if self.maintenance.average_hours is not None:
            return self.maintenance.average_hours
        if self.interval_seconds <= _SPARSE_SECONDS:
            return _SLOW_HOURS
        return tuple(number * self.interval_seconds / 3600 for number in _SPARSE_INTERVALS)

    def _intervals(self, number: float) -> float:
        return max(_LEAST_SECONDS, number * self.interval_seconds)

    def __hash__(self) -> int:
        """Equal plants have equal hashes; pydantic cannot hash csv.columns, a dict."""
        return hash((self.name, self.fingerprint))

    @property
    def detector(self) -> Detector:
        """Detector of the machines' own scores; `auto` is resolved here."""
        chosen = self.detection.detector
        if chosen != "auto":
            return chosen
        slow = len(self._measuring) == 1 and self.interval_seconds >= _SLOW_SECONDS
        return "seasonal" if slow else "distance"

    @property
    def _measuring(self) -> list[Sensor]:
        return [sensor for sensor in self.sensors if sensor.role not in {"runtime", "energy_counter"}]

    @property
    def alert_policy(self) -> AlertPolicy:
        """The alert policy, with the defaults that suit the detector where the plant file names none.

        The seasonal detector flags a single reading, and then none for half a day.
        """
        named = {"readings_over", "of_readings"} & self.alerts.model_fields_set
        if self.detector != "seasonal" or named:
            return self.alerts
        return self.alerts.model_copy(update={"readings_over": 1, "of_readings": 1})

    @cached_property
    def sensor_names(self) -> tuple[str, ...]:
        """The sensors' names in column order."""
        return tuple(sensor.name for sensor in self.sensors)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change when a sensor's name, unit, role, formula or position changes."""
        identity = [
            [sensor.name, sensor.unit, sensor.role, *([sensor.formula] if sensor.formula else [])]
            for sensor in self.sensors
        ]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]

    def index_of_role(self, role: Role) -> int | None:
        """Return the column of the sensor with that role; None if the plant has none."""
        return next((index for index, sensor in enumerate(self.sensors) if sensor.role == role), None)

    def type_of(self, machine_id: str) -> MachineType | None:
        """Return the first machine type with a pattern that matches the id (case matters), or None."""
        for kind in self.machine_types:
            if any(fnmatchcase(machine_id, pattern) for pattern in kind.machines):
                return kind
        return None


def _derivable(sensors: tuple[Sensor, ...]) -> dict[str, tuple[int, Formula]]:
    """Return column and formula of derivable sensors by name, each after those that it reads."""
    left = {one.name: (column, compile_formula(one.formula)) for column, one in enumerate(sensors) if one.formula}
    found: dict[str, tuple[int, Formula]] = {}
    while ready := {name: item for name, item in left.items() if item[1].names.isdisjoint(left)}:
        found |= ready
        left = {name: item for name, item in left.items() if name not in ready}
    return found
