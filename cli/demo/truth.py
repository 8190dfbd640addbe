"""Comparison of a demo run with the faults that the simulator injected; pure functions.

Definitions, where `grace` is the time that the alert policy needs to resolve an alert
(`resolve_after_readings` readings at the live cadence), and all instants in event time unless stated otherwise:

opening           an alert message of state `opened`, or the first `updated` one after a `resolved` one of the same
                  alert (the same episode began again); it is open until the next `resolved`
live phase        from the first to the last live reading, and the grace after it
alerted fault     an injected fault [start, end) of a machine that has an alert of kind anomaly, limit or sensor_fault
                  which is open at some instant of [start, end + grace]; a fault that Ctrl-C cut short does not count,
                  and still explains alerts
false alert       an opening in the live phase, of whatever kind, of a machine of which no injected fault covers that
                  instant, again with the grace after its end
latency           Kafka's timestamp of a score less the timestamp of its reading, for readings of the live phase
to first alert    from the start of the first injected fault until the publication (Kafka's timestamp) of the first
                  opening that an injected fault explains
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from producer.faults import InjectedFault

ALERTS_OF_FAULTS: Final = frozenset({"anomaly", "limit", "sensor_fault"})
_FOREVER: Final = float("inf")


@dataclass(slots=True, kw_only=True)
class Opening:
    """One opening of an alert. at, until: event time; published_at: Kafka's timestamp; all epoch seconds."""

    alert_id: str
    machine_id: str
    kind: str
    again: bool
    at: float
    published_at: float
    until: float = _FOREVER


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOutcome:
    """Outcome of one fault. seconds_to_alert: None without an alert, or if one was open before the fault."""

    fault: InjectedFault
    opening: Opening | None
    seconds_to_alert: float | None


def outcomes(faults: Iterable[InjectedFault], openings: Iterable[Opening], *, grace: float) -> list[FaultOutcome]:
    """Return for each fault the first alert of its machine open during it or within `grace` seconds after it."""
    known = [opening for opening in openings if opening.kind in ALERTS_OF_FAULTS]
    found = []
    for fault in sorted(faults, key=lambda one: one.start):
        during = [
            opening
            for opening in known
            if opening.machine_id == fault.machine_id
            and opening.at <= fault.end + grace
            and opening.until >= fault.start
        ]
        # the delay is known only for an alert that this fault opened, not for one open before it
        own = [opening for opening in during if opening.at >= fault.start]
        first = min(own or during, key=lambda opening: opening.at, default=None)
        seconds = first.at - fault.start if own and first is not None else None
        found.append(FaultOutcome(fault=fault, opening=first, seconds_to_alert=seconds))
    return found


def false_alerts(
    faults: Iterable[InjectedFault], openings: Iterable[Opening], *, live: tuple[float, float], grace: float
) -> list[Opening]:
    """Return the openings in the live phase `live` (from, until) without a fault of their machine."""
    known = list(faults)
    first, last = live
    return [
        opening for opening in openings if first <= opening.at <= last + grace and not _explained(opening, known, grace)
    ]


def seconds_to_first_alert(
    faults: Iterable[InjectedFault], openings: Iterable[Opening], *, grace: float
) -> float | None:
    """Return the seconds from the start of the first fault to the first true alert's publication; None without one."""
    known = list(faults)
    published = [
        opening.published_at
        for opening in openings
        if opening.kind in ALERTS_OF_FAULTS and _explained(opening, known, grace)
    ]
    if not published:
        return None
    return min(published) - min(fault.start for fault in known)


def percentile(values: Collection[float], share: float) -> float | None:
    """Return the value that a `share` of the values does not exceed; None for no values."""
    if not values:
        return None
    ordered = sorted(values)
    # slightly less, because 0.99 * 100 exceeds 99 in floating point
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def _explained(opening: Opening, faults: list[InjectedFault], grace: float) -> bool:
    return any(
        fault.machine_id == opening.machine_id and fault.start <= opening.at <= fault.end + grace for fault in faults
    )
