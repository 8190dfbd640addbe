"""The table of maintenance advice: one row for each machine."""

from typing import Final, NamedTuple

from core.arrays import Floats, Ints
from core.state.tables import Column, Layout


class Wear(NamedTuple):
    """State of the advice, (m,) each. risk: smoothed, in [0, 3]; issued_at: epoch s; both NaN before the first one."""

    risk: Floats
    band: Ints
    issued_at: Floats


WEAR_LAYOUT: Final[Layout] = {
    "risk": Column("f8", fill=float("nan")),
    "band": Column("i8", stored="i1"),
    "issued_at": Column("f8", fill=float("nan")),
}
