"""Services that the routes use, created once for each process."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from api.batching import Batcher
from api.feedback import FeedbackWriter
from api.forecasting import ForecastDesk
from api.live.baselines import Baselines
from api.live.reader import Live
from core.adhoc.rows import History
from core.plant import Plant
from runtime.metrics import ApiMetrics
from runtime.models.model_inference import ModelInference
from runtime.settings import Settings
from schemas.answers import Advice, AnomalyResult


@dataclass(slots=True, kw_only=True)
class Services:
    """Objects that outlive a request. anomalies, risks: batched model calls off the event loop."""

    settings: Settings
    plant: Plant
    inference: ModelInference
    metrics: ApiMetrics
    pool: ThreadPoolExecutor
    anomalies: Batcher[History, list[AnomalyResult]]
    risks: Batcher[History, list[Advice]]
    forecasts: ForecastDesk
    live: Live
    feedback: FeedbackWriter
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def registry(self) -> CollectorRegistry:
        """Registry of the metrics."""
        return self.metrics.registry


def make_services(
    settings: Settings,
    *,
    plant: Plant,
    inference: ModelInference,
    metrics: ApiMetrics,
    promoted: Callable[[], None],
) -> Services:
    """Return the services of one process; nothing is started yet. promoted: called when Kafka says that a model was."""
    # one thread: the forests run one at a time anyway, and waiting requests are scored together
    pool = ThreadPoolExecutor(1, thread_name_prefix="models")
    baselines = Baselines(plant)
    return Services(
        settings=settings,
        plant=plant,
        inference=inference,
        metrics=metrics,
        pool=pool,
        anomalies=Batcher(inference.anomalies, size=_rows, executor=pool, observe=metrics.batch_rows.observe),
        risks=Batcher(inference.risks, size=_rows, executor=pool, observe=metrics.batch_rows.observe),
        forecasts=ForecastDesk(
            keep_seconds=settings.cache_timeout, answer_seconds=settings.api.request_seconds, metrics=metrics
        ),
        live=Live(settings, baselines, metrics, promoted=promoted),
        feedback=FeedbackWriter(settings.kafka),
    )


def _rows(history: History) -> int:
    return len(history.values)
