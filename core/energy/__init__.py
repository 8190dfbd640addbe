"""Energy: hourly windows, meters, tariffs and local days."""
