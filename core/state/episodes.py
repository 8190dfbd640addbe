"""The table of alert episodes: one row for each machine, one column for each kind that follows readings."""

from typing import Final, Literal, NamedTuple, get_args

from core.arrays import Bools, Features, Floats, Ints
from core.state.tables import Column, Layout

FOLLOWED_KINDS: Final = ("anomaly", "limit", "sensor_fault")
"""Kinds of alerts that follow readings; each has a column in `Episodes`."""
_KINDS: Final = (len(FOLLOWED_KINDS),)

SuppressionReason = Literal["maintenance", "shelved", "disabled", "cooldown", "budget"]
"""Reason why an episode did not open an alert."""
SUPPRESSIONS: Final = ("none", *get_args(SuppressionReason))
"""Reasons by code, the index in this list; "none" where an alert opens."""


class Episodes(NamedTuple):
    """Episodes of each machine; m machines, one column for each followed kind.

    recent: whether the last readings were over, newest in the lowest bit. severity: index into `SEVERITIES`.
    calm: calm readings in a row. over: readings over the threshold so far. updated_at: of the last change, epoch s.
    opened_at: of the newest episode, epoch s. openings: number of openings at opened_at, each with a weight that decays
    exponentially within a week.
    """

    recent: Ints
    open: Bools
    severity: Ints
    calm: Ints
    over: Ints
    peak: Floats
    updated_at: Floats
    opened_at: Floats
    openings: Features


EPISODES_LAYOUT: Final[Layout] = {
    "recent": Column("i8", _KINDS, part="common"),
    "open": Column("b1", _KINDS, part="common"),
    "severity": Column("i8", _KINDS, stored="i1", part="common"),
    "calm": Column("i8", _KINDS, stored="i4", part="common"),
    "over": Column("i8", _KINDS, stored="i4", part="common"),
    "peak": Column("f8", _KINDS, part="common"),
    "updated_at": Column("f8", _KINDS, float("-inf"), part="common"),
    "opened_at": Column("f8", _KINDS, float("-inf"), part="common"),
    "openings": Column("f4", _KINDS, part="common"),
}
