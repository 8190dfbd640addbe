"""The API: forecasts, scores and advice over HTTP, and a live view of the machines."""
