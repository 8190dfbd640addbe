"""The forwarder's composition root and loop: collect, group, deliver, then commit."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException, Message
from pydantic import ValidationError

from forwarder.changes import Change, GroupBy, Notification, OpenAlerts, group
from forwarder.retries import Backoff
from forwarder.source import AlertSource, Writer
from forwarder.targets.target import Target, Undelivered
from forwarder.targets.work_requests import WorkRequests
from runtime.metrics.forwarder import ForwarderMetrics
from runtime.tracing import NoTraces, Traces
from schemas.alerts import Alert, Severity
from schemas.topics import FEEDBACK
from schemas.trace import traceparent_of

LOGGER: Final = logging.getLogger("nexova.forwarder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """Options of a forwarding.

    wait_seconds: time for which changes are collected into one notification. refresh_seconds: interval of repetitions
    of open alerts and of checks for feedback.
    """

    least: Severity = "warning"
    group_by: GroupBy = "machine"
    wait_seconds: float = 5.0
    refresh_seconds: float = 60.0


class Moved(Exception):
    """The assignment of partitions changed while a notification waited for its receiver."""


class Forwarder:
    """One member of a forwarders' group with one receiver."""

    def __init__(
        self,
        source: AlertSource,
        target: Target,
        *,
        manner: Manner,
        writer: Writer,
        metrics: ForwarderMetrics,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        traces: Traces | None = None,
    ) -> None:
        self._traces = traces or NoTraces()
        self._source = source
        self._target = target
        self._manner = manner
        self._writer = writer
        self._metrics = metrics
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._open = OpenAlerts()
        self._known_at = -1
        self._refreshed_at = float("-inf")
        self.alive_at = clock()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Forward until `stopped()` holds.

        Raises:
            FailureError: Kafka does not take what has to be written.
        """
        try:
            while not stopped():
                self.alive_at = self._clock()
                self._step(stopped)
        finally:
            self._source.close()
            self._target.close()

    def _step(self, stopped: Callable[[], bool]) -> None:
        try:
            messages = self._source.gather(wait_seconds=self._manner.wait_seconds, stopped=stopped)
            if self._source.assignments != self._known_at:
                self._remember()
                return
            self._forward(messages, stopped)
            if self._clock() - self._refreshed_at >= self._manner.refresh_seconds:
                self._refreshed_at = self._clock()
                self._refresh(stopped)
        except Moved:
            return
        except KafkaException as error:
            LOGGER.warning("Kafka does not answer, going on in a second: %s", error.args[0])
            self._known_at = -1
            self._source.idle(1.0, stopped=stopped)
        self._metrics.lag.set(self._source.lag())
        self._metrics.open_alerts.set(len(self._open.alerts))

    def _remember(self) -> None:
        """Rebuild the receivers' state from the messages before the committed position."""
        self._known_at = self._source.assignments
        self._open = OpenAlerts()
        self._refreshed_at = float("-inf")
        for message in self._source.rewind():
            alert = _alert_of(message)
            if alert is not None:
                self._open.change(alert, least=self._manner.least, position="")

    def _forward(self, messages: Sequence[Message], stopped: Callable[[], bool]) -> None:
        if not messages:
            return
        changes: list[Change] = []
        origin: dict[str, Message] = {}
        for message in messages:
            alert = _alert_of(message)
            position = f"{message.topic()}/{message.partition()}/{message.offset()}"
            if alert is None:
                if message.value() is not None:
                    detail = f"{position} is no alert; send what schemas/alerts.py says"
                    self._writer.bury(message, reason="not_json", detail=detail)
                continue
            change = self._open.change(
                alert, least=self._manner.least, position=position, traceparent=_trace_of(message)
            )
            if change is not None:
                changes.append(change)
                origin[position] = message
        for notification in group(changes, self._manner.group_by):
            started = self._clock()
            refused = self._try_until_done(lambda one=notification: self._target.deliver(one), stopped)  # type: ignore[misc]
            if refused is not None:
                self._bury(notification, origin, refused)
            else:
                for change in notification.changes:
                    self._metrics.changes.labels(what=change.what).inc()
                    self._traces.span(
                        f"deliver {change.what}",
                        parent=change.traceparent,
                        seconds=self._clock() - started,
                        attributes={
                            "nexova.alert_id": change.alert.alert_id,
                            "nexova.notification": notification.identity,
                        },
                    )
        self._source.commit(messages)

    def _try_until_done(self, act: Callable[[], None], stopped: Callable[[], bool]) -> Undelivered | None:
        """Retry until the receiver accepts it, or return why it never will; raise Moved after a new assignment."""
        while True:
            try:
                act()
            except Undelivered as error:
                self._metrics.deliveries.labels(result="refused" if error.permanent else "failed").inc()
                if error.permanent:
                    return error
                self._metrics.failing.set(1)
                wait = self._backoff.next(error.after_seconds)
                LOGGER.warning("not delivered, next try in %.0f s: %s", wait, error.message)
            else:
                self._metrics.deliveries.labels(result="delivered").inc()
                self._metrics.failing.set(0)
                self._backoff.reset()
                return None
            self.alive_at = self._clock()
            if not self._source.idle(wait, stopped=stopped) or stopped():
                # what was not committed comes again, to whichever member has the partition then
                self._known_at = -1
                raise Moved

    def _bury(self, notification: Notification, origin: dict[str, Message], refused: Undelivered) -> None:
        LOGGER.error("the receiver refuses this for good, so it becomes a dead letter: %s", refused.message)
        for change in notification.changes:
            detail = f"{refused.message}; correct the receiver or the template, then send the alert again"
            self._writer.bury(origin[change.position], reason="refused_by_receiver", detail=detail[:1000])

    def _refresh(self, stopped: Callable[[], bool]) -> None:
        """Repeat open alerts, and publish the receiver's feedback."""

        def both() -> None:
            self._target.refresh(tuple(self._open.alerts.values()))
            for statement in self._target.feedback():
                self._writer.write(FEEDBACK, key=statement.machine_id, value=statement.encode())
                if isinstance(self._target, WorkRequests):
                    self._target.recorded(statement)

        refused = self._try_until_done(both, stopped)
        if refused is not None:
            LOGGER.error("the receiver refuses a repetition of what is open: %s", refused.message)


def _alert_of(message: Message) -> Alert | None:
    """Return the alert in a message; None for a tombstone."""
    value = message.value()
    if message.error() is not None or value is None:
        return None
    try:
        return Alert.model_validate_json(value)
    except ValidationError:
        return None


def _trace_of(message: Message) -> str | None:
    found = traceparent_of(message.headers())
    return None if found is None else found.decode()
