"""What it takes to run Nexova: Prometheus, Grafana, and the code that writes their files.

No process imports this package, and the wheel does not carry it.
"""
