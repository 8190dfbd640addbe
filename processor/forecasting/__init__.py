"""Forecasts of machines and of the plant, computed beside the stream."""
