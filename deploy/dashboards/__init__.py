"""Grafana dashboards as code; `python -m deploy.dashboards write` renders them into deploy/grafana."""
