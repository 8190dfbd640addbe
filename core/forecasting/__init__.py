"""Forecasts of hourly series: members, a blend weighed by how they did, and intervals that hold what they promise."""

from core.forecasting.answering import forecast_next
from core.forecasting.memory import Memory
from core.forecasting.series import LEVEL, Answer, Calendar, HourlySeries

__all__ = ["LEVEL", "Answer", "Calendar", "HourlySeries", "Memory", "forecast_next"]
