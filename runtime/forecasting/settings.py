"""Settings of hours and forecasts; part of `runtime.settings.Settings`."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.forecasting.names import CANDIDATES


class ForecastSettings(BaseModel):
    """Settings of the processor's energy history and forecasts."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    enabled: bool = Field(default=True, description="Forecast the energy of each machine and of the plant.")
    horizon_hours: int = Field(72, ge=1, le=72, description="Horizon of a forecast in hours.")
    every_hours: int = Field(1, ge=1, le=168, description="Hours between two forecasts of one machine.")
    spread_seconds: float = Field(
        600.0,
        ge=0.0,
        le=3600.0,
        description="Seconds after each hour over which the forecasts of all machines are spread.",
    )
    processes: int = Field(1, ge=1, le=16, description="Number of processes of a worker that fit forecasts.")
    niceness: int = Field(
        19,
        ge=0,
        le=19,
        description="Priority of these processes, as of nice(1): at 19 they use only idle CPU time, "
        "on Linux with the policy SCHED_IDLE; use a lower value where other programs keep the host busy.",
    )
    fit_seconds: float = Field(
        60.0, gt=0.0, le=3600.0, description="Timeout of a fit in seconds; then the seasonal median is issued instead."
    )
    history_weeks: int = Field(
        13, ge=13, le=160, description="Weeks of hourly energy kept for each machine, at five bytes per hour."
    )
    fallback_days: int = Field(
        7,
        ge=1,
        le=14,
        description="Days over which champion and seasonal median are compared; the better one is issued.",
    )
    candidates: str = Field(
        default="",
        description=f"Forecasters beside the blend, by comma: {', '.join(CANDIDATES)}. One is used for a machine where "
        "it did better at the newest fourteen days; they need the extra `forecasters`.",
    )

    @field_validator("candidates")
    @classmethod
    def _are_known(cls, candidates: str) -> str:
        unknown = [name for name in _names(candidates) if name not in CANDIDATES]
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is none; there are {', '.join(CANDIDATES)}")
        return candidates

    @property
    def candidate_names(self) -> tuple[str, ...]:
        """The candidates as names."""
        return _names(self.candidates)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
