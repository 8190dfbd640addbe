"""Generated run-to-failure recordings like C-MAPSS FD001: engines with a row a cycle, until they fail.

Degradation begins late and grows exponentially; levels differ between engines, and some sensors are constant.
"""

from typing import Final, NamedTuple

import numpy as np
import pandas as pd


class _Sensor(NamedTuple):
    level: float
    noise: float
    change: float  # at the failure
    spread: float  # of the level between engines
    either: bool = False  # the change differs much between engines, even in direction


_SENSORS: Final = (
    _Sensor(518.67, 0, 0, 0),
    _Sensor(642.3, 0.38, 1.75, 0.1),
    _Sensor(1586, 4.7, 21, 1.5),
    _Sensor(1401, 4.7, 32, 1.5),
    _Sensor(14.62, 0, 0, 0),
    _Sensor(21.61, 0.0014, 0, 0),
    _Sensor(554, 0.45, -2.9, 0.12),
    _Sensor(2388.03, 0.035, 0.22, 0.012),
    _Sensor(9053, 6, 70, 8, either=True),
    _Sensor(1.3, 0, 0, 0),
    _Sensor(47.3, 0.13, 1.0, 0.04),
    _Sensor(522, 0.38, -2.7, 0.1),
    _Sensor(2388.03, 0.036, 0.22, 0.012),
    _Sensor(8136, 5.5, 60, 7, either=True),
    _Sensor(8.41, 0.021, 0.13, 0.006),
    _Sensor(0.03, 0, 0, 0),
    _Sensor(391.8, 1.1, 4.9, 0.3),
    _Sensor(2388, 0, 0, 0),
    _Sensor(100, 0, 0, 0),
    _Sensor(39.0, 0.1, -0.7, 0.03),
    _Sensor(23.38, 0.06, -0.42, 0.02),
)
_SHORTEST, _LONGEST, _USUAL = 128, 362, 195.0  # cycles of a life


def engine_lives(*, engines: int = 100, seed: int = 42) -> pd.DataFrame:
    """Return the rows of each engine from its first cycle to its failure: unit, cycle, 3 settings, 21 sensors."""
    chance = np.random.default_rng(seed)
    return pd.concat([_life(unit, chance) for unit in range(1, engines + 1)], ignore_index=True)


def cut_off(lives: pd.DataFrame, *, seed: int = 42) -> tuple[pd.DataFrame, list[int]]:
    """Return lives cut off at a cycle drawn between the 31st and the last but six, and the cycles left to each."""
    chance = np.random.default_rng(seed)
    parts, left = [], []
    for _, life in lives.groupby("unit", sort=False):
        end = int(chance.integers(31, len(life) - 6))
        parts.append(life.iloc[:end])
        left.append(len(life) - end)
    return pd.concat(parts, ignore_index=True), left


def _life(unit: int, chance: np.random.Generator) -> pd.DataFrame:
    cycles = int(np.clip(chance.lognormal(np.log(_USUAL), 0.23), _SHORTEST, _LONGEST))
    cycle = np.arange(1, cycles + 1)
    wear_at_birth = chance.uniform(0, 0.08)
    pace = chance.uniform(0.13, 0.22) * cycles / 2 + chance.uniform(13, 21)
    wear = wear_at_birth + (1 - wear_at_birth) * np.exp((cycle - cycles) / pace)
    columns: dict[str, object] = {
        "unit": np.full(cycles, unit),
        "cycle": cycle,
        "setting_1": chance.normal(0, 0.0022, cycles).round(4),
        "setting_2": chance.integers(-6, 7, cycles) / 1e4,
        "setting_3": np.full(cycles, 100.0),
    }
    for number, sensor in enumerate(_SENSORS, 1):
        change = sensor.change * chance.uniform(0.8, 1.2)
        if sensor.either:
            change *= chance.choice([-0.15, 0.3, 1.0, 1.6])
        level = sensor.level + chance.normal(0, sensor.spread)
        columns[f"sensor_{number}"] = (level + change * wear + chance.normal(0, sensor.noise, cycles)).round(4)
    return pd.DataFrame(columns)
