"""Sources of a plant file: the mapping of one topic's messages to readings."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from core.plant.rules import Finite, NotNegative, PlantModel, TimezoneName, broken, ordered

MISSING_WORDS: Final = ("", "-", "--", "n/a", "na", "nan", "null", "none", "no data", "#n/a", "bad")
"""Words that stand for a missing value, in upper or lower case."""
SPARKPLUG: Final[dict[str, Any]] = {
    "form": "long",
    "each": "metrics",
    "machine_id": "topic:spBv1.0/+/+/+/{machine_id}",
    "tag": "path:name",
    "time_format": "ms",
    "quality": "quality",
    "quality_codes": "sparkplug",
}
"""Defaults of a Sparkplug source: devices are machines, metrics are sensors."""
CAPTURES: Final = frozenset({"machine_id", "sensor"})
_PLACES: Final = ("path", "key", "header", "topic", "is")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_FACTORS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    # unit of the plant file: unit that is sent -> (factor, offset)
    "kW": {"W": (1e-3, 0.0), "MW": (1e3, 0.0), "hp": (0.745_699_871_582_270_2, 0.0)},
    "kWh": {"Wh": (1e-3, 0.0), "MWh": (1e3, 0.0), "MJ": (1 / 3.6, 0.0)},
    "°C": {"°F": (5 / 9, -160 / 9), "K": (1.0, -273.15)},
    "mm/s": {"m/s": (1e3, 0.0), "in/s": (25.4, 0.0)},
    "bar": {"Pa": (1e-5, 0.0), "kPa": (1e-2, 0.0), "MPa": (10.0, 0.0), "psi": (0.068_947_572_931_683_6, 0.0)},
    "h": {"s": (1 / 3600, 0.0), "min": (1 / 60, 0.0)},
    "A": {"mA": (1e-3, 0.0)},
    "V": {"mV": (1e-3, 0.0), "kV": (1e3, 0.0)},
    "g": {"m/s²": (1 / 9.806_65, 0.0), "mg": (1e-3, 0.0)},
}


def _as_parts(value: object) -> object:
    """Read `data.values.0` as a list of keys; a list is left unchanged, for keys that contain dots."""
    return value.split(".") if isinstance(value, str) else value


Path = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_parts),
    Field(strict=False, min_length=1, max_length=16),
    WithJsonSchema({"type": "string"}),  # as people write it
]
Text = Annotated[str, Field(min_length=1, max_length=256)]


class Place(PlantModel):
    """Location of a text in a message, optionally with a template for the relevant part."""

    where: Literal["path", "key", "header", "topic", "is"]
    path: Path | None = None
    name: str = ""
    template: str | None = None

    @property
    def captures(self) -> frozenset[str]:
        """Names that the template captures."""
        return frozenset(_BRACES.findall(self.template or "")) & CAPTURES


def _as_place(value: object) -> object:
    """Read `path:device.id`, `device.id`, `key`, `key:{machine_id}/x`, `header:NAME`, `topic:TEMPLATE`, `is:TEXT`."""
    if not isinstance(value, str):
        return value
    where, colon, rest = value.partition(":")
    if where not in _PLACES or (where in {"path", "header", "is"} and not colon):
        where, rest = "path", value
    if where in {"key", "topic"}:
        return {"where": where, "template": rest or None}
    if where in {"header", "is"}:
        return {"where": where, "name": rest}
    # a template follows a blank, as no path has one
    path, _, template = rest.partition(" ")
    return {"where": where, "path": path, "template": template.strip() or None}


PlaceText = Annotated[Place, BeforeValidator(_as_place), WithJsonSchema({"type": "string"})]


class SourceSensor(PlantModel):
    """Location of a sensor's value in a message, and its conversion to the plant's unit: value · factor + offset."""

    path: Path | None = Field(
        default=None, description="keys that lead to the value, such as data.power; of a wide source"
    )
    tag: Text | None = Field(default=None, description="text by which a long source names the sensor")
    unit: Text | None = Field(default=None, description="unit of the sent value, if it is not the plant file's")
    factor: Finite = Field(default=1.0, description="factor of the value")
    offset: Finite = Field(default=0.0, description="offset that is added afterwards")
    quality: Path | None = Field(default=None, description="keys that lead to the value's quality; of a wide source")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.unit is not None and (self.factor, self.offset) != (1.0, 0.0):
            raise broken("unit and factor or offset define the conversion twice", "keep one of them")
        if self.factor == 0:
            raise broken("factor is 0, which makes every value the same", "write the factor of the units")
        return self

    def scale(self, unit: str) -> tuple[float, float]:
        """Return factor and offset for the conversion to `unit`.

        Raises:
            KeyError: the conversion is unknown.
        """
        if self.unit in {None, unit}:
            return self.factor, self.offset
        return _FACTORS.get(unit, {})[str(self.unit)]


class Source(PlantModel):
    """One Kafka topic or MQTT topic filter, and the mapping of its messages to readings."""

    topic: Text | None = Field(default=None, description="Kafka topic that is read")
    mqtt: Text | None = Field(default=None, description="MQTT topic filter to subscribe to, such as plant/+/telemetry")
    format: Literal["json", "registry", "sparkplug"] = Field(
        default="json",
        description="json: also by lines; registry: Confluent wire format (JSON, Avro, Protobuf); sparkplug: version B",
    )
    form: Literal["wide", "long"] = Field(
        default="wide", description="wide: one key for each sensor; long: a tag and its value"
    )
    each: Path | None = Field(
        default=None, description="keys that lead to a list, each element of which is read with its message around it"
    )
    machine_id: PlaceText | None = Field(
        default=None,
        description="path:KEYS, key, header:NAME, topic or is:NAME; after key: and topic:, and after the keys of a "
        "path, a template as plant/{machine_id}/+ may follow; none: path:machine_id",
    )
    time: Path = Field(default=("timestamp",), description="keys that lead to the time; kafka: the record's own")
    time_format: Literal["rfc3339", "naive", "s", "ms", "us", "ns"] = Field(
        default="rfc3339", description="rfc3339 with zone; naive without one; or a number since 1970 in s, ms, us, ns"
    )
    time_pattern: Text | None = Field(default=None, description="form of naive times, as %d.%m.%Y %H:%M:%S; none: ISO")
    timezone: TimezoneName | None = Field(default=None, description="zone of naive times; none: the plant's")
    tag: PlaceText | None = Field(default=None, description="where a long source names the sensor, as machine_id")
    value: Path = Field(default=("value",), description="keys that lead to a long source's value")
    quality: Path | None = Field(default=None, description="keys that lead to a quality, of the message or long value")
    quality_codes: Literal["ua", "da", "sparkplug"] = Field(
        default="ua", description="numbers as in OPC UA (0 is good), OPC DA (192 is good) or Sparkplug; words fit all"
    )
    uncertain: Literal["use", "drop"] = Field(default="use", description="use or drop values of uncertain quality")
    decimal: Literal[",", "."] = Field(default=".", description="decimal sign of numbers that are sent as text")
    missing: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=MISSING_WORDS, description="words that stand for a missing value, in any case"
    )
    gather_seconds: NotNegative = Field(
        default=0.0, description="time within which values of a machine belong to one reading of a long source, s"
    )
    wait_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        default=2.0, description="time for which an incomplete reading of a long source waits for its other values, s"
    )
    sensors: dict[str, SourceSensor] = Field(
        default_factory=dict, description="sensor to path (or tag), unit or factor; empty: the names are equal"
    )

    @model_validator(mode="before")
    @classmethod
    def _sparkplug_has_one_form(cls, value: Any) -> Any:
        """Fill in the defaults that Sparkplug B prescribes."""
        if isinstance(value, dict) and value.get("format") == "sparkplug":
            return SPARKPLUG | value
        return value

    @field_validator("sensors", mode="before")
    @classmethod
    def _written_short(cls, value: Any, info: Any) -> Any:
        """Read `power = "data.P"` as `power = { path = "data.P" }`, or as a tag in a long source."""
        if not isinstance(value, dict):
            return value
        key = "tag" if info.data.get("form") == "long" else "path"
        return {name: {key: one} if isinstance(one, str | list) else one for name, one in value.items()}

    @property
    def name(self) -> str:
        """Name of the source in messages."""
        return self.topic or self.mqtt or ""

    @property
    def machine_place(self) -> Place:
        """Location of the machine's name; default: the path machine_id."""
        return self.machine_id or Place(where="path", path=("machine_id",))

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.topic is None) == (self.mqtt is None):
            raise broken("a source has either topic or mqtt", "write one of the two")
        if self.topic is not None and self.topic.startswith("nexova."):
            raise broken(
                f"{self.topic} is a topic of Nexova's own, whose readings need no source", "send to another topic"
            )
        if self.mqtt is not None and self.time == ("kafka",):
            raise broken("MQTT messages have no time of their own", "name the path of a time")
        ordered(gather_seconds=self.gather_seconds, wait_seconds=self.wait_seconds)
        self._template_fits("machine_id", self.machine_id, {"machine_id"})
        if self.form == "wide" and self.tag is not None:
            raise broken("a wide source has no tag", 'write form = "long", or remove tag')
        if self.form == "long":
            self._is_long()
        elif any(one.tag is not None for one in self.sensors.values()):
            raise broken("sensors of a wide source have a path, not a tag", 'write form = "long", or path')
        if self.time_pattern is not None and self.time_format != "naive":
            raise broken("time_pattern is for naive times", 'write time_format = "naive"')
        if self.timezone is not None and self.time_format != "naive":
            raise broken("timezone is for naive times", 'write time_format = "naive"')
        return self

    def _is_long(self) -> None:
        tag = self.tag
        if tag is None:
            raise broken("a long source names its sensors by a tag", 'write for example tag = "path:tag"')
        self._template_fits("tag", tag, CAPTURES)
        if tag.template is not None and "sensor" not in tag.captures:
            raise broken("the template of tag lacks {sensor}", "write it where the sensor's name stands")
        if "machine_id" in tag.captures and self.machine_id is not None:
            raise broken("tag and machine_id both name the machine", "remove one of them")
        if any(one.path is not None or one.quality is not None for one in self.sensors.values()):
            raise broken("sensors of a long source have a tag, neither path nor quality", 'write { tag = "…" }')

    @staticmethod
    def _template_fits(key: str, place: Place | None, known: set[str] | frozenset[str]) -> None:
        names = _BRACES.findall(place.template or "") if place is not None else []
        invalid = [name for name in names if name not in known or names.count(name) > 1]
        if invalid:
            raise broken(
                f"the template of {key} has {{{invalid[0]}}}, which is repeated or unknown",
                f"use {', '.join(f'{{{name}}}' for name in sorted(known))}, + and #",
            )
        if key == "machine_id" and place is not None and place.template is not None and "machine_id" not in names:
            raise broken("the template of machine_id lacks {machine_id}", "write it where the machine's name stands")

    def fits(self, units: dict[str, str]) -> None:
        """Check the sensors against those of the plant. units: by name of the sensor."""
        for name, sensor in self.sensors.items():
            if name not in units:
                raise broken(
                    f"source {self.name} maps {name!r}, which is no sensor of this plant",
                    f"use one of: {', '.join(units)}",
                )
            try:
                sensor.scale(units[name])
            except KeyError:
                known = ", ".join(_FACTORS.get(units[name], {})) or "none"
                raise broken(
                    f"source {self.name}: {name} in {sensor.unit} cannot become {units[name]} (known: {known})",
                    "write factor and offset instead of unit",
                ) from None
