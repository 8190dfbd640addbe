"""A forecast as it was issued: what forecasting hands to the alerts on a plant's power and to the sum of a plant."""

from dataclasses import dataclass

from core.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedForecast:
    """A forecast of the hours from `origin` on, (h,) each in kWh; `model` answers, in the place of `replaces`."""

    origin: int
    value: Floats
    lower: Floats
    upper: Floats
    model: str
    replaces: str | None = None
