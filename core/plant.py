"""The plant file: which sensors, machine types, limits and policies a plant has, as checked data.

Pure: `parse_plant` takes the text of a TOML file and the name to call it by in messages. Every value
carries its unit in its name or description. A `Plant` is immutable and hashable: it can be a key.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

Role = Literal["power", "runtime", "production", "energy_counter"]

TRUTH_COLUMNS = ("anomaly", "anomaly_kind", "hours_to_failure", "condition")
"""Columns of labelled data beside the sensors."""
RESERVED_NAMES = frozenset({"machine_id", "timestamp", *TRUTH_COLUMNS})
"""Names that a sensor cannot have, because a reading or its labels use them."""


class PlantError(ValueError):
    """A plant file that cannot be used; the message names file, key, value, rule and remedy."""


def _broken(rule: str, remedy: str) -> PydanticCustomError:
    """A rule of ours, in the form that `_sentence` turns into a message."""
    return PydanticCustomError("plant_rule", "{rule}", {"rule": rule, "remedy": remedy})


def _ordered(**values: float | None) -> None:
    """Checks that the values which are given do not fall from left to right."""
    given = [(name, value) for name, value in values.items() if value is not None]
    for (lower, low), (upper, high) in pairwise(given):
        if low > high:
            raise _broken(f"{lower} ({low:g}) must not be above {upper} ({high:g})", "correct one of the two")


def _unique(what: str, names: list[Any]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise _broken(f"{what} {name!r} is there {names.count(name)} times", "keep one of them")


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:  # unknown; a folder; no legal name
        raise _broken("must be an IANA time zone", 'write for example "Europe/Berlin" or "UTC"') from error
    return name


def check_region(region: str) -> None:
    """Refuses a country or region whose holidays are not known."""
    from holidays.utils import list_supported_countries  # noqa: PLC0415  most plants name none

    country, _, part = region.partition("-")
    known = list_supported_countries()
    if country not in known or (part and part not in known[country]):
        raise _broken(f"holidays of {region!r} are not known", 'write a country as "DE", with a region as "DE-BY"')


Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Pattern = Annotated[str, StringConstraints(min_length=1)]
TimezoneName = Annotated[str, AfterValidator(_known_timezone)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PlantModel(BaseModel):
    """What all parts of a plant file have in common: unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EnergyCounter(PlantModel):
    """How the register of a sensor that counts energy behaves."""

    modulus: Positive | None = Field(default=None, description="kWh at which it begins again from 0; none: never")
    resolution: Positive = Field(default=1.0, description="step in which it counts, kWh; one step is always believed")
    maximum_power: Positive | None = Field(
        default=None,
        description="power that its machine never exceeds, kW; none: the maximum of the sensor of role power",
    )
    longest_gap_seconds: Positive | None = Field(
        default=None,
        description="time between two readings over which energy is divided between hours, s; none: twice the interval",
    )


class Sensor(PlantModel):
    """One signal of every machine. Limits are in the sensor's own unit; None means that there is none."""

    name: Identifier = Field(description="key of the value in a reading")
    unit: str = Field(min_length=1, description="unit of the value, as people write it")
    minimum: Finite = Field(description="lowest value that is physically possible")
    maximum: Finite = Field(description="highest value that is physically possible")
    role: Role | None = Field(default=None, description="what the product computes from this sensor")
    minimum_deviation: NotNegative = Field(
        default=0.0, description="smallest deviation from the expected value that may raise an anomaly"
    )
    warning_low: Finite | None = Field(default=None, description="below: a limit alert of severity warning")
    warning_high: Finite | None = Field(default=None, description="above: a limit alert of severity warning")
    critical_low: Finite | None = Field(default=None, description="below: a limit alert of severity critical")
    critical_high: Finite | None = Field(default=None, description="above: a limit alert of severity critical")
    stuck_after_readings: int | None = Field(
        default=None, ge=2, description="identical readings in a row that mean a stuck sensor; none: never"
    )
    counter: EnergyCounter = Field(default=EnergyCounter(), description="of a sensor with role energy_counter")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise _broken(f"the name {self.name!r} is reserved", "name the sensor differently")
        if not self.minimum < self.maximum:
            raise _broken(
                f"minimum ({self.minimum:g}) must be below maximum ({self.maximum:g})",
                "correct one of the two",
            )
        _ordered(
            critical_low=self.critical_low,
            warning_low=self.warning_low,
            warning_high=self.warning_high,
            critical_high=self.critical_high,
        )
        self._counts_energy()
        return self

    def _counts_energy(self) -> None:
        if self.role != "energy_counter":
            if self.counter != EnergyCounter():
                raise _broken(
                    "counter is for a sensor with role energy_counter", "give it that role, or remove its counter"
                )
            return
        if self.unit != "kWh":
            raise _broken(f"an energy counter counts kWh, not {self.unit}", "convert it where readings are sent")
        if self.minimum < 0:
            raise _broken(f"an energy counter is never negative, minimum is {self.minimum:g}", "write minimum = 0")
        _ordered(maximum=self.maximum, modulus=self.counter.modulus)


