"""Alerting: the rules that turn scores into alerts, and the alerts' messages."""
