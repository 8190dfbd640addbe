"""Routes of the service's status: health, models, metrics."""

from datetime import UTC, datetime
from math import nan
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from api.console.alarms import alarm_rows
from api.console.quality import quality
from api.problems import RESPONSES, Problem
from api.security import Caller, require
from api.services import Services
from core.adhoc.answers import FALLBACK
from core.detection.features import feature_fingerprint
from runtime.errors import NexovaError
from runtime.metrics.page import metrics_page
from runtime.models.inference import ANOMALY, MAINTENANCE
from runtime.models.model_inference import ModelInference
from runtime.models.repository import ModelRepository
from runtime.release import release
from schemas.answers import HealthResponse, KafkaHealth, ModelsStatusResponse, ModelStatus, ReadyResponse


def kafka_health(services: Services) -> KafkaHealth:
    """Return the state of the brokers and of the live view."""
    live = services.live
    view: Literal["complete", "loading"] = "complete" if live.complete.is_set() else "loading"
    return KafkaHealth(status="up" if live.up else "away", view=view, detail=live.problem)


def health_of(services: Services, *, allowed: bool = True) -> HealthResponse:
    """Return the health of the service; unless `allowed`, states only, because details name addresses and folders."""
    inference = services.inference
    kafka = kafka_health(services)
    warnings = [*inference.problems, *([kafka.detail] if kafka.detail else [])]
    return HealthResponse(
        status="degraded" if warnings else "ok",
        version=release(),
        models={
            "anomaly": inference.kind_of(inference.models.anomaly),
            "recommendations": inference.kind_of(inference.models.maintenance),
            "forecast": "auto",
        },
        kafka=kafka if allowed else kafka.model_copy(update={"detail": None}),
        warnings=warnings if allowed else [],
        time=datetime.now(UTC),
    )


def models_of(services: Services) -> list[ModelStatus]:
    """Return the models that answer, with what their manifests say; reads the repository."""
    inference = services.inference
    found = {ANOMALY: inference.models.anomaly, MAINTENANCE: inference.models.maintenance}
    return [
        *(_status(inference, name, model, inference.kind_of(model)) for name, model in found.items()),
        ModelStatus(name="forecast", loaded=True, answers_with="auto"),
    ]


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["status"], responses=RESPONSES)
    may_read = Depends(require("read"))

    @routes.get("/health", response_model_exclude_none=True, summary="Health of the service")
    async def health(request: Request) -> HealthResponse:
        """Answer 200 while the service runs; `degraded` means that a part of it does not work."""
        caller: Caller = request.scope["nexova.caller"]
        return health_of(services, allowed=caller.may("read"))

    @routes.get("/ready", summary="Whether the live view is complete")
    async def ready(request: Request) -> ReadyResponse:
        """Answer 200 once the view has read the topics up to their ends at the start, 503 before."""
        live = services.live
        caller: Caller = request.scope["nexova.caller"]
        allowed = caller.may("read")
        if not live.complete.is_set():
            # the reason names addresses, and how many machines there are is no stranger's business either
            why = (live.problem if allowed else None) or "it is still being read"
            raise Problem(
                503,
                "view-loading",
                f"the live view is not complete yet: {why}; try again in a moment",
                headers={"Retry-After": "1"},
            )
        return ReadyResponse(ready=True, items=live.view.sizes() if allowed else {})

    @routes.get("/models/status", summary="Which models answer", dependencies=[may_read])
    def models_status() -> ModelsStatusResponse:
        """Return the loaded models with their training data and their metrics on the test data."""
        inference = services.inference
        return ModelsStatusResponse(
            repository=inference.model_dir,
            plant=services.plant.name,
            features=feature_fingerprint(services.plant),
            loaded_at=services.loaded_at,
            models=models_of(services),
            problems=list(inference.problems),
        )

    @routes.get("/metrics", summary="Metrics for Prometheus", dependencies=[may_read], response_class=Response)
    async def metrics() -> Response:
        """Return the metrics in Prometheus' text format, totalled over all workers."""
        services.live.measure()
        _measure_alerts(services)
        return Response(metrics_page(services.registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _measure_alerts(services: Services) -> None:
    """Update the gauges of feedback."""
    metrics, view, now = services.metrics, services.live.view, datetime.now(UTC)
    found = quality(view, alarm_rows(view, now), now)
    metrics.alerts_judged.set(found.judged)
    metrics.alert_precision.set(nan if found.precision is None else found.precision)
    metrics.alert_response.set(nan if found.answered is None else found.answered)


def _status(inference: ModelInference, name: str, model: Any, kind: str) -> ModelStatus:
    if model is None:
        return ModelStatus(name=name, loaded=False, answers_with=FALLBACK)
    try:
        manifest = ModelRepository(inference.model_dir, trust=inference.trust).manifest(name, model.version)
    except NexovaError:  # it runs all the same; what became of its files is said at the next reload
        return ModelStatus(name=name, loaded=True, answers_with=kind, version=model.version)
    return ModelStatus(
        name=name,
        loaded=True,
        answers_with=kind,
        version=model.version,
        created_at=manifest.created_at,
        trained_from=manifest.trained_on.start,
        trained_to=manifest.trained_on.end,
        rows_used=manifest.rows_used,
        metrics=manifest.metrics,
    )
