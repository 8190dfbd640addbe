"""Settings of hours and forecasts; part of `runtime.settings.Settings`."""

from pydantic import BaseModel, ConfigDict, Field


class ForecastSettings(BaseModel):
    """How the processor keeps hours of energy and forecasts them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    enabled: bool = Field(default=True, description="Forecast the energy of each machine and of the plant.")
    horizon_hours: int = Field(72, ge=1, le=72, description="Hours that a forecast looks ahead.")
    every_hours: int = Field(1, ge=1, le=168, description="Hours between two forecasts of one machine.")
    spread_seconds: float = Field(
        600.0,
        ge=0.0,
        le=3600.0,
        description="Seconds after the end of an hour over which the forecasts of all machines are spread.",
    )
    processes: int = Field(1, ge=1, le=16, description="Processes of a worker that fit forecasts.")
    niceness: int = Field(
        10,
        ge=0,
        le=19,
        description="Priority of these processes, as of nice(1): at 19 they take only what the rest leaves.",
    )
    fit_seconds: float = Field(
        60.0, gt=0.0, le=3600.0, description="Seconds after which a fit is ended and the seasonal median answers."
    )
    history_weeks: int = Field(
        13, ge=13, le=160, description="Weeks of hours that are kept of each machine; five bytes an hour."
    )
    fallback_days: int = Field(
        7,
        ge=1,
        le=14,
        description="Days over which the champion must not be worse than the seasonal median, which else answers.",
    )
