"""Forecast: a series' expected course, with an interval and its own back-test."""

from typing import Annotated, Final

from pydantic import Field

from schemas.message import Message, Part, Quantity, Share, Timestamp

_OF_A_PLANT: Final = "plant:"


def plant_series(plant_name: str) -> str:
    """Return the series id of a whole plant; a machine's is its own id."""
    return f"{_OF_A_PLANT}{plant_name}"


def is_plant_series(series_id: str) -> bool:
    """Return whether a series is a plant's: the sum of its machines'."""
    return series_id.startswith(_OF_A_PLANT)


class ForecastPoint(Part):
    """One step of a forecast, in the series' unit."""

    timestamp: Timestamp
    value: Quantity
    lower: Quantity
    upper: Quantity


class Backtest(Part):
    """Accuracy of the answering model at earlier origins."""

    wape: Quantity | None
    coverage: Share | None
    compared: Annotated[dict[str, Quantity], Field(default_factory=dict, description="WAPE of each other model.")]


class TrackRecord(Part):
    """Accuracy of the issued forecasts of a series, over hours measured since."""

    horizon_day: Annotated[int, Field(ge=1, description="1: the first 24 hours of a forecast.")]
    points: Annotated[int, Field(ge=0, description="Forecast hours that were measured since.")]
    wape: Quantity | None
    coverage: Annotated[Share | None, Field(description="Share of them within the interval.")]
    interval_score: Annotated[
        Quantity | None, Field(description="Mean Winkler score, in the series' unit; low is good.")
    ]


class Cost(Part):
    """Cost of a forecast's energy by the plant's tariff."""

    currency: str
    value: Quantity
    lower: Annotated[Quantity, Field(description="If every hour came out at its lower bound.")]
    upper: Quantity


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
    replaces: Annotated[
        str | None, Field(description="The model that this one replaces because it was less accurate.")
    ] = None
    track_record: Annotated[tuple[TrackRecord, ...], Field(description="By day of the horizon; empty at first.")] = ()
    members: Annotated[int | None, Field(ge=1, description="Series that this one is the sum of.")] = None
    cost: Cost | None = None
