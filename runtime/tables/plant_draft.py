"""Drafting of a plant file from a sample of readings; guesses are marked in the file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from core.arrays import Floats
from core.plant.sensors import RESERVED_NAMES
from runtime.errors import UsageError
from runtime.tables.columns import SetAside, epoch_seconds, holds_numbers, known_decimal, numbers
from runtime.tables.series import listed, series_times
from runtime.tables.table import Table

Names = np.ndarray[Any, np.dtype[np.object_]]

MACHINE_COLUMNS: Final = (
    "machine_id", "machine", "asset", "asset_id", "device", "device_id", "equipment", "maschine", "id",
)  # fmt: skip
"""Usual names of the column of machines, in lower case, the most telling first."""
_LABELS: Final = ("anomaly", "label", "fault", "changepoint", "machine failure")
_UNITS: Final[tuple[tuple[str, str], ...]] = (
    ("accel", "g"),
    ("temp|thermo", "°C"),
    (r"kwh|energy|energie|\bmeter", "kWh"),
    ("power|leistung|kw", "kW"),
    ("vibration|velocity", "mm/s"),
    ("current|strom|ampere", "A"),
    ("volt|spannung", "V"),
    ("pressure|druck", "bar"),
    ("flow|durchfluss", "l/min"),
    ("speed|rpm|drehzahl", "rpm"),
    ("torque|drehmoment", "Nm"),
    ("humid|feuchte", "%"),
    ("runtime|hours|stunden", "h"),
    ("production|units|count|stück", "units/h"),
)
_LETTERS: Final = (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"))
_ROLES: Final = {"kW": "power", "h": "runtime", "units/h": "production"}
_WIDER: Final = 0.5  # of the seen span, on either side
_MOST_TYPES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Text of a plant file, and notes on what needs a review."""

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sensor:
    column: str
    name: str
    unit: str
    guessed: bool
    role: str | None
    low: float
    high: float


def draft_plant(table: Table, *, name: str, zone: str) -> Draft:
    """Return a plant file for the readings of a table. zone: of times without one, and of the plant.

    Raises:
        UsageError: the table has no column of times, or none with numbers.
    """
    aside = SetAside(table)
    times, written = series_times(table, aside)
    machine_column = next((one for one in table.columns if one.lower() in MACHINE_COLUMNS and one not in times), None)
    label = next((one for one in table.columns if one.lower() in _LABELS), None)
    others = [one for one in table.columns if one not in times and one != machine_column and one.lower() not in _LABELS]
    columns = [one for one in others if one.lower() not in RESERVED_NAMES and holds_numbers(table, one)]
    if not columns:
        raise UsageError(f"{table.path}: no column holds numbers ({listed(table.columns)}); give a file of readings")
    table = known_decimal(table, columns)
    aside.table = table
    machines = [table.path.stem] * len(table.frame) if machine_column is None else list(table.text(machine_column))
    found = epoch_seconds(table, times, aside, zone=ZoneInfo(zone), groups=machines)
    kept = aside.kept()
    seconds, owners = found.seconds[kept], np.asarray(machines, dtype=object)[kept]
    values = {column: numbers(table, column, aside)[kept] for column in columns}
    sensors = _sensors(values, seconds, owners)
    interval = _interval(seconds, owners)
    naive = bool(np.isnan(written.offset).all())
    lines = [
        f"# Drafted by `nexova plant init` from {table.path.name}; lines marked `guessed` need a look.",
        f'name = "{name}"',
        f'timezone = "{zone}"  # guessed',
        f"interval_seconds = {interval:g}  # median of the sample",
        "",
        *(line for sensor in sensors for line in _sensor_lines(sensor)),
        *_type_lines(sorted(set(owners.tolist())) if machine_column else []),
        "[csv]",
        f'timestamp_column = "{_quoted(times[0])}"',
        *([f'time_column = "{_quoted(times[1])}"'] if len(times) > 1 else []),
        *([f'timezone = "{zone}"  # guessed: the times carry none'] if naive else []),
        *([f'machine_id_column = "{_quoted(machine_column)}"'] if machine_column else []),
        *([f'label_column = "{_quoted(label)}"'] if label else []),
        "",
        "[csv.columns]",
        *(f'"{_quoted(sensor.column)}" = "{sensor.name}"' for sensor in sensors),
    ]
    left = [one for one in others if one not in columns]
    doubtful = [one.name for one in sensors if one.guessed or one.role]
    notes = [
        f"{len(sensors)} sensors of {len(set(owners.tolist()))} machines, a reading every {interval:g} s",
        *([f"columns not used: {listed(left)}"] if left else []),
        f"look at: ranges, and units and roles of {listed(doubtful) or 'none'}",
        *aside.sentences(),
    ]
    return Draft(text="\n".join(lines) + "\n", notes=tuple(notes))


