"""Bounds of all inputs: times, values and names.

Readings, imported hours, feedback, files and the API have the same bounds, so that no input bypasses another's.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from schemas.message import Quantity, Timestamp

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST_AHEAD_SECONDS: Final = 3600.0
"""How far a device's clock may be ahead of ours."""
MOST_KWH: Final = 1e9
"""Energy of one machine in an hour, to either side; well within the 32-bit floats in which histories are kept."""
MOST_ID_LENGTH: Final = 128
RESERVED_PREFIX: Final = "plant:"
"""Begins the names of series that are sums over machines; no machine may have such a name."""
_LAST_YEAR: Final = 2200


@lru_cache(maxsize=262_144)
def machine_id_fault(machine_id: str) -> str | None:
    """Return the rule that a machine's name breaks; None if it breaks none."""
    if not 0 < len(machine_id) <= MOST_ID_LENGTH:
        return f"has {len(machine_id)} characters, not 1 to {MOST_ID_LENGTH}"
    if machine_id != machine_id.strip():
        return "begins or ends with a space"
    if not machine_id.isprintable():
        return "has control characters or others that cannot be printed"
    if machine_id.startswith(RESERVED_PREFIX):
        return f"begins with {RESERVED_PREFIX!r}, which is reserved for sums over machines"
    return None


def _checked(machine_id: str) -> str:
    fault = machine_id_fault(machine_id)
    if fault is not None:
        raise ValueError(f"a machine's name {fault}")
    return machine_id


def _within_time(value: datetime) -> datetime:
    if not (value >= EARLIEST and value.year < _LAST_YEAR):
        raise ValueError(f"must lie between {EARLIEST:%Y-%m-%d} and the year {_LAST_YEAR}")
    return value


InputMachineId = Annotated[
    str,
    Field(min_length=1, max_length=MOST_ID_LENGTH, description="Name of the machine."),
    AfterValidator(_checked),
]
"""A machine's name in an input, validated; outputs repeat it."""
InputTimestamp = Annotated[Timestamp, AfterValidator(_within_time)]
Kwh = Annotated[Quantity, Field(ge=-MOST_KWH, le=MOST_KWH, allow_inf_nan=False)]
