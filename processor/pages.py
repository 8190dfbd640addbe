"""HTTP pages of a worker: metrics, readiness, health."""

from collections.abc import Callable
from typing import Any

import faust
from prometheus_client import CollectorRegistry, generate_latest


def add_pages(
    app: faust.App,
    *,
    registry: CollectorRegistry,
    settled: Callable[[], bool],
    failures: Callable[[], dict[str, str]],
    facts: Callable[[], dict[str, Any]],
) -> None:
    """Add `/metrics`, `/ready`, `/health` and `/healthz` to the app's web server.

    settled: whether partitions are assigned and restored. failures: failed health checks. facts: further content of
    `/healthz`.
    """

    @app.page("/metrics")
    async def metrics(view: Any, _: Any) -> Any:
        return view.bytes(generate_latest(registry), content_type="text/plain; version=0.0.4")

    @app.page("/ready")
    async def ready(view: Any, _: Any) -> Any:
        return view.json({"ready": settled()}, status=200 if settled() else 503)

    # /health is the name that probes of Kubernetes use for every process of ours
    @app.page("/health")
    @app.page("/healthz")
    async def healthz(view: Any, _: Any) -> Any:
        failed = failures()
        body = {"status": "failing" if failed else "ok", "failed_checks": failed, **facts()}
        return view.json(body, status=503 if failed else 200)
