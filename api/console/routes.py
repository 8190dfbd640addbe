"""The console's pages."""

import asyncio
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, Response

from api.console import actions, model_routes, overview
from api.console.alarms import (
    SEVERITIES,
    AlarmRow,
    alarm_figures,
    alarm_rows,
    as_csv,
    at_the_same_time,
    fleet_of,
    grouped,
    members_of,
    similar,
)
from api.console.charts import Axis
from api.console.fleet import Filters, Throughput, fleet_page
from api.console.history import ReadingHistory, Readings, recent
from api.console.machine import (
    SPANS,
    alert_bands,
    alert_spans,
    around,
    machine_page,
    signal_panels,
)
from api.console.quiet import of_plant, recently_alerted
from api.console.rendering import Pages, Reader, asset, sign_in_needed
from api.problems import Problem
from api.services import Services
from core.alerting.suppression import Hold
from core.state.tracks import Tracks

_ALARMS_PER_PAGE: Final = 100
_LONGEST: Final = 31 * 86_400.0
Text = Annotated[str, Query(max_length=128)]
Number = Annotated[float | None, Query(ge=0, le=1e11, allow_inf_nan=False)]
PageNumber = Annotated[int, Query(ge=1, le=10_000)]
AlarmGroup = Literal["open", "shelved", "stale", "over", "all"]
Sort = Literal["urgency", "newest", "machine"]


