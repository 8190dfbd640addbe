"""Published forecasts of machines: for each machine a fitted curve, its median week, and the best candidate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from core.arrays import Floats
from core.forecasting.curves import Curve
from core.forecasting.engine import Answer, Calendar, HourlySeries, Memory, forecast_next
from core.forecasting.names import BLEND, PROPHET, PublishedName
from core.forecasting.seasonal import hourly_median
from core.plant import Plant
from runtime.models.inference import Opener, open_document
from runtime.models.repository import ModelBundle

FORECAST: Final = "forecast"


class CurveDocument(BaseModel):
    """A curve in model.json; see `core.forecasting.curves.Curve`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: Annotated[int, Field(description="hours since the epoch, local time of the plant")]
    level: Annotated[float, Field(description="kW at the start")]
    slope: Annotated[float, Field(description="kW an hour")]
    week: Annotated[tuple[float, ...], Field(min_length=168, max_length=168, description="kW from Monday 0 h")]
    year: Annotated[tuple[float, ...], Field(min_length=366, max_length=366, description="kW from 1 January")]

    def curve(self) -> Curve:
        """Return the curve in the form of the rules."""
        return Curve(
            start=self.start, level=self.level, slope=self.slope, week=np.array(self.week), year=np.array(self.year)
        )


class MachineForecast(BaseModel):
    """Forecast model of one machine."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    use: Annotated[PublishedName, Field(description="the candidate with the least error on the validation split")]
    errors: Annotated[dict[str, float], Field(description="mean absolute error of each candidate there, kW")]
    spread: Annotated[float, Field(ge=0, description="80 % of its errors there are smaller, kW")]
    week: Annotated[tuple[float, ...], Field(min_length=168, max_length=168, description="median, kW, from Monday 0 h")]
    curve: CurveDocument


class ForecastDocument(BaseModel):
    """Content of the forecasts' model.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["hourly_power"] = "hourly_power"
    timezone: Annotated[str, Field(description="whose clock the hours are of")]
    machines: Annotated[dict[str, MachineForecast], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class MachineForecasts:
    """A version of the forecasts, ready to answer."""

    name: str
    version: str
    document: ForecastDocument

    def predict(
        self, machine_id: str, series: HourlySeries, *, horizon: int, memory: Memory | None = None
    ) -> tuple[Answer, Memory | None]:
        """Return the `horizon` hours after a machine's hourly mean power, on the plant's clock.

        memory: the memory that the last call returned, so that the blend is not fitted again. Raises KeyError for an
        unknown machine.
        """
        known = self.document.machines[machine_id]
        return forecast_by(
            known.use,
            series,
            horizon=horizon,
            curve=known.curve.curve(),
            week=np.array(known.week),
            spread=known.spread,
            memory=memory,
        )


def forecast_by(
    candidate: PublishedName,
    series: HourlySeries,
    *,
    horizon: int,
    curve: Curve,
    week: Floats,
    spread: float,
    memory: Memory | None,
) -> tuple[Answer, Memory | None]:
    """Return one candidate's forecast after a series; power is never below 0."""
    if candidate == BLEND:
        answer, memory = forecast_next(series, horizon=horizon, calendar=Calendar(), memory=memory, cold_start=week)
        return answer, memory
    if candidate == PROPHET:
        value = curve.predict(series, horizon)
    else:
        steps = series.end + np.arange(horizon)
        value = hourly_median(series, Calendar(), horizon, otherwise=curve.at(steps)).value
    low, middle, high = (np.maximum(part, 0.0) for part in (value - spread, value, value + spread))
    return Answer(value=middle, lower=low, upper=high, model=candidate), memory


def open_forecasts(bundle: ModelBundle, *, plant: Plant, features: str) -> MachineForecasts:
    """Build the forecasts of a verified version; raises ModelRefused when they are not for this plant's sensors."""
    del features  # forecasts read hourly power and no features, so a new release of features does not concern them
    document = open_document(bundle, ForecastDocument, plant=plant, features=bundle.manifest.features)
    return MachineForecasts(name=bundle.manifest.name, version=bundle.manifest.version, document=document)


OPENERS: Final[Mapping[str, Opener[Any]]] = {FORECAST: open_forecasts}
"""Openers of models that score no readings; a composition root may add others."""
