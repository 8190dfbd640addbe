"""The worker's pages: /metrics, /ready, and /health, which is /healthz by the name that Kubernetes' probes use."""

from collections.abc import Callable
from typing import Any

import faust
from prometheus_client import CollectorRegistry, generate_latest


def serve_pages(
    app: faust.App,
    *,
    registry: CollectorRegistry,
    ready: Callable[[], bool],
    health: Callable[[], tuple[bool, dict[str, Any]]],
) -> None:
    """Add the pages to the worker's web server. health: whether all is well, and the document that says more."""

    @app.page("/metrics")
    async def metrics(view: Any, _: Any) -> Any:
        return view.bytes(generate_latest(registry), content_type="text/plain; version=0.0.4")

    @app.page("/ready")
    async def ready_page(view: Any, _: Any) -> Any:
        settled = ready()
        return view.json({"ready": settled}, status=200 if settled else 503)

    @app.page("/health")
    @app.page("/healthz")
    async def healthz(view: Any, _: Any) -> Any:
        well, body = health()
        return view.json(body, status=200 if well else 503)
