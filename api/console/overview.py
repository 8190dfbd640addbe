"""What the pages of forecasts and models show."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from api.console.charts import Axis, Chart, line_chart
from api.live.view import View
from api.routes.status import models_of
from api.services import Services
from core.plant import Plant
from runtime.errors import NexovaError
from runtime.models.repository import ModelRepository
from schemas.answers import ModelStatus
from schemas.forecasts import Forecast, is_plant_series

_MOST_SERIES: Final = 200
_MOST_PROMOTIONS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForecast:
    """A series' newest forecast. energy: kWh of its hours; peak: the highest hour; small: for lists."""

    forecast: Forecast
    plant: bool
    axis: Axis
    chart: Chart
    energy: float
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A version of a model that was made to run."""

    name: str
    version: str
    at: datetime
    reason: str


def forecasts(view: View, plant: Plant) -> list[SeriesForecast]:
    """Return the plant's forecast first, then the machines' by the energy that is expected."""
    found = [_series(record.message, plant) for record in view.forecasts.values() if record.message.points]
    found.sort(key=lambda one: (not one.plant, -one.energy))
    return found[:_MOST_SERIES]


def _series(forecast: Forecast, plant: Plant) -> SeriesForecast:
    times = [point.timestamp.timestamp() for point in forecast.points]
    axis = Axis(start=times[0], end=times[-1] + 3600.0)
    whole = is_plant_series(forecast.series_id)
    limit = plant.energy.peak_limit if whole else None
    highest = max([point.upper for point in forecast.points] + ([limit] if limit else []))
    return SeriesForecast(
        forecast=forecast,
        plant=whole,
        axis=axis,
        chart=line_chart(
            axis,
            [(t + 1800.0, point.value) for t, point in zip(times, forecast.points, strict=True)],
            interval=[(t + 1800.0, point.lower, point.upper) for t, point in zip(times, forecast.points, strict=True)],
            rules=[] if limit is None else [(limit, "limit-critical")],
            scale=(0.0, 1.08 * highest or 1.0),
        ),
        energy=sum(point.value for point in forecast.points),
        peak=max(point.value for point in forecast.points),
    )


def running_models(services: Services) -> list[ModelStatus]:
    """Return the models that answer, with what their manifests say."""
    return models_of(services)


def promotions(services: Services) -> list[Promotion]:
    """Return the newest promotions of all models; none where the repository cannot be read."""
    found: list[Promotion] = []
    for name in ("anomaly", "maintenance"):
        try:
            history: Sequence[Any] = ModelRepository(services.inference.model_dir).history(name)
        except NexovaError:
            continue
        found += [
            Promotion(name=name, version=entry.version, at=entry.at, reason=entry.reason or "") for entry in history
        ]
    return sorted(found, key=lambda one: one.at, reverse=True)[:_MOST_PROMOTIONS]
