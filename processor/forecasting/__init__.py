"""Forecasts of machines and of the plant, beside the stream."""
