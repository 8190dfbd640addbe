"""The API's composition root; nothing is started until the application is served."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import numpy as np
from fastapi import FastAPI

from api import docs, problems
from api.connections import DOOR, Door
from api.console import routes as console
from api.path_ids import SegmentedPath, register_ids
from api.request_guard import RequestGuard
from api.routes import changes, live, stateless, status
from api.services import Services, make_services
from core.adhoc.rows import LEAST_HISTORY, History
from core.plant import Plant
from runtime.metrics import ApiMetrics, process_registry
from runtime.models.model_inference import ModelInference
from runtime.models.signing import Trust
from runtime.plants import load_plant
from runtime.release import release
from runtime.settings import Settings, load_settings

_MEASURE_SECONDS: Final = 5.0
DESCRIPTION = """Forecasts, anomaly scores and maintenance advice, and a live view of the machines that Nexova watches.

Errors are problem details (RFC 9457). Where tokens are set, send one as `Authorization: Bearer …`.
"""


def create_app(settings: Settings | None = None, *, plant: Plant | None = None) -> FastAPI:
    """Return the API as an ASGI application. settings: None reads them from the environment."""
    settings = load_settings() if settings is None else settings
    plant = load_plant(settings.plant_file) if plant is None else plant
    metrics = ApiMetrics(process_registry())
    metrics.workers.set(1)
    promoted = asyncio.Event()
    services = make_services(
        settings,
        plant=plant,
        inference=ModelInference(settings.model_path, plant=plant, trust=Trust.of(settings.models)),
        metrics=metrics,
        promoted=promoted.set,
    )
    app = FastAPI(
        title="Nexova API",
        version=release(),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.services = services
    app.state.promoted = promoted
    problems.install(app)
    register_ids()
    app.add_middleware(SegmentedPath)
    app.add_middleware(RequestGuard, settings=settings.api, metrics=metrics)
    app.include_router(stateless.router(services))
    app.include_router(live.router(services))
    app.include_router(changes.router(services))
    app.include_router(status.router(services))
    app.include_router(docs.router())
    app.include_router(console.router(services))
    return app


def create_lasting_app(settings: Settings | None = None) -> FastAPI:
    """Return the API for a process of its own, as for `uvicorn --factory`; settings as in `create_app`."""
    app = create_app(settings)
    # What was loaded stays for good, and is much: without this, each full collection of garbage walks through all of
    # it, and a request that happens to cause one waits for 0.2 s.
    gc.collect()
    gc.freeze()
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Door]]:
    services: Services = app.state.services
    services.forecasts.start()
    services.pool.submit(_warm, services)
    services.live.start()
    app.state.door = door = Door(services.settings.api, services.metrics)
    keepers = [
        asyncio.create_task(_keep_models_fresh(services, app.state.promoted)),
        asyncio.create_task(door.run()),
    ]
    if services.settings.workers > 1:
        keepers.append(asyncio.create_task(_keep_measuring(services)))
    try:
        yield {DOOR: door}
    finally:
        for keeper in keepers:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
        await services.live.close()
        services.forecasts.close()
        services.pool.shutdown(wait=True, cancel_futures=True)


def _warm(services: Services) -> None:
    """Run the rules once, so that the first caller does not wait for their compiled form."""
    row = [[sensor.maximum / 2 for sensor in services.plant.sensors]]
    history = History(values=np.array(row * LEAST_HISTORY))
    services.inference.anomalies([history])
    services.inference.risks([history])


async def _keep_models_fresh(services: Services, promoted: asyncio.Event) -> None:
    """Check for newer models after announcements in Kafka and every CACHE_TIMEOUT seconds.

    They are replaced between two batches, in the scoring thread.
    """
    loop = asyncio.get_running_loop()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(1.0, services.settings.cache_timeout)):
                await promoted.wait()
        promoted.clear()
        if await loop.run_in_executor(services.pool, services.inference.reload_if_changed):
            services.loaded_at = datetime.now(UTC)


async def _keep_measuring(services: Services) -> None:
    """Keep this worker's gauges up to date, as another worker may be asked for the metrics of all."""
    while True:
        services.live.measure()
        await asyncio.sleep(_MEASURE_SECONDS)
