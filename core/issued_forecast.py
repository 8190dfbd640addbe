"""Issued forecasts, as used by the alerts on a plant's power and the plant's total."""

from dataclasses import dataclass

from core.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedForecast:
    """A forecast of the hours from `origin` on, (h,) each in kWh. model: who answers; replaces: the model replaced."""

    origin: int
    value: Floats
    lower: Floats
    upper: Floats
    model: str
    replaces: str | None = None
