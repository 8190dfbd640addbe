"""Routes of feedback and of the event stream."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.live.events import DEFAULT, TOPICS, stream
from api.problems import RESPONSES, Problem
from api.requests import FeedbackRequest
from api.routes.live import unknown
from api.security import Caller, audit, require
from api.services import Services
from schemas.answers import FeedbackResponse
from schemas.feedback import Feedback
from schemas.topics import FEEDBACK

_VIEW_SECONDS: Final = 2.0
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = RESPONSES | {404: RESPONSES[400] | {"description": "Not known."}}


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(responses=_RESPONSES)
    live = services.live

    @routes.post(
        "/alerts/{alert_id:id}/feedback",
        status_code=201,
        tags=["live"],
        summary="Give feedback on an alert",
    )
    async def feedback(
        alert_id: Annotated[str, Path(max_length=128)],
        body: FeedbackRequest,
        caller: Annotated[Caller, Depends(require("operate"))],
    ) -> FeedbackResponse:
        """Acknowledge, confirm or shelve an alert, or report it as false or expected.

        201 means that all replicas of the topic have it; 503, that nothing was recorded.
        """
        return await record_feedback(services, alert_id, body, caller)

    @routes.get(
        "/events",
        tags=["live"],
        summary="Stream of events",
        dependencies=[Depends(require("read"))],
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events, without an end."}},
    )
    async def events(
        topics: Annotated[
            str | None,
            Query(max_length=200, description=f"Names separated by commas, of {', '.join(map(str, TOPICS))}."),
        ] = None,
        machine_id: Annotated[str | None, Query(max_length=128)] = None,
        since: Annotated[
            str | None,
            Query(max_length=16_384, description="`position` of a list, or `start` for all that is known."),
        ] = None,
        last_event_id: Annotated[str | None, Header(max_length=16_384)] = None,
    ) -> Response:
        """Send each change as an event: `alert`, `recommendation`, `feedback`, `forecast`; others on request.

        A client that reconnects with `Last-Event-ID` gets the events it has missed. An event `position` carries an id
        only; `reset` means that the id is no longer valid, and that lists must be reloaded.
        """
        wanted = _topics(topics)
        # an empty one is none: a client that has never had an id begins now
        begin = last_event_id or ("" if since == "start" else since or None)
        return _EventStream(services, stream(live, wanted, machine_id=machine_id, since=begin))

    return routes


class _EventStream(StreamingResponse):
    """Response with an event stream, which counts for as long as its connection is open."""

    def __init__(self, services: Services, frames: AsyncIterator[bytes]) -> None:
        super().__init__(
            frames,
            media_type="text/event-stream",
            # a proxy must pass events on as they come
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream.

        Raises:
            Problem: as many streams as allowed are open.
        """
        hub, most = self._services.live.hub, self._services.settings.api.most_streams
        if hub.streams >= most:
            self._services.metrics.refused.labels(reason="busy").inc()
            raise Problem(
                503,
                "too-many-streams",
                f"{hub.streams} streams are open, the most is {most}; close some, or raise NEXOVA_API__MOST_STREAMS",
                headers={"Retry-After": "5"},
            )
        with hub.counted():
            await super().__call__(scope, receive, send)


async def record_feedback(services: Services, alert_id: str, body: FeedbackRequest, caller: Caller) -> FeedbackResponse:
    """Write the caller's feedback on an alert to its topic, and wait briefly until the live view shows it.

    Raises:
        Problem: the alert is unknown, the feedback breaks a rule, or Kafka did not accept it.
    """
    live = services.live
    if not live.complete.is_set():
        raise Problem(
            503,
            "view-loading",
            f"the live view is not complete yet, so alerts are not known: {live.problem or 'it is being read'}; "
            "try again in a moment",
            headers={"Retry-After": "1"},
        )
    found = live.view.alerts.get(alert_id)
    if found is None:
        raise unknown("alert", alert_id, "GET /alerts lists those that are known")
    now = datetime.now(UTC)
    if body.until is not None and body.until <= now:
        raise Problem(422, "bad-input", f"until = {body.until.isoformat()}: is over already; give a later time")
    statement = Feedback(
        machine_id=found.message.machine_id,
        kind=body.kind,
        at=now,
        alert_id=alert_id,
        until=body.until,
        author=caller.name if caller.by_token else body.author or caller.name,
        comment=body.comment,
    )
    try:
        place = await services.feedback.write(statement)
    except Problem:
        services.metrics.feedback.labels(result="failed").inc()
        audit(caller, "feedback failed", alert_id=alert_id, kind=body.kind)
        raise
    services.metrics.feedback.labels(result="recorded").inc()
    audit(
        caller,
        "feedback",
        alert_id=alert_id,
        machine_id=statement.machine_id,
        kind=body.kind,
        author=statement.author,
        place=f"{FEEDBACK}/{place.partition}@{place.offset}",
    )
    seen = await live.wait_for(FEEDBACK, place.partition, place.offset, seconds=_VIEW_SECONDS)
    return FeedbackResponse(feedback=statement, partition=place.partition, offset=place.offset, in_view=seen)


def _topics(names: str | None) -> tuple[str, ...]:
    if names is None:
        return DEFAULT
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    unknown_topics = [name for name in wanted if name not in TOPICS]
    if unknown_topics:
        raise Problem(
            422,
            "bad-input",
            f"topics = {unknown_topics[0][:40]!r}: is no event; choose from {', '.join(map(str, TOPICS))}",
        )
    return tuple(TOPICS[name] for name in wanted)
