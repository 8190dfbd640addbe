"""What people's answers say of the alerts: for the console's page and for Prometheus."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.console.alarms import AlarmRow
from api.live.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What people's answers say of the alerts of 30 days. precision: confirmed among those judged."""

    alerts: int
    answered: float | None
    judged: int
    precision: float | None
    median_seconds: float | None
    warming_up: int
    machines: int


def quality(view: View, rows: Sequence[AlarmRow], now: datetime) -> Quality:
    """Return what the answers of the last 30 days say."""
    recent = [row for row in rows if row.alert.opened_at > now - timedelta(days=30)]
    judged = [row for row in recent if row.verdict is not None and row.verdict.kind in {"confirmed", "false_alarm"}]
    right = sum(row.verdict is not None and row.verdict.kind == "confirmed" for row in judged)
    waits = [(row.feedback[0].at - row.alert.opened_at).total_seconds() for row in recent if row.feedback]
    statuses = [record.message for record in view.machines.values()]
    return Quality(
        alerts=len(recent),
        answered=len(waits) / len(recent) if recent else None,
        judged=len(judged),
        precision=right / len(judged) if judged else None,
        median_seconds=statistics.median(waits) if waits else None,
        warming_up=sum(status.warm_up < 1.0 for status in statuses),
        machines=len(statuses),
    )
