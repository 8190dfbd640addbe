"""Causes that suppress alerts at present: maintenance windows, shelving, cool-downs, budgets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from api.console.alarms import AlarmRow
from api.live.view import View
from core.alerting.suppression import Hold, windows_at
from core.plant import Plant
from core.state.episodes import SuppressionReason

MOST_MACHINES: Final = 20
"""Machines, those with the newest alerts, whose cool-downs and budgets the alarm list shows."""
_MOST_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """One cause of suppression. machines: ids, or the patterns of a maintenance window; kinds: empty means all."""

    machines: tuple[str, ...]
    kinds: tuple[str, ...]
    cause: SuppressionReason
    until: datetime | None
    comment: str = ""


def of_machine(machine_id: str, holds: Iterable[Hold]) -> list[Quiet]:
    """Return the causes that suppress one machine's alerts; kinds with the same cause and end are one."""
    together: dict[tuple[SuppressionReason, float | None, str], list[str]] = {}
    for hold in holds:
        together.setdefault((hold.cause, hold.until, hold.comment), []).append(hold.kind)
    return [
        Quiet(
            machines=(machine_id,),
            kinds=() if cause == "maintenance" else tuple(kinds),
            cause=cause,
            until=None if until is None else datetime.fromtimestamp(until, UTC),
            comment=comment,
        )
        for (cause, until, comment), kinds in together.items()
    ]


def of_plant(plant: Plant, own: Iterable[tuple[str, Sequence[Hold]]], now: datetime) -> list[Quiet]:
    """Return the present maintenance windows, then the causes of single machines. own: id and holds of each."""
    found = [
        Quiet(machines=window.machines, kinds=(), cause="maintenance", until=window.end, comment=window.comment)
        for window in windows_at(now.timestamp(), plant.alerts.maintenance)
    ]
    for machine_id, holds in own:
        found += of_machine(machine_id, (one for one in holds if one.cause not in {"maintenance", "disabled"}))
    return found[:_MOST_SHOWN]


def recently_alerted(rows: Iterable[AlarmRow], view: View) -> list[tuple[str, int]]:
    """Return id and partition of the machines with the newest alerts or feedback, `MOST_MACHINES` at most."""
    newest = sorted(rows, key=lambda row: row.feedback[-1].at if row.feedback else row.alert.updated_at, reverse=True)
    ids = dict.fromkeys(row.alert.machine_id for row in newest)
    known = [(machine_id, view.machines[machine_id].partition) for machine_id in ids if machine_id in view.machines]
    return known[:MOST_MACHINES]
