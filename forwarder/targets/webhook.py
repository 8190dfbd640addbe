"""Any HTTP receiver: our own JSON, CloudEvents 1.0 in structured mode, or a template."""

import json
from typing import Any, Final

from forwarder.changes import Change, Notification
from forwarder.targets.target import HttpTarget
from forwarder.templates import fill_json, values_of

_JSON: Final = "application/json"
_EVENTS: Final = "application/cloudevents-batch+json"


class Webhook(HttpTarget):
    """A receiver at `url` that gets one POST for each notification."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        timeout_seconds: float,
        cloudevents: bool = False,
        template: str | None = None,
    ) -> None:
        super().__init__(token=token, timeout_seconds=timeout_seconds)
        self._url = url
        self._cloudevents = cloudevents
        self._template = template

    def deliver(self, notification: Notification) -> None:
        """Post the notification, a template once for each change; raises Undelivered."""
        if self._template is not None:
            for change in notification.changes:
                self._post(fill_json(self._template, values_of(change)), _JSON, change.position)
        elif self._cloudevents:
            events = [as_cloudevent(change) for change in notification.changes]
            self._post(json.dumps(events), _EVENTS, notification.identity)
        else:
            self._post(json.dumps(as_document(notification)), _JSON, notification.identity)

    def _post(self, body: str, content_type: str, identity: str) -> None:
        headers = {"Content-Type": content_type, "Idempotency-Key": identity}
        self.request("POST", self._url, content=body.encode(), headers=headers)


def as_document(notification: Notification) -> dict[str, Any]:
    """Return the notification as our own JSON document."""
    return {
        "id": notification.identity,
        "group": notification.group,
        "severity": notification.worst,
        "changes": [
            {
                "what": change.what,
                "position": change.position,
                "traceparent": change.traceparent,
                "alert": change.alert.model_dump(mode="json"),
            }
            for change in notification.changes
        ],
    }


def as_cloudevent(change: Change) -> dict[str, Any]:
    """Return a change as a CloudEvent; `id` is the alert's message in Kafka, so a repeated event has the same one."""
    alert = change.alert
    event = {
        "specversion": "1.0",
        "id": change.position,
        "source": f"/nexova/machines/{alert.machine_id}",
        "type": f"io.nexova.alert.{change.what}.v{alert.schema_version}",
        "subject": alert.alert_id,
        "time": alert.updated_at.isoformat(),
        "datacontenttype": _JSON,
        "data": alert.model_dump(mode="json"),
    }
    return event if change.traceparent is None else event | {"traceparent": change.traceparent}
