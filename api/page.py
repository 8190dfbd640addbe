"""The page at `/`: how the service is, where to go on, and the newest alerts; plain HTML that needs no script."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from api.live.view import AlertFilter
from api.routes.status import health_of
from api.security import Caller
from api.services import Services
from schemas.answers import HealthResponse

_MOST_ALERTS = 20
_REFRESH_SECONDS = 15
_LOOKS = {"ok": "good", "up": "good", "complete": "good", "degraded": "warning", "away": "critical"}
_LOOKS |= {"fallback": "warning", "still being read": "warning"}
_NAMES = {"anomaly": "Anomaly", "recommendations": "Advice", "forecast": "Forecast"}
_LINKS = (
    ("/docs", "API console"),
    ("/redoc", "API reference"),
    ("/health", "health"),
    ("/models/status", "models"),
    ("/machines", "machines"),
    ("/alerts", "alerts"),
    ("/recommendations", "advice"),
    ("/metrics", "metrics"),
)


def router(services: Services) -> APIRouter:
    """The page."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def index(request: Request) -> HTMLResponse:
        caller: Caller = request.scope["nexova.caller"]
        return HTMLResponse(render(services, allowed=caller.may("read")))

    return routes


def render(services: Services, *, allowed: bool) -> str:
    """The page as text; without `allowed`, nothing of the plant is on it."""
    health = health_of(services)
    links = "".join(f'<a href="{path}">{words}</a>' for path, words in _LINKS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Nexova</title>'
        '<link rel="icon" href="/assets/icon.svg"><link rel="stylesheet" href="/assets/nexova.css"></head><body>'
        f'<header><h1>Nexova</h1><p class="quiet">{escape(services.plant.name)} plant, version '
        f"{escape(health.version)}</p></header><nav><p>{links}</p></nav>"
        f"<main><h2>Status</h2>{_status(services, health, allowed=allowed)}"
        f"<h2>Newest alerts</h2>{_alerts(services, allowed=allowed)}</main>"
        f'<p class="quiet">As of {_time(health.time)} UTC; this page renews itself every {_REFRESH_SECONDS} s.</p>'
        "</body></html>\n"
    )


def _status(services: Services, health: HealthResponse, *, allowed: bool) -> str:
    view = {"complete": "complete", "loading": "still being read"}[health.kafka.view]
    known = services.live.view.sizes()
    rows = [
        ("Service", health.status),
        ("Kafka", health.kafka.status),
        ("Live view", view),
        *((f"{_NAMES.get(name, name)} model", model.replace("_", " ")) for name, model in health.models.items()),
    ]
    if allowed:
        open_alerts = sum(one.message.state != "resolved" for one in services.live.view.alerts.values())
        rows = [("Machines", f"{known['machines']:,}"), ("Open alerts", f"{open_alerts:,}"), *rows]
    listed = "".join(
        f'<div><dt>{escape(name)}</dt><dd class="{_LOOKS.get(value, "")}">{escape(value)}</dd></div>'
        for name, value in rows
    )
    warnings = "".join(f"<li>{escape(one)}</li>" for one in health.warnings) if allowed else ""
    return f"<dl>{listed}</dl>" + (f'<ul class="warning">{warnings}</ul>' if warnings else "")


def _alerts(services: Services, *, allowed: bool) -> str:
    if not allowed:
        return "<p>Alerts are shown to callers with a token of scope read.</p>"
    if not services.live.complete.is_set():
        return "<p>Not known yet: the live view is still being read.</p>"
    records, total = services.live.view.find_alerts(AlertFilter(), after=None, limit=_MOST_ALERTS)
    if not records:
        return "<p>None. When a machine leaves its usual course, it is said here.</p>"
    rows = "".join(
        _row(record.message, [one.message for one in services.live.view.feedback.get(record.identity, ())])
        for record in records
    )
    more = f'<p><a href="/alerts">All {total:,} alerts</a></p>' if total > len(records) else ""
    return (
        '<table><thead><tr><th scope="col">Opened (UTC)</th><th scope="col">Severity</th><th scope="col">State</th>'
        f'<th scope="col">What</th></tr></thead><tbody>{rows}</tbody></table>{more}'
    )


def _row(alert: Any, answers: Sequence[Any] = ()) -> str:
    said = "".join(f" · {escape(one.kind.replace('_', ' '))} by {escape(one.author or '?')}" for one in answers[-1:])
    state, style = ("resolved", ' class="over"') if alert.state == "resolved" else ("open", "")
    return (
        f"<tr{style}><td>{_time(alert.opened_at)}</td>"
        f'<td class="{escape(alert.severity)}">{escape(alert.severity)}</td><td>{state}{said}</td>'
        f'<td><a href="/alerts/{quote(alert.alert_id, safe="")}">{escape(alert.summary)}</a></td></tr>'
    )


def _time(moment: datetime) -> str:
    at = moment.astimezone(UTC)
    return f'<time datetime="{at.isoformat()}">{at:%Y-%m-%d %H:%M:%S}</time>'
