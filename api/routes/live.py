"""The live view over HTTP: machines, alerts, advice, forecasts."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api.live.records import ViewRecord
from api.live.view import AlertFilter
from api.problems import RESPONSES, Problem
from api.security import require
from api.services import Services
from schemas.alerts import AlertKind, Severity
from schemas.answers import (
    AlertsPage,
    AnsweredAlert,
    EnergyPage,
    ForecastDetail,
    ForecastsPage,
    MachineDetail,
    MachinesPage,
    ReadingsPage,
    RecommendationsPage,
    ScoresPage,
)
from schemas.machines import Condition
from schemas.recommendations import Band
from schemas.topics import READINGS

_NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = RESPONSES | {404: RESPONSES[400] | {"description": "Not known."}}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Limit = Annotated[int, Query(ge=1, le=500, description="Most items of a page.")]
After = Annotated[str | None, Query(max_length=300, description="`next` of the page before.")]
Newest = Annotated[int, Query(ge=1, le=10_000, description="Number of newest items.")]
MachineName = Annotated[str, Path(min_length=1, max_length=128)]


def router(services: Services) -> APIRouter:  # noqa: C901, PLR0915  a table of routes, each short
    """Return the routes."""
    routes = APIRouter(tags=["live"], responses=_NOT_FOUND, dependencies=[Depends(require("read"))])
    live = services.live

    def page(name: str, items: Iterable[Any], total: int, following: str | None) -> Response:
        document = {
            name: list(items),
            "total": total,
            "next": following,
            "position": live.hub.position(),
            "stale": not live.up,
        }
        return _json(document)

    def require_view() -> None:
        """Raise a Problem until the view has been complete once."""
        if not live.complete.is_set():
            raise Problem(
                503,
                "view-loading",
                f"the live view is not complete yet: {live.problem or 'it is still being read'}; try again in a moment",
                headers={"Retry-After": "1"},
            )

    def machine(machine_id: str) -> ViewRecord:
        require_view()
        found = live.view.machines.get(machine_id)
        if found is None:
            raise unknown("machine", machine_id, "GET /machines lists those that are known")
        return found

    def answered(record: ViewRecord) -> dict[str, Any]:
        feedback = live.view.feedback.get(record.identity, ())
        document: dict[str, Any] = _decode(record.value or b"{}")
        return document | {"feedback": [_raw(answer) for answer in feedback]}

    @routes.get("/machines", response_model=MachinesPage, summary="Machines")
    async def machines(
        condition: Condition | None = None,
        machine_type: Annotated[str | None, Query(max_length=64)] = None,
        alerting: Annotated[bool | None, Query(description="Only those with open alerts, or without.")] = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """Return each machine's condition, last values and scores, by name."""
        require_view()
        found = [
            name
            for name, record in live.view.machines.items()
            if (condition is None or record.message.condition == condition)
            and (machine_type is None or record.message.machine_type == machine_type)
            and (alerting is None or (record.message.alerts_open > 0) == alerting)
        ]
        found.sort()
        rest = [name for name in found if after is None or name > after]
        shown = rest[:limit]
        following = shown[-1] if len(rest) > limit else None
        return page("machines", (_raw(live.view.machines[name]) for name in shown), len(found), following)

    @routes.get("/machines/{machine_id:id}", response_model=MachineDetail, summary="A machine")
    async def one_machine(machine_id: MachineName) -> Response:
        """Return a machine with its open alerts and its advice."""
        status = machine(machine_id)
        records, _ = live.view.find_alerts(AlertFilter(machine_id=machine_id, open=True), after=None, limit=100)
        advice = live.view.recommendations.get(machine_id)
        document = _decode(status.value or b"{}") | {
            "alerts": [answered(one) for one in records],
            "recommendation": None if advice is None else _raw(advice),
        }
        return _json(document)

    def newest(machine_id: str, topic: str, limit: int) -> list[Any]:
        machine(machine_id)
        rings = live.view.rings.get(machine_id)
        if rings is None:
            return []
        values = rings.readings if topic == READINGS else rings.scores
        found = [item for value in values for item in _of_machine(value, machine_id)]
        return found[-limit:]

    @routes.get(
        "/machines/{machine_id:id}/readings", response_model=ReadingsPage, summary="A machine's newest readings"
    )
    async def readings(machine_id: MachineName, limit: Newest = 100) -> Response:
        """Return the newest readings, unchanged."""
        return _json({"machine_id": machine_id, "readings": newest(machine_id, READINGS, limit)})

    @routes.get("/machines/{machine_id:id}/scores", response_model=ScoresPage, summary="A machine's newest scores")
    async def scores(machine_id: MachineName, limit: Newest = 100) -> Response:
        """Return the newest scores; empty if the processor does not publish them."""
        return _json({"machine_id": machine_id, "scores": newest(machine_id, "scores", limit)})

    @routes.get("/machines/{machine_id:id}/energy", response_model=EnergyPage, summary="A machine's newest hours")
    async def energy(machine_id: MachineName, limit: Newest = 168) -> Response:
        """Return the newest hourly energy windows, each in its newest revision."""
        machine(machine_id)
        hours: Mapping[str, ViewRecord] = live.view.energy.get(machine_id, {})
        found = [_raw(hours[start]) for start in sorted(hours)]
        return _json({"machine_id": machine_id, "windows": found[-limit:]})

    @routes.get("/alerts", response_model=AlertsPage, summary="Alerts")
    async def alerts(  # noqa: PLR0917  FastAPI passes them by name
        machine_id: Annotated[str | None, Query(max_length=128)] = None,
        kind: AlertKind | None = None,
        severity: Severity | None = None,
        state: Annotated[Literal["open", "resolved"] | None, Query()] = None,
        acknowledged: Annotated[bool | None, Query(description="Whether there is feedback.")] = None,
        opened_from: datetime | None = None,
        opened_until: datetime | None = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """Return alerts with their feedback, newest opening first."""
        require_view()
        for name, moment in (("opened_from", opened_from), ("opened_until", opened_until)):
            if moment is not None and moment.tzinfo is None:
                raise Problem(422, "bad-input", f"{name} = {moment.isoformat()}: has no zone; add one, such as Z")
        wanted = AlertFilter(
            machine_id=machine_id,
            kind=kind,
            severity=severity,
            open=None if state is None else state == "open",
            acknowledged=acknowledged,
            opened_from=opened_from,
            opened_until=opened_until,
        )
        records, total = live.view.find_alerts(wanted, after=_place(after), limit=limit + 1)
        shown = records[:limit]
        following = None
        if len(records) > limit:
            following = f"{shown[-1].message.opened_at.timestamp():.6f}:{shown[-1].identity}"
        return page("alerts", map(answered, shown), total, following)

    @routes.get("/alerts/{alert_id:id}", response_model=AnsweredAlert, summary="An alert")
    async def one_alert(alert_id: Annotated[str, Path(max_length=128)]) -> Response:
        """Return an alert with its feedback."""
        require_view()
        found = live.view.alerts.get(alert_id)
        if found is None:
            raise unknown("alert", alert_id, "GET /alerts lists those that are known")
        return _json(answered(found))

    @routes.get("/recommendations", response_model=RecommendationsPage, summary="Maintenance advice")
    async def recommendations(band: Band | None = None, limit: Limit = 100, after: After = None) -> Response:
        """Return the newest advice for each machine, highest risk first."""
        require_view()
        found = sorted(
            (record for record in live.view.recommendations.values() if band in {None, record.message.band}),
            key=_by_risk,
        )
        place = _place(after)
        rest = [one for one in found if place is None or _by_risk(one) > place]
        shown = rest[:limit]
        following = None
        if len(rest) > limit:
            following = f"{shown[-1].message.risk_level!r}:{shown[-1].identity}"
        return page("recommendations", map(_raw, shown), len(found), following)

    @routes.get("/forecasts", response_model=ForecastsPage, summary="Series with a forecast")
    async def forecasts(limit: Limit = 100, after: After = None) -> Response:
        """Return the names of the series, in order."""
        require_view()
        names = sorted(live.view.forecasts)
        rest = [name for name in names if after is None or name > after]
        return page("series", rest[:limit], len(names), rest[limit - 1] if len(rest) > limit else None)

    @routes.get("/forecasts/{series:id}", response_model=ForecastDetail, summary="The newest forecast of a series")
    async def one_forecast(series: Annotated[str, Path(max_length=256)]) -> Response:
        """Return the newest forecast of a series over the next 24 to 72 hours."""
        require_view()
        found = live.view.forecasts.get(series)
        if found is None:
            raise unknown("series", series, "GET /forecasts lists those that are known")
        return _json(_raw(found))

    return routes


def unknown(what: str, name: str, remedy: str) -> Problem:
    """Return the problem of an unknown name."""
    return Problem(404, f"unknown-{what}", f"{what} {name[:128]!r} is not known; {remedy}")


def _raw(record: ViewRecord) -> msgspec.Raw:
    return msgspec.Raw(record.value or b"null")


def _by_risk(record: ViewRecord) -> tuple[float, str]:
    return -record.message.risk_level, record.identity


def _place(after: str | None) -> tuple[float, str] | None:
    if after is None:
        return None
    moment, _, identity = after.partition(":")
    try:
        return -float(moment), identity
    except ValueError:
        raise Problem(
            422, "bad-input", f"after = {after[:80]!r}: is no `next` of a page before; start without it"
        ) from None


def _of_machine(value: bytes, machine_id: str) -> list[Any]:
    """Return this machine's readings or scores in a message; undecodable ones are skipped."""
    try:
        found = json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return []
    items = found if isinstance(found, list) else [found]
    return [item for item in items if isinstance(item, dict) and item.get("machine_id") == machine_id]


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _json(document: Any) -> Response:
    return Response(_encode(document), media_type="application/json")
