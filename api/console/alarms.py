"""Alerts as an operator sees them: how each is handled, in which order they stand, and the alarm figures."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from api.live.view import View
from core.feedback import CLOSING
from schemas.alerts import Alert
from schemas.feedback import Feedback

SEVERITIES: Final = ("critical", "warning", "info")
STALE_HOURS: Final = 24.0
"""EEMUA 191 calls an alarm stale that has been active for more than a day."""
TARGET_SHARES: Final = {"critical": 0.05, "warning": 0.15, "info": 0.80}
"""Shares of priorities that EEMUA 191 recommends."""
AVERAGE_PER_HOUR: Final = 6.0
"""Average alarm rate that EEMUA 191 calls manageable: one in ten minutes."""
VERDICTS: Final = frozenset({"confirmed", "false_alarm", "expected", "new_normal"})
"""Statements that judge an alert."""
_WINDOW: Final = timedelta(minutes=10)
_AGAIN: Final = timedelta(hours=1)
_WORST: Final = 10

Group = Literal["open", "shelved", "stale", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRow:
    """One alert with what people said of it, oldest first."""

    alert: Alert
    feedback: tuple[Feedback, ...]
    now: datetime
    withdrawn_at: datetime | None = None
    """When answers about this machine were last taken back."""

    @property
    def open(self) -> bool:
        """Whether the condition is still there."""
        return self.alert.state != "resolved"

    @property
    def answered(self) -> bool:
        """Whether there is feedback on it."""
        return bool(self.feedback)

    @property
    def standing(self) -> tuple[Feedback, ...]:
        """Feedback that has not been withdrawn."""
        said = self.feedback
        last = max((index + 1 for index, one in enumerate(said) if one.kind == "withdrawn"), default=0)
        return tuple(one for one in said[last:] if self.withdrawn_at is None or one.at > self.withdrawn_at)

    @property
    def verdict(self) -> Feedback | None:
        """The last statement that judges the alert, rather than only taking notice of it."""
        judged = [one for one in self.standing if one.kind in VERDICTS]
        return judged[-1] if judged else None

    @property
    def closing(self) -> Feedback | None:
        """The statement that is to close the alert, while it is still open."""
        said = [one for one in self.feedback if one.kind in CLOSING]
        return said[-1] if said and self.open else None

    @property
    def shelved_until(self) -> datetime | None:
        """The end of a shelving that still holds."""
        ends = [one.until for one in self.standing if one.kind in {"snoozed", "expected"} and one.until is not None]
        return ends[-1] if ends and ends[-1] > self.now else None

    @property
    def group(self) -> Group:
        """Where the alert belongs in the list."""
        if not self.open:
            return "over"
        if self.shelved_until is not None:
            return "shelved"
        old = self.now - self.alert.opened_at > timedelta(hours=STALE_HOURS)
        return "stale" if old else "open"

    @property
    def seconds(self) -> float:
        """How long the alert was, or has been, open."""
        return ((self.alert.resolved_at or self.now) - self.alert.opened_at).total_seconds()

    @property
    def sensor(self) -> str | None:
        """The signal with the largest part in the alert."""
        return self.alert.signals[0].sensor if self.alert.signals else None

    @property
    def sentence(self) -> str:
        """The summary without the machine's name, which stands beside it."""
        return self.alert.summary.removeprefix(f"{self.alert.machine_id}: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmFigures:
    """Figures of the last 24 hours as EEMUA 191 and OPC UA Part 9 name them; rates in alarms an hour."""

    count: int
    active: int
    unacknowledged: int
    maximum_active: int
    current_rate: float
    average_rate: float
    maximum_rate: float
    re_alarms: int
    shares: dict[str, float]
    worst: list[tuple[str, int]]


def alarm_rows(view: View, now: datetime) -> list[AlarmRow]:
    """Return all alerts of the live view: open ones first, by severity and newest opening."""
    withdrawn: dict[str, datetime] = {}
    for said in view.feedback.values():
        for one in said:
            if one.message is not None and one.message.kind == "withdrawn":
                before = withdrawn.get(one.message.machine_id, one.message.at)
                withdrawn[one.message.machine_id] = max(before, one.message.at)
    rows = [
        AlarmRow(
            alert=record.message,
            feedback=tuple(one.message for one in view.feedback.get(record.identity, ()) if one.message is not None),
            now=now,
            withdrawn_at=withdrawn.get(record.message.machine_id),
        )
        for record in view.alerts.values()
    ]
    rows.sort(key=urgency)
    return rows


def urgency(row: AlarmRow) -> tuple[bool, bool, bool, int, float, str]:
    """Return the sort key: open, unanswered, grave and new first."""
    grave = SEVERITIES.index(row.alert.severity)
    opened = -row.alert.opened_at.timestamp()
    return not row.open, row.shelved_until is not None, row.answered, grave, opened, row.alert.alert_id


def similar(rows: Iterable[AlarmRow], to: AlarmRow, *, most: int = 8) -> list[AlarmRow]:
    """Return earlier alerts of the same machine, kind and leading signal, newest first."""
    found = [
        row
        for row in rows
        if row.alert.alert_id != to.alert.alert_id
        and row.alert.machine_id == to.alert.machine_id
        and row.alert.kind == to.alert.kind
        and row.sensor == to.sensor
        and row.alert.opened_at <= to.alert.opened_at
    ]
    return sorted(found, key=lambda row: row.alert.opened_at, reverse=True)[:most]


def at_the_same_time(rows: Iterable[AlarmRow], to: AlarmRow, *, most: int = 8) -> list[AlarmRow]:
    """Return alerts of other machines that opened within a quarter of an hour of this one."""
    near = timedelta(minutes=15)
    found = [
        row
        for row in rows
        if row.alert.machine_id != to.alert.machine_id and abs(row.alert.opened_at - to.alert.opened_at) <= near
    ]
    return sorted(found, key=lambda row: abs(row.alert.opened_at - to.alert.opened_at))[:most]


def alarm_figures(rows: Sequence[AlarmRow], now: datetime) -> AlarmFigures:
    """Return the figures of the last 24 hours."""
    begin = now - timedelta(days=1)
    recent = sorted((row for row in rows if row.alert.opened_at > begin), key=lambda row: row.alert.opened_at)
    active = [row for row in rows if row.open and row.shelved_until is None]
    severities = Counter(row.alert.severity for row in recent)
    count = len(recent)
    return AlarmFigures(
        count=count,
        active=len(active),
        unacknowledged=sum(not row.answered for row in active),
        maximum_active=_most_at_once(rows, begin, now),
        current_rate=6.0 * sum(row.alert.opened_at > now - _WINDOW for row in recent),
        average_rate=count / 24.0,
        maximum_rate=6.0 * _most_within([row.alert.opened_at for row in recent], _WINDOW),
        re_alarms=_re_alarms(recent),
        shares={one: severities[one] / count if count else 0.0 for one in SEVERITIES},
        worst=Counter(row.alert.machine_id for row in recent).most_common(_WORST),
    )


def _most_at_once(rows: Iterable[AlarmRow], begin: datetime, now: datetime) -> int:
    changes: list[tuple[datetime, int]] = []
    for row in rows:
        end = row.alert.resolved_at or now
        if end > begin:
            changes += [(max(begin, row.alert.opened_at), 1), (end, -1)]
    most = level = 0
    for _, change in sorted(changes):
        level += change
        most = max(most, level)
    return most


def _most_within(moments: Sequence[datetime], window: timedelta) -> int:
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most


def _re_alarms(rows: Iterable[AlarmRow]) -> int:
    """Alerts that came again within an hour after one of the same machine, kind and signal."""
    before: dict[tuple[str, str, str | None], datetime] = {}
    again = 0
    for row in rows:
        name = (row.alert.machine_id, row.alert.kind, row.sensor)
        again += name in before and row.alert.opened_at - before[name] <= _AGAIN
        before[name] = row.alert.opened_at
    return again


def fleet_of(rows: Iterable[AlarmRow]) -> dict[str, str]:
    """Return the open fleet alert of each of its members, both by id."""
    return {
        member: row.alert.alert_id
        for row in rows
        if row.alert.kind == "fleet" and row.open
        for member in row.alert.members
    }


def grouped(rows: Sequence[AlarmRow]) -> list[list[AlarmRow]]:
    """Return rows in groups, in the order of each group's first row.

    A fleet alert comes first in its group, with its members; other alerts are grouped by machine.
    """
    fleets = fleet_of(rows)
    groups: dict[tuple[str, str], list[AlarmRow]] = defaultdict(list)
    for row in rows:
        if row.alert.kind == "fleet":
            groups["fleet", row.alert.alert_id].insert(0, row)
        elif row.alert.alert_id in fleets:
            groups["fleet", fleets[row.alert.alert_id]].append(row)
        else:
            groups["machine", row.alert.machine_id].append(row)
    return list(groups.values())


def members_of(rows: Iterable[AlarmRow], alert: Alert) -> list[AlarmRow]:
    """Return the members of a fleet alert that are known, open ones first."""
    wanted = frozenset(alert.members)
    return [row for row in rows if row.alert.alert_id in wanted]


def as_csv(rows: Iterable[AlarmRow]) -> str:
    """Return the rows as CSV for a spreadsheet; no cell can be read as a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        (
            *("alert_id", "machine_id", "kind", "severity", "state", "opened_at", "resolved_at", "peak_score"),
            *("sensor", "summary", "answer", "answered_by", "answered_at", "comment"),
        )
    )
    for row in rows:
        alert, last = row.alert, row.feedback[-1] if row.feedback else None
        cells = (
            *(alert.alert_id, alert.machine_id, alert.kind, alert.severity, alert.state, alert.opened_at.isoformat()),
            *(alert.resolved_at.isoformat() if alert.resolved_at else "", f"{alert.peak_score:.4f}", row.sensor or ""),
            alert.summary,
            *((last.kind, last.author or "", last.at.isoformat(), last.comment or "") if last else ("", "", "", "")),
        )
        writer.writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
