"""Forecasts of hourly series: members, a blend weighted by their errors, and calibrated intervals."""

from core.forecasting.engine.answering import forecast_next
from core.forecasting.engine.inputs import KnownInputs
from core.forecasting.engine.memory import Memory
from core.forecasting.engine.series import LEVEL, Answer, Calendar, HourlySeries

__all__ = ["LEVEL", "Answer", "Calendar", "HourlySeries", "KnownInputs", "Memory", "forecast_next"]
