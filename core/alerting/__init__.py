"""Alerting: which scores become alerts, and what the alerts say."""
