"""`nexova backtest alerts`: alerts that a changed policy would add or avoid, on recorded readings."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from cli.backtest.detect_run import FileCourse, assess_file
from cli.console import stdout
from core.models import Models
from core.plant import Plant
from runtime.errors import UsageError
from runtime.plants import load_plant
from schemas.alerts import Alert

_SAME_SECONDS: Final = 900.0
"""Two policies open an alert on the same event seldom at the same reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Openings of one machine and kind: under both policies, under the new one alone, under the old one alone."""

    machine_id: str
    kind: str
    both: int
    gained: int
    lost: int


def alerts(
    readings: Annotated[list[Path], typer.Argument(help="CSV files of readings, in the plant file's [csv] format.")],
    *,
    policy: Annotated[Path, typer.Option(help="Plant file with the new alert policy.")],
    against: Annotated[Path, typer.Option(help="Plant file with the policy to compare with.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare two alert policies on the same readings: alerts gained and lost, by machine and kind."""
    new, old = load_plant(policy), load_plant(against)
    _check_same_plant(new, old, policy, against)
    courses = [
        (
            assess_file(path, plant=new, models=Models(), taught=None),
            assess_file(path, plant=old, models=Models(), taught=None),
        )
        for path in readings
    ]
    found = differences([one for one, _ in courses], [other for _, other in courses])
    if as_json:
        typer.echo(json.dumps(_document(found, policy, against)))
    else:
        _print(found)


def differences(new: Iterable[FileCourse], old: Iterable[FileCourse]) -> list[Difference]:
    """Return what differs between the openings of two runs over the same files, by machine and kind.

    An opening of one run within a quarter of an hour of an opening of the other is the same alert.
    """
    ours, theirs = _openings(new), _openings(old)
    found = []
    for machine_id, kind in sorted(ours.keys() | theirs.keys()):
        mine, others = ours.get((machine_id, kind), []), theirs.get((machine_id, kind), [])
        both = _matched(mine, others)
        found.append(
            Difference(machine_id=machine_id, kind=kind, both=both, gained=len(mine) - both, lost=len(others) - both)
        )
    return found


def _matched(mine: Sequence[float], others: Sequence[float]) -> int:
    """Return how many pairs of two ascending sequences lie close together, each value in one pair at most."""
    place = matched = 0
    for at in mine:
        while place < len(others) and others[place] < at - _SAME_SECONDS:
            place += 1
        if place < len(others) and others[place] <= at + _SAME_SECONDS:
            matched += 1
            place += 1
    return matched


def _openings(courses: Iterable[FileCourse]) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for course in courses:
        for alert in _opened(course):
            found.setdefault((alert.machine_id, alert.kind), []).append(alert.opened_at.timestamp())
    return {key: sorted(times) for key, times in found.items()}


def _opened(course: FileCourse) -> list[Alert]:
    return [alert for alert in course.alerts if alert.state == "opened"]


def _check_same_plant(new: Plant, old: Plant, policy: Path, against: Path) -> None:
    if new.fingerprint != old.fingerprint:
        raise UsageError(
            f"--policy {policy} and --against {against} have other sensors; compare two policies of one plant"
        )


def _document(found: Sequence[Difference], policy: Path, against: Path) -> dict[str, Any]:
    return {
        "policy": str(policy),
        "against": str(against),
        "both": sum(one.both for one in found),
        "gained": sum(one.gained for one in found),
        "lost": sum(one.lost for one in found),
        "machines": [
            {"machine_id": one.machine_id, "kind": one.kind, "both": one.both, "gained": one.gained, "lost": one.lost}
            for one in found
        ],
    }


def _print(found: Sequence[Difference]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("machine", "kind"):
        table.add_column(heading)
    for heading in ("both", "gained", "lost"):
        table.add_column(heading, justify="right")
    for one in found:
        table.add_row(one.machine_id, one.kind, str(one.both), str(one.gained), str(one.lost))
    totals = [str(sum(getattr(one, name) for one in found)) for name in ("both", "gained", "lost")]
    table.add_row("all", "", *totals, style="bold")
    stdout().print(table)