class MachineType(PlantModel):
    """Machines of one kind, found by glob patterns of their ids. Powers are in kW."""

    name: Identifier = Field(description="name of the type")
    machines: Annotated[tuple[Pattern, ...], Field(strict=False)] = Field(
        min_length=1, description="glob patterns of machine ids"
    )
    rated_power: Positive | None = Field(default=None, description="power at full load, kW")
    off_below: NotNegative | None = Field(default=None, description="below this power the machine is off, kW")
    idle_below: NotNegative | None = Field(default=None, description="below this power the machine is idle, kW")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _ordered(off_below=self.off_below, idle_below=self.idle_below, rated_power=self.rated_power)
        return self


class DetectionPolicy(PlantModel):
    """How the per-machine baseline is learned and how sharp the score is."""

    warm_up_readings: int = Field(default=400, ge=20, le=100_000, description="readings a baseline is learned from")
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=0.5, description="share of normal readings above 0.5")
    fast_smoothing: float = Field(default=0.2, gt=0, le=1, description="weight of the newest reading, fast average")
    slow_smoothing: float = Field(default=0.05, gt=0, le=1, description="weight of the newest reading, slow average")
    settle_seconds: NotNegative = Field(
        default=0.0, description="running time after a start before readings are scored or learned from, s"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _ordered(slow_smoothing=self.slow_smoothing, fast_smoothing=self.fast_smoothing)
        return self


class AlertPolicy(PlantModel):
    """When people hear of it. Scores are in [0, 1]; high means anomalous."""

    readings_over: int = Field(default=4, ge=1, le=32, description="anomalous readings (n) that open an alert ...")
    of_readings: int = Field(default=6, ge=1, le=32, description="... out of so many (m)")
    resolve_below: float = Field(default=0.4, gt=0, le=0.5, description="score that counts as calm again")
    resolve_after_readings: int = Field(default=10, ge=1, description="calm readings that resolve an alert")
    critical_score: float = Field(default=0.8, ge=0.5, le=1, description="score that makes an alert critical")
    silent_after_seconds: Positive = Field(default=300.0, description="silence that raises an alert, s")
    update_seconds: NotNegative = Field(default=60.0, description="least time between updates of an open alert, s")
    merge_gap_seconds: NotNegative = Field(
        default=120.0, description="an opening this soon after a resolve continues the same alert, s"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _ordered(readings_over=self.readings_over, of_readings=self.of_readings)
        return self


class Period(PlantModel):
    """Hours of the plant's time at a price of their own."""

    weekdays: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(strict=False)] = Field(
        default=(0, 1, 2, 3, 4, 5, 6), description="days on which it holds, 0 is Monday"
    )
    from_hour: int = Field(default=0, ge=0, le=23, description="first hour of the day")
    to_hour: int = Field(default=24, ge=1, le=24, description="hour at which it is over; before from_hour: over night")
    price: Finite = Field(description="price of one kWh")


class Tariff(PlantModel):
    """What a kWh costs, by the hour of the plant's time zone."""

    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="three letters of ISO 4217")
    price: Finite = Field(description="price of one kWh where no period says otherwise")
    periods: Annotated[tuple[Period, ...], Field(strict=False)] = Field(
        default=(), description="the first that fits counts"
    )


class EnergyPolicy(PlantModel):
    """How hourly energy windows close."""

    grace_seconds: NotNegative = Field(default=120.0, description="event time a window waits for late readings, s")
    close_idle_after_seconds: Positive = Field(
        default=300.0,
        description="wall-clock time after which a partition without readings closes its windows, s",
    )
    peak_limit: Positive | None = Field(default=None, description="power of the whole plant to stay under, kW")
    holidays: str | None = Field(
        default=None, description='country, or country and region, whose holidays count: "DE" or "DE-BY"'
    )
    tariff: Tariff | None = Field(default=None, description="what energy costs")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.holidays is not None:
            check_region(self.holidays)
        return self


class ReadingPolicy(PlantModel):
    """Which timestamps are believed."""

    earliest: AwareDatetime = Field(default=datetime(2000, 1, 1, tzinfo=UTC), description="older ones are refused")
    latest_ahead_seconds: NotNegative = Field(default=3600.0, description="further in the future is refused, s")


