"""Forecasting: hourly series, their state, and the messages made from them."""
