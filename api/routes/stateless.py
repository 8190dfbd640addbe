"""Forecasts, scores and advice for what the caller sends; works with Kafka away."""

import asyncio
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Body, Depends, Request
from starlette.responses import Response

from api.problems import RESPONSES
from api.requests import ForecastRequest, rows_request
from api.routes.live import unknown as unknown_thing
from api.security import Caller, Rate, require, too_many
from api.services import Services
from core.adhoc.answers import FALLBACK
from core.adhoc.rows import History
from core.state.tracks import Tracks
from schemas.answers import Advice, AnomalyResponse, ForecastResponse, RecommendationsResponse
from schemas.rounding import round_quantity

_encode = msgspec.json.Encoder().encode


def router(services: Services) -> APIRouter:
    """Return the routes, for rows of this plant's sensors."""
    routes = APIRouter(tags=["models"], responses=RESPONSES)
    metrics, api = services.metrics, services.settings.api
    request_model: Any = rows_request(services.plant, most=api.max_rows)
    history_of = _history_reader(services)
    may_read = Depends(require("read"))
    forecast_rate = Rate(api.forecasts_per_second)

    @routes.post("/anomaly", response_model=AnomalyResponse, summary="Score rows of a machine", dependencies=[may_read])
    async def anomaly(body: Annotated[request_model, Body()]) -> Response:
        """Score rows against the best available baseline.

        With `machine_id` that is the machine's own, as the processor has it now; otherwise 60 rows or more are compared
        with themselves, and fewer with the baseline of all machines of the plant.
        """
        history, warnings = await history_of(body)
        results = await services.anomalies.ask(history)
        metrics.rows.labels(kind="anomaly").inc(len(results))
        if results[0].model == FALLBACK:
            metrics.fallbacks.labels(kind="anomaly").inc()
        return _json({"results": results, "total": len(results)}, warnings)

    @routes.post(
        "/recommendations",
        response_model=RecommendationsResponse,
        summary="Advise on a machine's maintenance",
        dependencies=[may_read],
    )
    async def recommendations(body: Annotated[request_model, Body()]) -> Response:
        """Estimate a machine's wear after these rows: at the top after the last one, in `results` after each."""
        history, warnings = await history_of(body)
        results = await services.risks.ask(history)
        metrics.rows.labels(kind="risk").inc(len(results))
        if results[-1].model == FALLBACK:
            metrics.fallbacks.labels(kind="risk").inc()
        last = {name: getattr(results[-1], name) for name in Advice.model_fields}
        return _json(last | {"results": results, "total": len(results)}, warnings)

    @routes.post("/forecast", response_model=ForecastResponse, summary="Forecast a series")
    async def forecast(request: Request, body: ForecastRequest, caller: Annotated[Caller, may_read]) -> Response:
        """Forecast the next 1 to 168 steps with an 80 % interval."""
        address = request.client.host if request.client else "unknown"
        wait = forecast_rate.wait(caller.name if caller.by_token else address)
        if wait:
            metrics.refused.labels(reason="rate").inc()
            raise too_many(wait)
        answer = await services.forecasts.ask(
            {
                "values": body.data,
                "periods": body.horizon,
                "frequency": body.frequency,
                "model": body.model,
                "start": None if body.start is None else body.start.isoformat(),
            }
        )
        if answer.warnings:
            metrics.fallbacks.labels(kind="forecast").inc()
        return _json(
            {
                "forecast": [*map(round_quantity, answer.forecast)],
                "lower_bound": [*map(round_quantity, answer.lower_bound)],
                "upper_bound": [*map(round_quantity, answer.upper_bound)],
                "model": answer.model,
                "horizon": body.horizon,
            },
            list(answer.warnings),
        )

    return routes


def _history_reader(services: Services) -> Callable[[Any], Awaitable[tuple[History, list[str]]]]:
    """Convert a request into a history, with warnings."""
    names = services.plant.measured_names
    places = [services.plant.sensor_names.index(name) for name in names]
    columns: Any = attrgetter(*names) if len(names) > 1 else lambda row: (getattr(row, names[0]),)

    async def read(body: Any) -> tuple[History, list[str]]:
        values = np.full((len(body.data), len(services.plant.sensors)), np.nan)
        values[:, places] = [columns(row) for row in body.data]
        warnings = list(services.inference.problems)
        unknown = sorted({name for row in body.data if row.model_extra for name in row.model_extra})
        if unknown:
            shown = ", ".join(name[:40] for name in unknown[:5])
            warnings.append(f"not used, because the plant file has no such sensor: {shown}")
        if body.machine_id is None:
            return History(values=values), warnings
        tracks, warning = await _baseline(services, body.machine_id)
        return History(values=values, machine_id=body.machine_id, tracks=tracks), warnings + warning

    return read


async def _baseline(services: Services, machine_id: str) -> tuple[Tracks | None, list[str]]:
    """Return the machine's own baseline, or the reason if it is unavailable; raise a Problem for an unknown machine."""
    live = services.live
    if not live.complete.is_set():
        return None, [f"the live baseline of {machine_id} is unavailable: {live.problem or 'still loading'}"]
    status = live.view.machines.get(machine_id)
    if status is None:
        raise unknown_thing(
            "machine", machine_id, "leave out machine_id to compare the rows with the plant, or see GET /machines"
        )
    loop = asyncio.get_running_loop()
    tracks = await loop.run_in_executor(services.pool, live.baselines.of, machine_id, status.partition)
    if tracks is None or not tracks.fitted[0]:
        learned = f"{status.message.warm_up:.0%}"
        return tracks, [f"{machine_id} has no baseline of its own yet (learned {learned}); a wider one was used"]
    return tracks, []


def _json(document: dict[str, Any], warnings: list[str]) -> Response:
    if warnings:
        document["warnings"] = warnings
    return Response(_encode(document), media_type="application/json")
