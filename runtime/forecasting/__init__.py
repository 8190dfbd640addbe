"""Forecast candidates and their processes."""