def router(services: Services) -> APIRouter:  # noqa: C901, PLR0915  a table of routes, each short
    """The pages, their assets and their forms."""
    routes = APIRouter(include_in_schema=False)
    pages = Pages(services)
    history = ReadingHistory(services.settings.kafka)
    throughput = Throughput()
    view = services.live.view
    actions.add_to(routes, services, pages)
    model_routes.add_to(routes, services, pages)

    async def tracks_of(machine_id: str, partition: int) -> Tracks | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(services.pool, services.live.baselines.of, machine_id, partition)

    async def holds_of(machines: list[tuple[str, int]]) -> list[tuple[str, list[Hold]]]:
        loop, holds = asyncio.get_running_loop(), services.live.baselines.holds
        return [(one, await loop.run_in_executor(services.pool, holds, one, partition)) for one, partition in machines]

    @routes.get("/console/assets/{name}")
    async def assets(name: str) -> Response:
        found = asset(name)
        if found is None:
            raise Problem(404, "not-found", f"/console/assets/{name[:80]} is not here")
        return found

    @routes.get("/")
    async def fleet(  # noqa: PLR0917  FastAPI passes them by name
        request: Request,
        q: Text = "",
        machine_type: Text = "",
        condition: Text = "",
        alerting: bool = False,  # noqa: FBT001, FBT002  a query parameter
        layout: Annotated[str, Query(max_length=10)] = "",
        page: PageNumber = 1,
    ) -> Response:
        reader = Reader.of(request)
        if not reader.caller.may("read"):
            return sign_in_needed(request)
        chosen = layout or request.cookies.get("nexova_layout", "")
        rate = throughput.rate(view)
        if not layout and (kept := pages.cached(request, reader)) is not None and chosen != "table":
            return kept
        filters = Filters(
            text=q,
            machine_type=machine_type,
            condition=condition,
            alerting=alerting,
            view="table" if chosen == "table" else "tiles",
            page=page,
        )
        found = fleet_page(view, services.plant, filters, pages.formats(reader), rate=rate)
        answer = pages.page(request, reader, "fleet.html", fleet=found, filters=filters)
        if layout in {"tiles", "table"}:
            answer.set_cookie("nexova_layout", layout, max_age=31_536_000, samesite="strict", httponly=True)
            pages.forget()
        return answer

    @routes.get("/console/machines/{machine_id:id}")
    async def machine(
        request: Request,
        machine_id: str,
        span: Literal["hour", "day", "week"] = "hour",
        begin: Number = None,
        end: Number = None,
    ) -> Response:
        reader = Reader.of(request)
        if (ready := pages.ready(request, reader)) is not None:
            return ready
        status = view.machines.get(machine_id)
        if status is None:
            return pages.page(request, reader, "missing.html", status=404, name=machine_id, reason="unknown_machine")
        formats = pages.formats(reader)
        now = formats.now.timestamp()
        axis = Axis(start=now - SPANS[span], end=now)
        zoomed = begin is not None and end is not None and 0 < end - begin <= _LONGEST
        if zoomed and begin is not None and end is not None:
            axis = Axis(start=begin, end=end)
        readings = await history.span(
            machine_id,
            partition=status.partition,
            start=axis.start,
            end=axis.end,
            rings=view.rings.get(machine_id),
            reachable=services.live.up,
        )
        found = machine_page(
            status,
            view=view,
            plant=services.plant,
            formats=formats,
            readings=readings,
            tracks=await tracks_of(machine_id, status.partition),
            axis=axis,
            alerts=alarm_rows(view, formats.now),
            holds=(await holds_of([(machine_id, status.partition)]))[0][1],
        )
        return pages.page(request, reader, "machine.html", machine=found, span=span, zoomed=zoomed)

    @routes.get("/console/alerts")
    async def alarms(  # noqa: PLR0917  FastAPI passes them by name
        request: Request,
        group: AlarmGroup = "open",
        severity: Text = "",
        kind: Text = "",
        q: Text = "",
        sort: Sort = "urgency",
        page: PageNumber = 1,
    ) -> Response:
        reader = Reader.of(request)
        if (ready := pages.ready(request, reader)) is not None:
            return ready
        formats = pages.formats(reader)
        rows = alarm_rows(view, formats.now)
        matching = _chosen(rows, group=group, severity=severity, kind=kind, text=q, sort=sort)
        count = max(1, -(-len(matching) // _ALARMS_PER_PAGE))
        page = min(page, count)
        return pages.page(
            request,
            reader,
            "alarms.html",
            rows=matching[(page - 1) * _ALARMS_PER_PAGE : page * _ALARMS_PER_PAGE],
            shown=len(matching),
            counts={name: sum(row.group == name for row in rows) for name in ("open", "shelved", "stale", "over")},
            figures=alarm_figures(rows, formats.now),
            chosen={"group": group, "severity": severity, "kind": kind, "q": q, "sort": sort},
            severities=SEVERITIES,
            kinds=sorted({row.alert.kind for row in rows}),
            page=page,
            pages=count,
            members=fleet_of(rows),
            quiet=of_plant(services.plant, await holds_of(recently_alerted(rows, view)), formats.now),
        )

    @routes.get("/console/alerts.csv")
    async def alarms_csv(
        request: Request, group: AlarmGroup = "all", severity: Text = "", kind: Text = "", q: Text = ""
    ) -> Response:
        reader = Reader.of(request)
        if not reader.caller.may("read"):
            return sign_in_needed(request)
        rows = alarm_rows(view, pages.formats(reader).now)
        text = as_csv(_chosen(rows, group=group, severity=severity, kind=kind, text=q, sort="newest"))
        headers = {"Content-Disposition": 'attachment; filename="nexova-alerts.csv"'}
        return PlainTextResponse(text, media_type="text/csv", headers=headers)

    @routes.get("/console/alerts/{alert_id:id}")
    async def alert(request: Request, alert_id: str) -> Response:
        reader = Reader.of(request)
        if (ready := pages.ready(request, reader)) is not None:
            return ready
        formats = pages.formats(reader)
        rows = alarm_rows(view, formats.now)
        row = next((one for one in rows if one.alert.alert_id == alert_id), None)
        if row is None:
            return pages.page(request, reader, "missing.html", status=404, name=alert_id, reason="unknown_alert")
        machine_id = row.alert.machine_id
        status = view.machines.get(machine_id)
        rings = view.rings.get(machine_id)
        axis = around(row, Readings(begins=0.0, samples=recent(machine_id, rings)), services.plant)
        readings = Readings(begins=axis.end)
        if status is not None:
            readings = await history.span(
                machine_id,
                partition=status.partition,
                start=axis.start,
                end=axis.end,
                rings=rings,
                reachable=services.live.up,
            )
        own = [one for one in rows if one.alert.machine_id == machine_id]
        panels = signal_panels(
            services.plant,
            readings,
            alert_bands(row),
            axis,
            alert_spans(axis, [row], formats),
            only=[signal.sensor for signal in row.alert.signals][:6],
            mark=row.alert.opened_at.timestamp(),
        )
        return pages.page(
            request,
            reader,
            "alert.html",
            row=row,
            axis=axis,
            panels=[panel for panel in panels if panel.chart.line],
            units={sensor.name: sensor.unit for sensor in services.plant.sensors},
            similar=similar(own, row),
            others=[] if row.alert.kind == "fleet" else at_the_same_time(rows, row),
            members=members_of(rows, row.alert),
            within=next((one for one in rows if one.open and alert_id in one.alert.members), None),
        )

    @routes.get("/console/forecasts")
    async def forecasts(request: Request) -> Response:
        reader = Reader.of(request)
        if (ready := pages.ready(request, reader)) is not None:
            return ready
        return pages.page(request, reader, "forecasts.html", series=overview.forecasts(view, services.plant))

    return routes


def _chosen(rows: list[AlarmRow], *, group: str, severity: str, kind: str, text: str, sort: str) -> list[AlarmRow]:
    wanted = text.casefold()
    found = [
        row
        for row in rows
        if group in {"all", row.group}
        and severity in {"", row.alert.severity}
        and kind in {"", row.alert.kind}
        and (wanted in row.alert.summary.casefold() or wanted in row.alert.machine_id.casefold())
    ]
    if sort == "newest":
        found.sort(key=lambda row: row.alert.opened_at, reverse=True)
    elif sort == "machine":
        found.sort(key=lambda row: (row.alert.machine_id, -row.alert.opened_at.timestamp()))
    else:
        found = [row for group in grouped(found) for row in group] if fleet_of(found) else found
    return found
