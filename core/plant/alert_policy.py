"""Alert policy of a plant file: rules for episodes, overrides, maintenance windows and fleet alerts."""

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from core.plant.rules import NotNegative, Pattern, PlantModel, Positive, broken, ordered
from schemas.alerts import AlertKind

Kinds = Annotated[tuple[AlertKind, ...], Field(strict=False)]
Direction = Literal["high", "low", "both"]
"""Side of the expected value on which a deviation counts."""
Machines = Annotated[tuple[Pattern, ...], Field(strict=False)]


class AlertRule(PlantModel):
    """Rule by which episodes of one kind open, change and resolve. Scores are in [0, 1]; high means anomalous."""

    readings_over: int = Field(
        default=4, ge=1, le=32, description="number of anomalous readings (n) that opens an alert …"
    )
    of_readings: int = Field(default=6, ge=1, le=32, description="… of this number of readings (m)")
    resolve_below: float = Field(default=0.4, gt=0, le=0.5, description="score that counts as calm again")
    resolve_after_readings: int = Field(default=10, ge=1, description="consecutive calm readings that resolve an alert")
    critical_score: float = Field(default=0.8, ge=0.5, le=1, description="score that makes an alert critical")
    direction: Direction = Field(
        default="both", description="side of the expected value on which a deviation counts, of kind anomaly"
    )
    minimum_deviation: NotNegative = Field(
        default=0.0,
        description="minimum deviation from the expected value, in the sensor's unit, beside that of the sensor, of "
        "kind anomaly",
    )
    minimum_relative_deviation: NotNegative = Field(
        default=0.0, description="minimum deviation as a share of the expected value, of kind anomaly"
    )
    silent_after_seconds: Positive | None = Field(
        default=None, description="silence that raises an alert, s; none: three intervals, 300 s at least"
    )
    update_seconds: NotNegative = Field(default=60.0, description="minimum time between updates of an open alert, s")
    merge_gap_seconds: NotNegative = Field(
        default=120.0, description="time after a resolution in which an opening continues the same alert, s"
    )
    cooldown_seconds: NotNegative = Field(
        default=0.0, description="time after a resolution in which no alert of the same kind opens, s"
    )
    budget_per_week: Positive | None = Field(
        default=None,
        description="maximum openings per machine and kind in a week; beyond it only critical ones; none: no maximum",
    )
    enabled: bool = Field(default=True, description="false: alerts of this kind are not raised")


class AlertOverride(PlantModel):
    """Keys of the alert policy that differ for some machines and kinds; the last override that fits counts."""

    machines: Machines = Field(default=("*",), min_length=1, description="glob patterns of machine ids")
    types: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="machine types; empty: of any type"
    )
    kinds: Kinds = Field(default=(), description="kinds of alerts; empty: all")
    readings_over: int | None = Field(default=None, ge=1, le=32, description="as in [alerts]")
    of_readings: int | None = Field(default=None, ge=1, le=32, description="as in [alerts]")
    resolve_below: float | None = Field(default=None, gt=0, le=0.5, description="as in [alerts]")
    resolve_after_readings: int | None = Field(default=None, ge=1, description="as in [alerts]")
    critical_score: float | None = Field(default=None, ge=0.5, le=1, description="as in [alerts]")
    direction: Direction | None = Field(default=None, description="as in [alerts]")
    minimum_deviation: NotNegative | None = Field(default=None, description="as in [alerts]")
    minimum_relative_deviation: NotNegative | None = Field(default=None, description="as in [alerts]")
    silent_after_seconds: Positive | None = Field(default=None, description="as in [alerts]")
    update_seconds: NotNegative | None = Field(default=None, description="as in [alerts]")
    merge_gap_seconds: NotNegative | None = Field(default=None, description="as in [alerts]")
    cooldown_seconds: NotNegative | None = Field(default=None, description="as in [alerts]")
    budget_per_week: Positive | None = Field(default=None, description="as in [alerts]")
    enabled: bool | None = Field(default=None, description="as in [alerts]")

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        of_anomalies = ("direction", "minimum_deviation", "minimum_relative_deviation")
        unused = [name for name in of_anomalies if getattr(self, name) is not None]
        if self.kinds and "anomaly" not in self.kinds and unused:
            raise broken(
                f"{unused[0]} ({getattr(self, unused[0])}) is a rule of kind anomaly, kinds is {list(self.kinds)}",
                f"add anomaly to kinds, or remove {unused[0]}",
            )
        return self

    def fits(self, machine_id: str, machine_type: str | None, kind: AlertKind) -> bool:
        """Return whether this override is for alerts of a kind at a machine."""
        return (
            (not self.kinds or kind in self.kinds)
            and (not self.types or machine_type in self.types)
            and any(fnmatchcase(machine_id, pattern) for pattern in self.machines)
        )

    @property
    def changes(self) -> dict[str, Any]:
        """The keys of `AlertRule` that this override sets."""
        return {name: value for name in AlertRule.model_fields if (value := getattr(self, name)) is not None}


