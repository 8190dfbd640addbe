"""The table of the daily habits of slow sensors, empty if the plant file has none."""

from typing import Final, NamedTuple

from core.arrays import Features, Floats, Ints
from core.plant import Plant
from core.state.tables import Column, Layout
from core.state.tracks import watched_sensors

DAY_PARTS: Final = 48
"""Half hours of a day, of which weekdays and weekends have their own."""
BINS: Final = 200
"""Bins of the logarithmic histograms that statistics are ranked in."""
SHAPES: Final = 256
WINDOW: Final = 8
"""Most shapes of the recent past that are kept, and the means that one consists of."""
STRIDES: Final = (1, 3)
"""Readings a mean of a shape."""


class Habits(NamedTuple):
    """State of each slow sensor; m machines, Q slow sensors.

    Level: moments (m, Q, 3), count, mean and sum of squares; since (m,), epoch s of the first reading.
    Season: profile and seen (m, Q, 2, 48), mean and count of each half hour; power (m, Q, 2), of residuals and values.
    Statistics: average (m, Q); ranks (m, Q, 3, 200), histograms of the statistics' past.
    Shapes at two strides: recent (m, Q, 2, 8) means; partial (m, Q, 2, 2), sum and count of the one that grows; novelty
    (m, Q, 2); shapes (m, Q, 2, 256, 8) in thousandths; used (m, Q, 2, 256); known (m, Q, 2), how many; usual (m, Q, 2).
    Alarms: alarms (m, Q), decayed count; alarmed_at (m, Q) epoch s; run_limit (m, Q), of the alarm that lasts, or 0.
    """

    moments: Floats
    since: Floats
    profile: Features
    seen: Features
    power: Features
    average: Floats
    ranks: Features
    recent: Features
    partial: Features
    novelty: Features
    shapes: Ints
    used: Features
    known: Ints
    usual: Features
    alarms: Floats
    alarmed_at: Floats
    run_limit: Features


def slow_sensors(plant: Plant) -> tuple[int, ...]:
    """Return the columns of the sensors compared with their habits; none unless the plant's detector is seasonal."""
    return watched_sensors(plant) if plant.detector == "seasonal" else ()


def habits_layout(plant: Plant) -> Layout:
    """Return the columns of `Habits` for this plant."""
    sensors, strides, nan = len(slow_sensors(plant)), len(STRIDES), float("nan")
    return {
        "moments": Column("f8", (sensors, 3)),
        "since": Column("f8", fill=nan),
        "profile": Column("f4", (sensors, 2, DAY_PARTS)),
        "seen": Column("f4", (sensors, 2, DAY_PARTS)),
        "power": Column("f4", (sensors, 2), 1.0),
        "average": Column("f8", (sensors,)),
        "ranks": Column("f4", (sensors, strides + 1, BINS)),
        "recent": Column("f4", (sensors, strides, WINDOW), nan),
        "partial": Column("f4", (sensors, strides, 2)),
        "novelty": Column("f4", (sensors, strides), nan),
        "shapes": Column("i2", (sensors, strides, SHAPES, WINDOW)),
        "used": Column("f4", (sensors, strides, SHAPES)),
        "known": Column("i2", (sensors, strides)),
        "usual": Column("f4", (sensors, strides)),
        "alarms": Column("f8", (sensors,)),
        "alarmed_at": Column("f8", (sensors,), float("-inf")),
        "run_limit": Column("f4", (sensors,)),
    }
