"""Prometheus' Alertmanager, by its API v2.

Alertmanager forgets alerts that are not repeated, and all of them when it restarts: so open alerts are sent again and
again, as Prometheus does, and stay open there for `KEPT_SECONDS` after the last time.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from forwarder.changes import Notification
from forwarder.targets.target import HttpTarget
from schemas.alerts import Alert

KEPT_SECONDS: Final = 300
_MOST_AT_ONCE: Final = 500


class Alertmanager(HttpTarget):
    """An Alertmanager at `url`, such as http://127.0.0.1:9093."""

    def __init__(self, url: str, *, clock: Callable[[], datetime], token: str | None, timeout_seconds: float) -> None:
        super().__init__(token=token, timeout_seconds=timeout_seconds)
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._clock = clock

    def deliver(self, notification: Notification) -> None:
        """Post the alerts; raises Undelivered."""
        self._post(change.alert for change in notification.changes)

    def refresh(self, alerts: Sequence[Alert]) -> None:
        """Post the open alerts again; raises Undelivered."""
        for start in range(0, len(alerts), _MOST_AT_ONCE):
            self._post(alerts[start : start + _MOST_AT_ONCE])

    def _post(self, alerts: Iterable[Alert]) -> None:
        body = [as_alertmanager(alert, now=self._clock()) for alert in alerts]
        self.request("POST", self._url, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def as_alertmanager(alert: Alert, *, now: datetime) -> dict[str, Any]:
    """Return the alert in Alertmanager's form. Labels identify it there, so they hold nothing that changes."""
    ends_at = alert.resolved_at if alert.state == "resolved" else now + timedelta(seconds=KEPT_SECONDS)
    return {
        "labels": {
            "alertname": f"Nexova{''.join(part.title() for part in alert.kind.split('_'))}",
            "alert_id": alert.alert_id,
            "machine_id": alert.machine_id,
            "kind": alert.kind,
        },
        "annotations": {
            "summary": alert.summary,
            "severity": alert.severity,
            "sensors": ", ".join(signal.sensor for signal in alert.signals),
            "model": f"{alert.model.name} {alert.model.version}",
            "confidence": f"{alert.confidence:.2f}",
        },
        "startsAt": alert.opened_at.isoformat(),
        "endsAt": (ends_at or alert.updated_at).isoformat(),
    }
