"""The table that the compiled pass over a batch reads and updates: the sensor state of each machine."""

from dataclasses import fields
from typing import Final, NamedTuple

from core.arrays import Bools, Features, Floats, Ints
from core.detection.baseline import Baseline
from core.plant import Plant
from core.state.tables import Column, Layout

CONDITIONS: Final = ("running", "idle", "off", "silent", "unknown")
"""Condition codes, in the order of the numbers that the compiled rules use."""


BASELINE_FIELDS: Final = tuple(field.name for field in fields(Baseline))
"""Columns of `Tracks` that hold a machine's baseline."""


class Tracks(NamedTuple):
    """State of each machine; m machines, S sensors, D of them watched for anomalies.

    Bookkeeping: last_offset (m,), readings (m,), last_seen (m,) epoch s, interval (m,) s, last_values (m, S).
    Condition: condition (m,) code, running_since (m,) epoch s.
    Sensor health (m, S), running time in s: missing_for, since the last value; missing_usual, between two values, NaN
    until a first gap is known; same_for, since the last change; same_usual, between two changes, NaN until a first
    change was seen, and 0 until a second one was.
    Baseline: learned (m,), fitted (m,), and the fields of `core.detection.baseline.Baseline`; shift (m, D) in scales.
    Averages of standardised values: averages (m, 2, D); previous (m, D), the last value in scales; recent (m, 3, 5)
    squared distances; level (m, D), their recent level; spread_mean and spread (m, D), of moving variances.
    Episode of the distance: strain (m,), smoothed ratio to the limit; plateau (m,), its peak, slowly forgotten;
    returning (m,), readings in a row near the episode's end.
    Learning after the warm-up: moved (m, D), how far the baseline has gone since, in scales; lasting (m, 2), running
    time for which the levels, and the distance, have been away from it, s.
    Slow averages in the sensors' units: slow (m, A, D), over slow_hours (m,) running hours so far.
    """

    last_offset: Ints
    readings: Ints
    last_seen: Floats
    interval: Floats
    last_values: Floats
    condition: Ints
    running_since: Floats
    missing_for: Features
    missing_usual: Features
    same_for: Features
    same_usual: Features
    learned: Ints
    fitted: Bools
    mean: Floats
    scale: Floats
    noise: Floats
    drift: Floats
    shift: Floats
    precision: Floats
    typical: Floats
    limit: Floats
    averages: Floats
    previous: Features
    spread_usual: Features
    spread_floor: Features
    spread_precision: Features
    spread_mean: Features
    spread: Features
    strain: Features
    plateau: Features
    returning: Ints
    level: Floats
    moved: Features
    lasting: Features
    recent: Floats
    slow: Floats
    slow_hours: Floats

    def set_baseline(self, slot: int, baseline: Baseline) -> None:
        """Set the learned baseline of the machine in `slot`."""
        for name in BASELINE_FIELDS:
            getattr(self, name)[slot] = getattr(baseline, name)
        self.fitted[slot] = True


def watched_sensors(plant: Plant) -> tuple[int, ...]:
    """Return columns of the sensors that can be anomalous: all but the counters, of running hours and of energy."""
    return tuple(
        index for index, sensor in enumerate(plant.sensors) if sensor.role not in {"runtime", "energy_counter"}
    )


def tracks_layout(plant: Plant) -> Layout:
    """Return the columns of `Tracks` for this plant."""
    sensors, watched = len(plant.sensors), len(watched_sensors(plant))
    nan = float("nan")
    return {
        "last_offset": Column("i8", fill=-1, part="common"),
        "readings": Column("i8", part="common"),
        "last_seen": Column("f8", fill=nan, part="common"),
        "interval": Column("f8", fill=plant.interval_seconds, part="common"),
        "last_values": Column("f8", (sensors,), nan),
        "condition": Column("i8", fill=CONDITIONS.index("unknown"), stored="i1"),
        "running_since": Column("f8", fill=nan),
        "missing_for": Column("f4", (sensors,)),
        "missing_usual": Column("f4", (sensors,), nan),
        "same_for": Column("f4", (sensors,)),
        "same_usual": Column("f4", (sensors,), nan),
        "learned": Column("i8", stored="i4"),
        "fitted": Column("b1"),
        "mean": Column("f8", (watched,), part="baseline"),
        "scale": Column("f8", (watched,), 1.0, part="baseline"),
        "noise": Column("f8", (watched,), 1.0, part="baseline"),
        "drift": Column("f8", (watched,), part="baseline"),
        "shift": Column("f8", (watched,)),
        "precision": Column("f8", (2, watched, watched), part="baseline"),
        "typical": Column("f8", (2,), 1.0, part="baseline"),
        "limit": Column("f8", fill=1.0, part="baseline"),
        "averages": Column("f8", (2, watched)),
        "previous": Column("f4", (watched,)),
        "spread_usual": Column("f4", (watched,), part="baseline"),
        "spread_floor": Column("f4", (watched,), 1.0, part="baseline"),
        "spread_precision": Column("f4", (watched, watched), part="baseline"),
        "spread_mean": Column("f4", (watched,)),
        "spread": Column("f4", (watched,), 1.0),
        "strain": Column("f4"),
        "plateau": Column("f4"),
        "returning": Column("i8", stored="i4"),
        "level": Column("f8", (watched,)),
        "moved": Column("f4", (watched,)),
        "lasting": Column("f4", (2,)),
        "recent": Column("f8", (3, 5), nan),
        "slow": Column("f8", (len(plant.average_hours), watched), nan),
        "slow_hours": Column("f8"),
    }
