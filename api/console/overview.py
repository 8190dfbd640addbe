"""What the pages of forecasts and models show."""

from dataclasses import dataclass
from typing import Final

from api.console.charts import Axis, Chart, line_chart
from api.live.view import View
from api.routes.status import models_of
from api.services import Services
from core.plant import Plant
from schemas.answers import ModelStatus
from schemas.forecasts import Forecast, is_plant_series

_MOST_SERIES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForecast:
    """A series' newest forecast. energy: kWh of its hours; peak: the highest hour; small: for lists."""

    forecast: Forecast
    plant: bool
    axis: Axis
    chart: Chart
    energy: float
    peak: float


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
