"""Forecast: a series' expected course, with an interval and its own back-test."""

from typing import Annotated

from pydantic import Field

from schemas.message import Message, Part, Share, Timestamp


class ForecastPoint(Part):
    """One step of a forecast, in the series' unit."""

    timestamp: Timestamp
    value: float
    lower: float
    upper: float


class Backtest(Part):
    """How the answering model did on origins before this one."""

    wape: float | None
    coverage: Share | None
    compared: Annotated[dict[str, float], Field(default_factory=dict, description="WAPE of each other model.")]


class Forecast(Message):
    """The next hours of a series."""

    series_id: str
    issued_at: Timestamp
    model: str
    level: Share = 0.8
    points: tuple[ForecastPoint, ...]
    backtest: Backtest | None = None
    trained_from: Timestamp | None = None
    trained_to: Timestamp | None = None