class CsvFormat(PlantModel):
    """How recorded CSV files of this plant look, for replay and back-test."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description="character between cells")
    timestamp_column: str = Field(default="timestamp", min_length=1, description="column of the reading's time")
    timezone: TimezoneName = Field(default="UTC", description="zone of times that carry none")
    machine_id_column: str | None = Field(
        default=None,
        min_length=1,
        description="column of the machine id; none: the file's name without ending",
    )
    machine_prefix: str = Field(default="", description="put before a machine id that comes from a file's name")
    label_column: str | None = Field(default=None, min_length=1, description="column of the label (0 or 1)")
    columns: dict[str, str] = Field(
        default_factory=dict, description="CSV column to sensor name; empty: the names are equal"
    )


class Plant(PlantModel):
    """A whole plant file. Its order of `sensors` is the order of columns everywhere."""

    name: Identifier = Field(description="name of the plant")
    timezone: TimezoneName = Field(description="IANA zone in which shifts and days are meant")
    interval_seconds: Positive = Field(description="expected time between two readings of a machine, s")
    sensors: Annotated[tuple[Sensor, ...], Field(strict=False)] = Field(min_length=1, max_length=64)
    machine_types: Annotated[tuple[MachineType, ...], Field(strict=False)] = ()
    detection: DetectionPolicy = DetectionPolicy()
    alerts: AlertPolicy = AlertPolicy()
    energy: EnergyPolicy = EnergyPolicy()
    readings: ReadingPolicy = ReadingPolicy()
    csv: CsvFormat = CsvFormat()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _unique("sensor", [sensor.name for sensor in self.sensors])
        _unique("sensor role", [sensor.role for sensor in self.sensors if sensor.role])
        _unique("machine type", [kind.name for kind in self.machine_types])
        counter = self.index_of_role("energy_counter")
        if self.index_of_role("power") is None:
            if counter is not None and self.sensors[counter].counter.maximum_power is None:
                raise _broken(
                    f"energy counter {self.sensors[counter].name!r} has no maximum_power, and no sensor has the role "
                    "power: nothing says which steps are possible",
                    "write counter = { maximum_power = 400 }, in kW",
                )
            for kind in self.machine_types:
                if kind.off_below is not None or kind.idle_below is not None:
                    raise _broken(
                        f"type {kind.name!r} has off_below or idle_below, but no sensor has the role power",
                        'give the sensor of power in kW role = "power", or remove the limits',
                    )
        for column, sensor in self.csv.columns.items():
            if sensor not in self.sensor_names:
                raise _broken(
                    f"csv.columns maps {column!r} to {sensor!r}, which is no sensor of this plant",
                    f"use one of: {', '.join(self.sensor_names)}",
                )
        _unique("sensor in csv.columns", list(self.csv.columns.values()))
        return self

    def __hash__(self) -> int:
        """Equal plants have equal hashes; csv.columns, a dict, keeps pydantic from making one."""
        return hash((self.name, self.fingerprint))

    @cached_property
    def sensor_names(self) -> tuple[str, ...]:
        """The sensors' names in column order."""
        return tuple(sensor.name for sensor in self.sensors)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change when a sensor's name, unit, role or place changes."""
        identity = [[sensor.name, sensor.unit, sensor.role] for sensor in self.sensors]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]

    def index_of_role(self, role: Role) -> int | None:
        """Column of the sensor with that role, or None when the plant has none."""
        return next((index for index, sensor in enumerate(self.sensors) if sensor.role == role), None)

    def type_of(self, machine_id: str) -> MachineType | None:
        """The first machine type with a pattern that matches the id (case matters), or None."""
        for kind in self.machine_types:
            if any(fnmatchcase(machine_id, pattern) for pattern in kind.machines):
                return kind
        return None


def parse_plant(text: str, *, source: str) -> Plant:
    """The plant that the TOML `text` describes; `source` is what error messages call it.

    Raises:
        PlantError: the text is no TOML or breaks a rule; one line names every broken rule.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlantError(f"{source}: is not valid TOML: {error}; correct that place") from error
    try:
        return Plant.model_validate(document)
    except ValidationError as error:
        problems = [_sentence(detail) for detail in error.errors(include_url=False)]
        raise PlantError(f"{source}: {' | '.join(problems)}") from error


_REMEDIES: Mapping[str, str] = {
    "extra_forbidden": "remove the key or correct its spelling",
    "missing": "add the key",
}


def _sentence(detail: ErrorDetails) -> str:
    """One broken rule as `key = value: rule; remedy`."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    context = detail.get("ctx", {})
    rule = str(context.get("rule", detail["msg"][:1].lower() + detail["msg"][1:]))
    remedy = str(context.get("remedy", _REMEDIES.get(detail["type"], "correct the value")))
    value = detail["input"]
    # of a table, only the broken rule is worth showing
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        shown = f" ({value['name']})"
    else:
        shown = "" if isinstance(value, dict | list | BaseModel) else f" = {value!r}"
    return f"{key or 'plant'}{shown}: {rule}; {remedy}"
