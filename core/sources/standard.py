"""Readings in the format of the readings topic."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from core.sources.record import MappedReading

_encode: Final = msgspec.json.Encoder().encode


def encode_reading(reading: MappedReading, sensors: Sequence[str]) -> bytes:
    """Return a reading as JSON; missing values are null, so that a reading without values still counts as received."""
    document: dict[str, object] = {
        "machine_id": reading.machine_id,
        "timestamp": datetime.fromtimestamp(reading.seconds, UTC),
    }
    # NaN, the missing value, differs from itself
    said = {name: value for name, value in zip(sensors, reading.values, strict=True) if value == value}  # noqa: PLR0124
    return _encode(document | (said or dict.fromkeys(sensors)))