class MaintenanceWindow(PlantModel):
    """Time in which machines are worked on: their readings raise no alerts."""

    machines: Machines = Field(default=("*",), min_length=1, description="glob patterns of machine ids")
    start: AwareDatetime = Field(description="first instant of the window, with zone")
    end: AwareDatetime = Field(description="first instant after the window, with zone")
    comment: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", description="description of the work"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.start >= self.end:
            raise broken(
                f"start ({_written(self.start)}) must be before end ({_written(self.end)})", "correct one of the two"
            )
        return self


class FleetPolicy(PlantModel):
    """Policy that joins alerts at many machines into one fleet alert: a common cause, or a flood."""

    enabled: bool = Field(default=True, description="false: no alerts of kind fleet")
    within_seconds: Positive = Field(default=300.0, description="time within which openings may have a common cause, s")
    minimum_machines: int = Field(default=3, ge=2, description="minimum number of machines of a fleet alert")
    share: float = Field(default=0.5, gt=0, le=1, description="minimum share of the plant's machines")
    flood_openings: int = Field(
        default=30, ge=2, description="openings within within_seconds that are a flood, independent of their share"
    )


class AlertPolicy(AlertRule):
    """Alert policy: one rule for the plant, overrides for machines and kinds, and planned work."""

    overrides: Annotated[tuple[AlertOverride, ...], Field(strict=False)] = Field(
        default=(), description="keys that differ for some machines or kinds"
    )
    maintenance: Annotated[tuple[MaintenanceWindow, ...], Field(strict=False)] = Field(
        default=(), description="planned work, in which no alerts are raised"
    )
    calendar: str | None = Field(
        default=None, min_length=1, description="iCalendar file of planned work, relative to the plant file"
    )
    fleet: FleetPolicy = Field(default=FleetPolicy(), description="alerts at many machines at once")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        ordered(readings_over=self.readings_over, of_readings=self.of_readings)
        if 0 < self.cooldown_seconds <= self.merge_gap_seconds:
            raise broken(
                f"cooldown_seconds ({self.cooldown_seconds:g}) must be above merge_gap_seconds "
                f"({self.merge_gap_seconds:g}), or it has no effect: an opening that soon continues the alert",
                "write more, 0 for none, or a shorter merge_gap_seconds",
            )
        for place, override in enumerate(self.overrides):
            rule = self._changed(override)
            if rule.readings_over > rule.of_readings:
                raise broken(
                    f"overrides[{place}]: readings_over ({rule.readings_over}) must not be above of_readings "
                    f"({rule.of_readings})",
                    "give the override both keys",
                )
        return self

    def rule_of(self, machine_id: str, machine_type: str | None, kind: AlertKind) -> AlertRule:
        """Return the rule for alerts of a kind at a machine: that of the plant, or of the last override that fits."""
        fitting = [one for one in self.overrides if one.fits(machine_id, machine_type, kind)]
        return self._changed(*fitting)

    def _changed(self, *overrides: AlertOverride) -> AlertRule:
        values = {name: getattr(self, name) for name in AlertRule.model_fields}
        for override in overrides:
            values |= override.changes
        return AlertRule.model_construct(**values)


def _written(instant: datetime) -> str:
    return instant.isoformat()