def _sensors(values: dict[str, Floats], seconds: Floats, owners: Names) -> list[_Sensor]:
    sensors: list[_Sensor] = []
    roles: set[str] = set()
    for column, cells in values.items():
        known = cells[np.isfinite(cells)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        unit, guessed = _unit(column)
        role = _ROLES.get(unit)
        if unit == "kWh" and _only_rises(cells, seconds, owners):
            role = "energy_counter"
        if role in roles:
            role = None
        roles |= {role} if role else set()
        span = max(high - low, abs(high) * 0.1, 1.0)
        sensors.append(
            _Sensor(
                column=column,
                name=_identifier(column, {sensor.name for sensor in sensors}),
                unit=unit,
                guessed=guessed,
                role=role,
                low=0.0 if low >= 0 else _rounded(low - _WIDER * span),
                high=_rounded(high + (10 if role in {"runtime", "energy_counter"} else _WIDER) * span),
            )
        )
    return sensors


def _sensor_lines(sensor: _Sensor) -> Iterator[str]:
    mark = "  # guessed by its name" if sensor.guessed else ""
    yield "[[sensors]]"
    yield f'name = "{sensor.name}"'
    yield f'unit = "{_quoted(sensor.unit)}"{mark}'
    if sensor.role:
        yield f'role = "{sensor.role}"  # guessed'
    below = "no value of the sample is below 0" if sensor.low == 0 else "half of the seen span below the sample"
    yield f"minimum = {sensor.low:g}  # guessed: {below}"
    yield f"maximum = {sensor.high:g}  # guessed: half of the seen span above the sample"
    if sensor.role == "energy_counter":
        yield f"counter = {{ maximum_power = {max(1.0, sensor.high):g} }}  # guessed, kW: the machine's highest power"
    yield ""


def _type_lines(machines: Sequence[str]) -> Iterator[str]:
    matches = (re.fullmatch(r"(.*[A-Za-z].*?)[-_ ./]?\d+", machine) for machine in machines)
    found = dict.fromkeys(match[1] for match in matches if match)
    stems: dict[str, str] = {}
    for stem in found:
        stems[_identifier(stem, set(stems))] = stem
    for name, stem in list(stems.items())[:_MOST_TYPES]:
        yield "[[machine_types]]"
        yield f'name = "{name}"  # guessed'
        pattern = re.sub(r"([*?[])", r"[\1]", stem)
        yield f'machines = ["{_quoted(pattern)}*"]'
        yield ""


def _unit(column: str) -> tuple[str, bool]:
    """Return the unit of a column, and whether it is a guess; a unit in brackets is not."""
    stated = re.search(r"[\[(]\s*(.+?)\s*[\])]", column)
    if stated:
        return stated[1], False
    plain = column.lower()
    return next((unit for pattern, unit in _UNITS if re.search(pattern, plain)), "1"), True


def _only_rises(cells: Floats, seconds: Floats, owners: Names) -> bool:
    for owner in set(owners.tolist()):
        own = owners == owner
        steps = np.diff(cells[own][np.argsort(seconds[own], kind="stable")])
        steps = steps[np.isfinite(steps)]
        if len(steps) and (steps < 0).mean() > 0.01:  # noqa: PLR2004  resets are rare
            return False
    return True


def _interval(seconds: Floats, owners: Names) -> float:
    steps = [np.diff(np.sort(seconds[owners == owner])) for owner in set(owners.tolist())]
    every = np.concatenate(steps) if steps else np.zeros(0)
    every = every[every > 0]
    return float(np.round(np.median(every), 3)) if len(every) else 60.0


def _identifier(column: str, taken: set[str]) -> str:
    plain = re.sub(r"\s*[\[({].*?[\])}]", "", column)
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z]|[A-Z]{2,})", "_", plain).lower()
    for letter, written in _LETTERS:
        plain = plain.replace(letter, written)
    plain = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:56] or "sensor"
    if not plain[0].isalpha() or plain in RESERVED_NAMES:
        plain = f"sensor_{plain}"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
