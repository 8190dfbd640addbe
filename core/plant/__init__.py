"""The plant file: sensors, machine types, limits and policies of a plant, as validated data.

Pure: `parse_plant` takes the text of a TOML file and the name to call it by in messages. Every value
carries its unit in its name or description.
"""

from core.plant.alert_policy import AlertOverride, AlertPolicy, AlertRule, FleetPolicy, MaintenanceWindow
from core.plant.parsing import parse_plant
from core.plant.plant import Plant
from core.plant.policies import (
    CsvFormat,
    DetectionPolicy,
    EnergyPolicy,
    MaintenancePolicy,
    Period,
    ReadingPolicy,
    Tariff,
)
from core.plant.rules import PlantError
from core.plant.sensors import RESERVED_NAMES, TRUTH_COLUMNS, EnergyCounter, MachineType, Role, Sensor
from core.plant.sources import Place, Source, SourceSensor

__all__ = [
    "RESERVED_NAMES",
    "TRUTH_COLUMNS",
    "AlertOverride",
    "AlertPolicy",
    "AlertRule",
    "CsvFormat",
    "DetectionPolicy",
    "EnergyCounter",
    "EnergyPolicy",
    "FleetPolicy",
    "MachineType",
    "MaintenancePolicy",
    "MaintenanceWindow",
    "Period",
    "Place",
    "Plant",
    "PlantError",
    "ReadingPolicy",
    "Role",
    "Sensor",
    "Source",
    "SourceSensor",
    "Tariff",
    "parse_plant",
]
